import type { Span } from '../json/message.ts';
import { type ScanLimits, scanBody } from '../json/scan.ts';

const heads = ['{"jsonrpc":"2.0","id":', '{"id":'].map((text) => Buffer.from(text, 'latin1'));
const tailKey = Buffer.from('"id":', 'latin1');

/**
 * Where the minted id stands as the id of a whole answer. At the head or at the tail of the body its place is certain
 * without reading the rest; anywhere else the body is scanned, so that the same text inside a result is never taken
 * for the id.
 *
 * @returns undefined when the body is not an answer to this id.
 */
export function findAnswerId(body: Buffer, token: string, limits: ScanLimits): Span | undefined {
  return idAtHead(body, token) ?? idAtTail(body, token) ?? idByScan(body, token, limits);
}

/** The id, when the body starts as an answer with `id` among the first two members. */
export function idAtHead(body: Buffer, token: string): Span | undefined {
  for (const head of heads) {
    const start = head.length;
    if (startsWith(body, head) && textAt(body, start, token)) return { start, end: start + token.length };
  }
  return undefined;
}

/** The id, when the body ends in `,"id":<token>}` and perhaps blanks: only the envelope can end there. */
export function idAtTail(body: Buffer, token: string): Span | undefined {
  let close = body.length - 1;
  while (close > 0 && isBlank(body[close] as number)) close -= 1;
  if (body[close] !== closeBrace) return undefined;
  const start = close - token.length;
  const key = start - tailKey.length;
  if (key < 1 || !textAt(body, start, token)) return undefined;
  const before = body[key - 1];
  if (before !== comma && before !== openBrace) return undefined;
  return startsWith(body.subarray(key), tailKey) ? { start, end: close } : undefined;
}

function idByScan(body: Buffer, token: string, limits: ScanLimits): Span | undefined {
  if (body.indexOf(token, 0, 'latin1') < 0) return undefined;
  const scanned = scanBody(body, limits);
  if (scanned.kind !== 'message' || !scanned.message.id) return undefined;
  const { id, hasResult, hasError } = scanned.message;
  if (!hasResult && !hasError) return undefined;
  return id.end - id.start === token.length && textAt(body, id.start, token) ? id : undefined;
}

function startsWith(body: Buffer, head: Buffer): boolean {
  if (body.length < head.length) return false;
  for (let i = 0; i < head.length; i += 1) if (body[i] !== head[i]) return false;
  return true;
}

/** @param text ASCII. */
function textAt(body: Buffer, start: number, text: string): boolean {
  if (start < 0 || start + text.length > body.length) return false;
  for (let i = 0; i < text.length; i += 1) if (body[start + i] !== text.charCodeAt(i)) return false;
  return true;
}

function isBlank(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

const openBrace = 0x7b;
const closeBrace = 0x7d;
const comma = 0x2c;
