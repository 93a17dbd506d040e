import { memberValue, stringValue } from '../json/members.ts';
import type { Span } from '../json/message.ts';
import { headerAnnotationFault } from './header-annotations.ts';
import { decodeHeaderValue, encodeHeaderValue } from './header-value.ts';

/** An argument of a tool that travels as a header too. */
export interface ParamHeader {
  /** `Mcp-Param-Region`. */
  readonly header: string;
  /** Keys that lead to it within the arguments. */
  readonly path: readonly string[];
  readonly type: 'string' | 'integer' | 'boolean';
}

const prefix = 'Mcp-Param-';
const annotation = 'x-mcp-header';

/**
 * Arguments of tools that travel as headers (`x-mcp-header`, MCP 2026-07-28, Streamable HTTP), as lists of their servers
 * have said. Bounded: the server that was heard of longest ago gives way, and beyond the bound tools are not remembered.
 */
export class ParamHeaders {
  readonly #maxServers: number;
  readonly #maxTools: number;
  readonly #servers = new Map<string, Map<string, readonly ParamHeader[]>>();

  constructor({ backends, toolsPerBackend }: { readonly backends: number; readonly toolsPerBackend: number }) {
    this.#maxServers = backends;
    this.#maxTools = toolsPerBackend;
  }

  /** What is known of a tool; empty for one without such arguments, and for one that is not known. */
  of(server: string, tool: string): readonly ParamHeader[] {
    return this.#servers.get(server)?.get(tool) ?? none;
  }

  /** @param entry a tool of a list, in bytes that have passed `scanBody`, whose annotations are sound. */
  saw(server: string, tool: string, bytes: Buffer, entry: Span): void {
    const found = paramHeadersOf(bytes, entry);
    const known = this.#servers.get(server);
    if (found.length === 0) return void known?.delete(tool);
    const tools = known ?? this.#add(server);
    if (tools.size < this.#maxTools || tools.has(tool)) tools.set(tool, found);
  }

  #add(server: string): Map<string, readonly ParamHeader[]> {
    const oldest = this.#servers.keys().next();
    if (this.#servers.size >= this.#maxServers && !oldest.done) this.#servers.delete(oldest.value);
    const added = new Map<string, readonly ParamHeader[]>();
    this.#servers.set(server, added);
    return added;
  }
}

const none: readonly ParamHeader[] = [];

/** Arguments that the input schema of a tool says are headers; none where it is not as it has to be. */
export function paramHeadersOf(bytes: Buffer, tool: Span): readonly ParamHeader[] {
  const span = memberValue(bytes, tool, 'inputSchema');
  const text = span && bytes.toString('utf8', span.start, span.end);
  if (text?.includes(annotation) !== true || headerAnnotationFault(bytes, tool) !== undefined) return none;
  return annotated(JSON.parse(text) as unknown, []);
}

function annotated(schema: unknown, path: readonly string[]): readonly ParamHeader[] {
  if (typeof schema !== 'object' || schema === null) return none;
  const { [annotation]: name, type, properties } = schema as Readonly<Record<string, unknown>>;
  const own = typeof name === 'string' ? [{ header: prefix + name, path, type: type as ParamHeader['type'] }] : none;
  const entries = typeof properties === 'object' && properties !== null ? Object.entries(properties) : [];
  return [...own, ...entries.flatMap(([key, property]) => annotated(property, [...path, key]))];
}

/** The headers that say what the arguments say: name, value, name, value … An argument that is null or absent has none. */
export function paramHeaderFields(params: readonly ParamHeader[], bytes: Buffer, args: Span | undefined): string[] {
  return params.flatMap(({ header, path }) => {
    const value = valueAt(bytes, args, path);
    return value === undefined ? [] : [header, encodeHeaderValue(value)];
  });
}

/** What is wrong with the headers of a call; undefined when they say what its arguments say. */
export function paramHeaderFault(
  params: readonly ParamHeader[],
  bytes: Buffer,
  args: Span | undefined,
  header: (name: string) => string | undefined,
): string | undefined {
  for (const { header: name, path, type } of params) {
    const said = header(name.toLowerCase());
    const meant = valueAt(bytes, args, path);
    if (said === undefined && meant === undefined) continue;
    if (said === undefined) return `${name} is missing`;
    const decoded = isFieldValue(said) ? decodeHeaderValue(said) : undefined;
    if (decoded === undefined) return `${name} is not validly encoded`;
    const isSame =
      decoded === meant || (type === 'integer' && meant !== undefined && Number(decoded) === Number(meant));
    if (!isSame) return `${name} says something else than the argument ${path.join('.')}`;
  }
  return undefined;
}

/** The value of an argument as text; undefined where it is null or absent. */
function valueAt(bytes: Buffer, args: Span | undefined, path: readonly string[]): string | undefined {
  let span = args;
  for (const key of path) span = span && memberValue(bytes, span, key);
  if (!span) return undefined;
  const text = stringValue(bytes, span) ?? bytes.toString('utf8', span.start, span.end);
  return text === 'null' && bytes[span.start] !== quote ? undefined : text;
}

/** Anything else has to be encoded. */
function isFieldValue(value: string): boolean {
  return /^[\t\x20-\x7e]*$/.test(value);
}

const quote = 0x22;
