import { backslash, closeBrace, closeBracket, colon, comma, openBrace, openBracket, quote } from './bytes.ts';
import type { Span } from './message.ts';
import { decodeString } from './string.ts';

/** A member of an object: its key, decoded, and where its value stands. */
export interface Member {
  readonly key: string;
  readonly value: Span;
}

/**
 * Members of the object at `span`, in order; empty for any other value. Only positions are looked for: on bytes that
 * did not pass `scanBody` it still ends, and stops at what cannot be JSON, but what it found proves nothing.
 */
export function objectMembers(bytes: Buffer, span: Span): Member[] {
  const members: Member[] = [];
  for (let at = firstMember(bytes, span); at > 0;) {
    const member = memberAt(bytes, at);
    if (!member) break;
    members.push({ key: decodeString(bytes, at + 1, member.keyEnd), value: member.value });
    at = nextItem(bytes, member.value.end);
  }
  return members;
}

/** The value of one member of the object at `span`; undefined when it has none of that name. As `objectMembers`. */
export function memberValue(bytes: Buffer, span: Span, key: string): Span | undefined {
  for (let at = firstMember(bytes, span); at > 0;) {
    const member = memberAt(bytes, at);
    if (!member) break;
    if (decodeString(bytes, at + 1, member.keyEnd) === key) return member.value;
    at = nextItem(bytes, member.value.end);
  }
  return undefined;
}

/** Elements of the array at `span`, in order; empty for any other value. As `objectMembers`. */
export function arrayElements(bytes: Buffer, span: Span): Span[] {
  const elements: Span[] = [];
  if (bytes[span.start] !== openBracket) return elements;
  let at = skipSpace(bytes, span.start + 1);
  if (bytes[at] === closeBracket) return elements;
  while (at > 0) {
    const end = skipValue(bytes, at);
    if (end < 0) break;
    elements.push({ start: at, end });
    at = nextItem(bytes, end);
  }
  return elements;
}

/** The string at `span`, decoded; undefined for any other value. */
export function stringValue(bytes: Buffer, span: Span): string | undefined {
  return bytes[span.start] === quote ? decodeString(bytes, span.start + 1, span.end - 1) : undefined;
}

/** @returns where the first key of the object stands; -1 if there is none. */
function firstMember(bytes: Buffer, span: Span): number {
  if (bytes[span.start] !== openBrace) return -1;
  const at = skipSpace(bytes, span.start + 1);
  return bytes[at] === quote ? at : -1;
}

/** @returns the start of the item behind the comma that follows a value; -1 if no comma does. */
function nextItem(bytes: Buffer, valueEnd: number): number {
  const at = skipSpace(bytes, valueEnd);
  return bytes[at] === comma ? skipSpace(bytes, at + 1) : -1;
}

/** @param at the opening quote of the key. */
function memberAt(bytes: Buffer, at: number): { readonly keyEnd: number; readonly value: Span } | undefined {
  const behindKey = bytes[at] === quote ? skipString(bytes, at) : -1;
  if (behindKey < 0) return undefined;
  const separator = skipSpace(bytes, behindKey);
  if (bytes[separator] !== colon) return undefined;
  const start = skipSpace(bytes, separator + 1);
  const end = skipValue(bytes, start);
  return end < 0 ? undefined : { keyEnd: behindKey - 1, value: { start, end } };
}

/** @returns behind the value that starts at `at`; -1 if it does not end. */
function skipValue(bytes: Buffer, at: number): number {
  const first = bytes[at];
  if (first === quote) return skipString(bytes, at);
  if (first !== openBrace && first !== openBracket) return skipScalar(bytes, at);
  let depth = 0;
  while (at < bytes.length) {
    const byte = bytes[at];
    if (byte === quote) {
      at = skipString(bytes, at);
      if (at < 0) return -1;
      continue;
    }
    if (byte === openBrace || byte === openBracket) depth += 1;
    else if (byte === closeBrace || byte === closeBracket) depth -= 1;
    at += 1;
    if (depth === 0) return at;
  }
  return -1;
}

/** @returns behind the closing quote; -1 if there is none. Strings may be long: behind their beginning the search is native. */
function skipString(bytes: Buffer, opening: number): number {
  const end = bytes.length;
  let at = opening + 1;
  let byHand = nearBytes;
  for (;;) {
    const near = Math.min(end, at + byHand);
    while (at < near) {
      const byte = bytes[at];
      if (byte === quote) return at + 1;
      at += byte === backslash ? 2 : 1;
    }
    if (at >= end) return -1;
    const closing = bytes.indexOf(quote, at);
    if (closing < 0) return -1;
    if (!isEscaped(bytes, at, closing)) return closing + 1;
    at = closing + 1;
    // Where one quote is escaped there are more: JSON in a text.
    byHand = farBytes;
  }
}

/** How far a string is read by hand before it is searched natively: a search costs as much as that. */
const nearBytes = 64;
const farBytes = 4_096;

/** @param from where an escape may begin. */
function isEscaped(bytes: Buffer, from: number, at: number): boolean {
  let before = at;
  while (before > from && bytes[before - 1] === backslash) before -= 1;
  return (at - before) % 2 === 1;
}

function skipScalar(bytes: Buffer, start: number): number {
  let at = start;
  while (at < bytes.length) {
    const byte = bytes[at] as number;
    if (byte <= 0x20 || byte === comma || byte === closeBrace || byte === closeBracket) break;
    at += 1;
  }
  return at === start ? -1 : at;
}

function skipSpace(bytes: Buffer, at: number): number {
  while (at < bytes.length && (bytes[at] as number) <= 0x20) at += 1;
  return at;
}
