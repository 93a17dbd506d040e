import { isDeepStrictEqual } from 'node:util';
import { arrayElements, memberValue, stringValue } from '../../json/members.ts';
import type { ScannedMessage, Span } from '../../json/message.ts';
import { codes } from '../../mcp/errors.ts';
import { type Edit, splice, withoutMembers } from '../../mcp/splice.ts';
import { reviseContent } from './revise-content.ts';

/** What becomes of a message of a server for a client of an older revision. */
export type Revised =
  | { readonly kind: 'message'; readonly bytes: Buffer }
  /** Nothing that its client could know. */
  | { readonly kind: 'dropped' }
  /** A request that its client cannot answer: the gateway does. */
  | { readonly kind: 'refused'; readonly code: number; readonly reason: string };

/**
 * A message of a server as a client of an older revision of the legacy era gets it: what that revision does not have is
 * taken out, or said in its words; every other byte stays.
 *
 * @param version the client's.
 */
export function reviseMessage(message: ScannedMessage, version: string): Revised {
  const { bytes, method, id } = message;
  if (method !== undefined) return id ? reviseRequest(message, version) : reviseNotification(message, version);
  const edits = message.result
    ? resultEdits(bytes, message.result, version)
    : message.error
      ? errorEdits(bytes, message.error, version)
      : [];
  if (edits.length === 0) return { kind: 'message', bytes };
  const inOrder = edits.toSorted((a, b) => a.start - b.start);
  return { kind: 'message', bytes: splice(bytes, inOrder) };
}

function reviseRequest({ bytes, method = '', params }: ScannedMessage, version: string): Revised {
  const refused = (code: number, reason: string): Revised => ({ kind: 'refused', code, reason });
  const member = (name: string): Span | undefined => params && memberValue(bytes, params, name);
  const mode = member('mode');
  if (method === 'elicitation/create' && version < '2025-06-18') return refused(codes.methodNotFound, unknown(version));
  if (version >= '2025-11-25') return { kind: 'message', bytes };
  if (method.startsWith('tasks/')) return refused(codes.methodNotFound, unknown(version));
  if (method === 'elicitation/create' && mode && stringValue(bytes, mode) === 'url') {
    return refused(codes.invalidParams, `The client speaks ${version}, which has no elicitation by URL`);
  }
  if (method === 'sampling/createMessage' && member('tools')) {
    return refused(codes.invalidParams, `The client speaks ${version}, which has no tools in sampling`);
  }
  return { kind: 'message', bytes };
}

function unknown(version: string): string {
  return `The client speaks ${version}, which has no such method`;
}

function reviseNotification({ bytes, method = '' }: ScannedMessage, version: string): Revised {
  const isNewer = version < '2025-11-25' && since20251125.has(method);
  return isNewer ? { kind: 'dropped' } : { kind: 'message', bytes };
}

const since20251125: ReadonlySet<string> = new Set([
  ...['notifications/elicitation/complete', 'notifications/tasks/status'],
]);

function errorEdits(bytes: Buffer, error: Span, version: string): readonly Edit[] {
  const code = memberValue(bytes, error, 'code');
  if (!code || version >= '2025-11-25') return [];
  const value = Number(bytes.toString('latin1', code.start, code.end));
  return value === codes.urlElicitationRequired ? [{ ...code, text: String(codes.internal) }] : [];
}

function resultEdits(bytes: Buffer, result: Span, version: string): readonly Edit[] {
  if (version >= '2025-11-25') return [];
  return [
    ...listEdits(bytes, result, version),
    ...greetingEdits(bytes, result, version),
    ...contentEdits(bytes, result, version),
    ...(version < '2025-06-18' ? structuredEdits(bytes, result) : []),
  ];
}

/** Entries of lists lose members that came later. */
function listEdits(bytes: Buffer, result: Span, version: string): readonly Edit[] {
  const names = version < '2025-06-18' ? namesBefore20250618 : namesBefore20251125;
  return ['tools', 'prompts', 'resources', 'resourceTemplates'].flatMap((list) => {
    const span = memberValue(bytes, result, list);
    return (span ? arrayElements(bytes, span) : []).flatMap((entry) => {
      const args = list === 'prompts' ? memberValue(bytes, entry, 'arguments') : undefined;
      const ofArgs = args ? arrayElements(bytes, args).flatMap((arg) => withoutMembers(bytes, arg, names)) : [];
      return [...withoutMembers(bytes, entry, names), ...ofArgs];
    });
  });
}

const namesBefore20251125: ReadonlySet<string> = new Set(['icons', 'execution']);
const namesBefore20250618: ReadonlySet<string> = new Set(['icons', 'execution', 'title', 'outputSchema']);

/** Of the answer to `initialize`. */
function greetingEdits(bytes: Buffer, result: Span, version: string): readonly Edit[] {
  const capabilities = memberValue(bytes, result, 'capabilities');
  const info = memberValue(bytes, result, 'serverInfo');
  const names = version < '2025-06-18' ? namesBefore20250618 : namesBefore20251125;
  return [
    ...(capabilities ? withoutMembers(bytes, capabilities, new Set(['tasks'])) : []),
    ...(info ? withoutMembers(bytes, info, names) : []),
  ];
}

/** Blocks of content: of a tool's result, or of the messages of a prompt. */
function contentEdits(bytes: Buffer, result: Span, version: string): readonly Edit[] {
  const content = memberValue(bytes, result, 'content');
  const messages = memberValue(bytes, result, 'messages');
  const blocks = [
    ...(content ? arrayElements(bytes, content) : []),
    ...(messages ? arrayElements(bytes, messages).flatMap((one) => memberValue(bytes, one, 'content') ?? []) : []),
  ];
  return blocks.flatMap((block) => reviseContent(bytes, block, version));
}

/** Structured content goes; a block of text says the same, unless one does already. */
function structuredEdits(bytes: Buffer, result: Span): readonly Edit[] {
  const structured = memberValue(bytes, result, 'structuredContent');
  if (!structured) return [];
  const json = bytes.toString('utf8', structured.start, structured.end);
  const text = JSON.stringify({ type: 'text', text: json });
  const content = memberValue(bytes, result, 'content');
  if (!content || bytes[content.start] !== openBracket) {
    const key = bytes.lastIndexOf('"structuredContent"', structured.start);
    return [{ start: key, end: structured.end, text: `"content":[${text}]` }];
  }
  const blocks = arrayElements(bytes, content);
  const gone = withoutMembers(bytes, result, new Set(['structuredContent']));
  if (blocks.some((block) => says(bytes, block, json))) return gone;
  const end = content.end - 1;
  return [...gone, { start: end, end, text: blocks.length === 0 ? text : `,${text}` }];
}

function says(bytes: Buffer, block: Span, json: string): boolean {
  const span = memberValue(bytes, block, 'text');
  const text = span && stringValue(bytes, span);
  if (text === undefined) return false;
  try {
    return isDeepStrictEqual(JSON.parse(text), JSON.parse(json));
  } catch {
    return false;
  }
}

const openBracket = 0x5b;
