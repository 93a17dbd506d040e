import { arrayElements, memberValue, stringValue } from '../../json/members.ts';
import type { ScannedMessage, Span } from '../../json/message.ts';
import { codes } from '../../mcp/errors.ts';
import { type Edit, withoutMembers } from '../../mcp/splice.ts';

/** Members that only results of the modern era have. */
const modernMembers: ReadonlySet<string> = new Set(['resultType', 'ttlMs', 'cacheScope']);

/** What a modern result is: the answer, a question, a task, or something that no legacy client could take. */
export type ResultKind = 'complete' | 'input_required' | 'task' | 'unknown';

export function resultKind({ bytes, result }: Pick<ScannedMessage, 'bytes' | 'result'>): ResultKind {
  const span = result && memberValue(bytes, result, 'resultType');
  if (!span) return 'complete';
  const value = stringValue(bytes, span);
  return value === 'complete' || value === 'input_required' || value === 'task' ? value : 'unknown';
}

/**
 * What makes a modern server's answer a legacy one, in order.
 * @param id raw JSON that the client's side gave the request.
 */
export function legacyEdits(
  { bytes, id: own, result, error }: ScannedMessage,
  id: string,
  method: string,
): readonly Edit[] {
  const edits: Edit[] = own ? [{ ...own, text: id }] : [];
  if (result) edits.push(...resultEdits(bytes, result));
  else if (error) edits.push(...errorEdits(bytes, error, method));
  return edits.toSorted((a, b) => a.start - b.start);
}

/** Legacy clients take only objects for structured content and its schema; the text beside it says the same. */
function resultEdits(bytes: Buffer, result: Span): readonly Edit[] {
  const names = new Set(modernMembers);
  const structured = memberValue(bytes, result, 'structuredContent');
  if (structured && !isObject(bytes, structured)) names.add('structuredContent');
  const edits = [...withoutMembers(bytes, result, names)];
  const tools = memberValue(bytes, result, 'tools');
  for (const tool of tools ? arrayElements(bytes, tools) : []) {
    const schema = memberValue(bytes, tool, 'outputSchema');
    const type = schema && memberValue(bytes, schema, 'type');
    const isOfObjects = type !== undefined && stringValue(bytes, type) === 'object';
    if (schema && !isOfObjects) edits.push(...withoutMembers(bytes, tool, new Set(['outputSchema'])));
  }
  return edits;
}

/** A resource that is not there has another code; what is said about the gateway's own hop is its failure. */
function errorEdits(bytes: Buffer, error: Span, method: string): readonly Edit[] {
  const code = memberValue(bytes, error, 'code');
  if (!code) return [];
  const value = Number(bytes.toString('latin1', code.start, code.end));
  const data = memberValue(bytes, error, 'data');
  const isNotFound =
    value === codes.invalidParams && method === 'resources/read' && data && memberValue(bytes, data, 'uri');
  if (isNotFound) return [{ ...code, text: String(codes.resourceNotFound) }];
  return aboutTheHop.includes(value) ? [{ ...code, text: String(codes.internal) }] : [];
}

const aboutTheHop: readonly number[] = [codes.headerMismatch, codes.missingCapability, codes.unsupportedVersion];

function isObject(bytes: Buffer, { start }: Span): boolean {
  return bytes[start] === openBrace;
}

const openBrace = 0x7b;
