import type { Span } from '../json/message.ts';
import { memberValue } from '../json/members.ts';

/**
 * Why a tool must not be offered to clients that send its parameters as headers: an `x-mcp-header` of its input schema is
 * not as it has to be (MCP 2026-07-28, Streamable HTTP). Undefined when nothing is wrong.
 *
 * @param tool in bytes that have passed `scanBody`.
 */
export function headerAnnotationFault(bytes: Buffer, tool: Span): string | undefined {
  const span = memberValue(bytes, tool, 'inputSchema');
  const text = span && bytes.toString('utf8', span.start, span.end);
  if (text === undefined || !text.includes(annotation)) return undefined;
  return faultIn(JSON.parse(text) as unknown, 'outside', new Set());
}

/** Whether a list may hold such annotations: a quick look that spares most lists the reading. */
export function mayHoldAnnotations(bytes: Buffer): boolean {
  return bytes.indexOf(annotationBytes) >= 0;
}

const annotation = 'x-mcp-header';
const annotationBytes = Buffer.from(`"${annotation}"`);

/** Where a schema stands: a property that is reached by properties alone, the root of these, or anywhere else. */
type Place = 'property' | 'outside';

function faultIn(node: unknown, place: Place, taken: Set<string>, reachable = true): string | undefined {
  if (Array.isArray(node)) return firstFault(node, (entry) => faultIn(entry, 'outside', taken, false));
  if (typeof node !== 'object' || node === null) return undefined;
  const schema = node as Readonly<Record<string, unknown>>;
  const own = Object.hasOwn(schema, annotation) ? annotationFault(schema, place, taken) : undefined;
  if (own !== undefined) return own;
  return firstFault(Object.entries(schema), ([key, value]) => {
    if (key === annotation) return undefined;
    if (key !== 'properties' || !reachable || typeof value !== 'object' || value === null) {
      return faultIn(value, 'outside', taken, false);
    }
    return firstFault(Object.values(value), (property) => faultIn(property, 'property', taken));
  });
}

function annotationFault(
  schema: Readonly<Record<string, unknown>>,
  place: Place,
  taken: Set<string>,
): string | undefined {
  const name = schema[annotation];
  if (typeof name !== 'string' || !/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name)) return 'its x-mcp-header is not a token';
  if (place !== 'property') return `x-mcp-header ${name} is not on a property that is reached by properties alone`;
  if (!['string', 'integer', 'boolean'].includes(schema['type'] as string)) {
    return `x-mcp-header ${name} is on a property that is no string, integer or boolean`;
  }
  if (taken.has(name.toLowerCase())) return `x-mcp-header ${name} is given twice`;
  taken.add(name.toLowerCase());
  return undefined;
}

function firstFault<T>(items: readonly T[], fault: (item: T) => string | undefined): string | undefined {
  for (const item of items) {
    const found = fault(item);
    if (found !== undefined) return found;
  }
  return undefined;
}
