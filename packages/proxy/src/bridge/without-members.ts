import { objectMembers } from '../json/members.ts';
import type { Span } from '../json/message.ts';
import type { Edit } from '../mcp/splice.ts';

/** Edits that take members out of an object, each with the comma that parts it from what stays. */
export function withoutMembers(bytes: Buffer, object: Span, names: ReadonlySet<string>): readonly Edit[] {
  const edits: Edit[] = [];
  let from = object.start + 1;
  let isFirst = true;
  for (const { key, value } of objectMembers(bytes, object)) {
    if (names.has(key)) edits.push({ start: from, end: value.end, text: '' });
    else if (isFirst && edits.length > 0) edits.push({ start: from, end: bytes.indexOf(comma, from) + 1, text: '' });
    if (!names.has(key)) isFirst = false;
    from = value.end;
  }
  return edits;
}

const comma = 0x2c;
