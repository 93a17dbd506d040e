import { memberValue, stringValue } from '../../json/members.ts';
import type { ScannedMessage, Span } from '../../json/message.ts';
import { codes } from '../../mcp/errors.ts';
import { type Edit, withFirst } from '../../mcp/splice.ts';

/** Results that say how long they may be kept: not at all, since what a legacy server says is for one session. */
const cached: ReadonlySet<string> = new Set([
  ...['tools/list', 'prompts/list', 'resources/list', 'resources/templates/list', 'resources/read', 'server/discover'],
]);

/** What makes a legacy server's answer a modern one, in order. @param id that the client's side gave the request. */
export function modernEdits(
  { bytes, id: own, result, error }: ScannedMessage,
  id: string,
  request: { method: string; uri: string | undefined },
): readonly Edit[] {
  const edits: Edit[] = own ? [{ ...own, text: id }] : [];
  if (result) edits.push(...resultEdits(bytes, result, request.method));
  else if (error) edits.push(...errorEdits(bytes, error, request));
  return edits.toSorted((a, b) => a.start - b.start);
}

/** Members that every modern result of a method has. */
export function resultMembers(method: string): string {
  return `"resultType":"complete"${cached.has(method) ? ',"ttlMs":0,"cacheScope":"private"' : ''}`;
}

function resultEdits(bytes: Buffer, result: Span, method: string): readonly Edit[] {
  if (bytes[result.start] !== openBrace || memberValue(bytes, result, 'resultType')) return [];
  return [withFirst(bytes, result, resultMembers(method))];
}

/** A resource that is not there has another code, and always says which one it was. */
function errorEdits(
  bytes: Buffer,
  error: Span,
  { method, uri }: { method: string; uri: string | undefined },
): readonly Edit[] {
  const code = memberValue(bytes, error, 'code');
  if (!code || Number(bytes.toString('latin1', code.start, code.end)) !== codes.resourceNotFound) return [];
  const edits: Edit[] = [{ ...code, text: String(codes.invalidParams) }];
  const data = memberValue(bytes, error, 'data');
  if (method === 'resources/read' && uri !== undefined && !data) {
    edits.push({ start: error.end - 1, end: error.end - 1, text: `,"data":{"uri":${JSON.stringify(uri)}}` });
  }
  return edits;
}

/** The URLs that a server wants its user to visit before it goes on (legacy error -32042); undefined for other answers. */
export function wantedVisits({ bytes, error }: ScannedMessage): readonly string[] | undefined {
  const code = error && memberValue(bytes, error, 'code');
  if (!error || !code || Number(bytes.toString('latin1', code.start, code.end)) !== codes.urlElicitationRequired)
    return undefined;
  const data = memberValue(bytes, error, 'data');
  const parsed = data ? (JSON.parse(bytes.toString('utf8', data.start, data.end)) as { elicitations?: unknown }) : {};
  const list = Array.isArray(parsed.elicitations) ? (parsed.elicitations as unknown[]) : [];
  return list.flatMap((each) => {
    const { message, url } = (each ?? {}) as { message?: unknown; url?: unknown };
    if (typeof url !== 'string') return [];
    return [JSON.stringify({ mode: 'url', message: typeof message === 'string' ? message : '', url })];
  });
}

/** Params of a server's question as a modern client is asked: elicitations by URL have no name there. */
export function questionParams({ bytes, params }: ScannedMessage): string | undefined {
  if (!params) return undefined;
  const value = JSON.parse(bytes.toString('utf8', params.start, params.end)) as Record<string, unknown>;
  delete value['elicitationId'];
  return JSON.stringify(value);
}

/** The key under which a server would like its question to be asked; fixtures and translating servers say it. */
export function suggestedKey({ bytes, meta }: ScannedMessage): string | undefined {
  const span = meta && memberValue(bytes, meta, 'dev.signalbox/input-key');
  return span && stringValue(bytes, span);
}

const openBrace = 0x7b;
