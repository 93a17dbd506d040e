import { objectMembers } from '../json/members.ts';
import type { Span } from '../json/message.ts';

/** A stretch of bytes, `[start, end)`, and what takes its place. */
export interface Edit {
  readonly start: number;
  readonly end: number;
  readonly text: string | Buffer;
}

/** Bytes that stand elsewhere. */
export interface Stretch {
  readonly source: Buffer;
  readonly from: Span;
}

/** The bytes with every edit made. Edits must be in order and apart. The bytes between them are copied as they are. */
export function splice(bytes: Buffer, edits: readonly Edit[]): Buffer {
  if (edits.length === 0) return bytes;
  let length = bytes.length;
  for (const { start, end, text } of edits) {
    length += (typeof text === 'string' ? Buffer.byteLength(text) : text.length) - (end - start);
  }
  const out = Buffer.allocUnsafe(length);
  let from = 0;
  let at = 0;
  for (const { start, end, text } of edits) {
    at += bytes.copy(out, at, from, start);
    at += typeof text === 'string' ? out.write(text, at) : text.copy(out, at);
    from = end;
  }
  bytes.copy(out, at, from);
  return out;
}

/** The bytes with every edit made, as parts one behind the other: views of `bytes`, and the texts. As `splice`. */
export function parted(bytes: Buffer, edits: readonly Edit[]): readonly Buffer[] {
  const parts: Buffer[] = [];
  let from = 0;
  for (const { start, end, text } of edits) {
    parts.push(bytes.subarray(from, start), typeof text === 'string' ? Buffer.from(text) : text);
    from = end;
  }
  parts.push(bytes.subarray(from));
  return parts;
}

/** One edit with ASCII text, in one allocation: for the minted ids of requests. */
export function spliceAscii(bytes: Buffer, { start, end }: Span, text: string): Buffer {
  const out = Buffer.allocUnsafe(bytes.length - (end - start) + text.length);
  bytes.copy(out, 0, 0, start);
  out.write(text, start, 'latin1');
  bytes.copy(out, start + text.length, end);
  return out;
}

/**
 * One edit with a stretch of other bytes: for the clients' ids in answers.
 * @param memory is written into if it has room; otherwise the result has memory of its own.
 */
export function spliceBytes(bytes: Buffer, { start, end }: Span, { source, from }: Stretch, memory?: Buffer): Buffer {
  const size = from.end - from.start;
  const length = bytes.length - (end - start) + size;
  const out = memory && memory.length >= length ? memory.subarray(0, length) : Buffer.allocUnsafe(length);
  bytes.copy(out, 0, 0, start);
  source.copy(out, start, from.start, from.end);
  bytes.copy(out, start + size, end);
  return out;
}

/** One edit with text. */
export function spliceText(bytes: Buffer, span: Span, text: string): Buffer {
  const source = Buffer.from(text, 'utf8');
  return spliceBytes(bytes, span, { source, from: { start: 0, end: source.length } });
}

/** Edits that take members out of an object, each with the comma that parts it from what stays. */
export function withoutMembers(bytes: Buffer, object: Span, names: ReadonlySet<string>): readonly Edit[] {
  const edits: Edit[] = [];
  let from = object.start + 1;
  let isFirst = true;
  for (const { key, value } of objectMembers(bytes, object)) {
    if (names.has(key)) edits.push({ start: from, end: value.end, text: '' });
    else if (isFirst && edits.length > 0) edits.push({ start: from, end: bytes.indexOf(',', from) + 1, text: '' });
    if (!names.has(key)) isFirst = false;
    from = value.end;
  }
  return edits;
}

/** {@link withoutMembers}, for one. */
export function withoutMember(bytes: Buffer, object: Span, name: string): readonly Edit[] {
  return withoutMembers(bytes, object, new Set([name]));
}

/** An edit that puts members, without braces, before those of an object. */
export function withFirst(bytes: Buffer, { start }: Span, members: string): Edit {
  let first = start + 1;
  while ((bytes[first] as number) <= space) first++;
  return { start: start + 1, end: start + 1, text: bytes[first] === closeBrace ? members : `${members},` };
}

const space = 0x20;
const closeBrace = 0x7d;
