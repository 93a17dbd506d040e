import { isUtf8 } from 'node:buffer';
import { closeBrace } from './bytes.ts';
import { type Member, objectMembers } from './members.ts';
import { MessageParts } from './message-parts.ts';
import type { ScannedMessage, Span } from './message.ts';

/**
 * A large result, found by its envelope alone: an object with `jsonrpc`, `id` and `result`, each of them once, and nothing
 * behind it. What is in the result is not looked at, as nothing is of a result that passes through.
 * @returns undefined for anything else, which `scanBody` may still find to be a message.
 */
export function plainResult(bytes: Buffer): ScannedMessage | undefined {
  const span = documentSpan(bytes);
  const members = objectMembers(bytes, span);
  if (members.length !== keys.length || !keys.every((key) => members.some((member) => member.key === key)))
    return undefined;
  const last = (members.at(-1) as Member).value;
  let end = last.end;
  while (end < span.end && (bytes[end] as number) <= 0x20) end += 1;
  if (end !== span.end - 1 || bytes[end] !== closeBrace || !isUtf8(bytes)) return undefined;
  const message = new MessageParts(bytes);
  message.span = span;
  for (const { key, value } of members) message.note(key, value);
  return message;
}

const keys = ['jsonrpc', 'id', 'result'];

function documentSpan(bytes: Buffer): Span {
  let start = 0;
  let end = bytes.length;
  while (start < end && (bytes[start] as number) <= 0x20) start += 1;
  while (end > start && (bytes[end - 1] as number) <= 0x20) end -= 1;
  return { start, end };
}
