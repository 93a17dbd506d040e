import { METHODS } from 'node:http';
import { fieldName, isBlank, withoutBlanks } from './field.ts';
import type { Refusal } from './http-server.ts';
import type { RawRequest } from './request-gate.ts';

/** The lines of a head, or why it is not HTTP/1.1 as everyone reads it. */
export type RequestHeadResult =
  | { readonly refusal: Refusal }
  | { readonly refusal: undefined; readonly request: RawRequest };

/**
 * Takes a head apart (RFC 9112 §3, §5), strictly: one blank between the parts of the request line, CRLF between lines,
 * names that are tokens with the colon right behind them, no continuation lines. What target, values and the headers
 * together may be is for the gate to say (request-gate.ts).
 * @param text one character a byte, without the empty line at its end.
 */
export function parseRequestHead(text: string): RequestHeadResult {
  const firstEnd = text.indexOf('\r\n');
  const lineEnd = firstEnd < 0 ? text.length : firstEnd;
  const methodEnd = text.indexOf(' ');
  const targetEnd = lineEnd - versionLength;
  if (methodEnd < 0 || targetEnd <= methodEnd) return malformedLine;
  const method = text.slice(0, methodEnd);
  if (!knownMethods.has(method)) return malformedLine;
  if (!text.startsWith(' HTTP/', targetEnd)) return malformedLine;
  const httpVersion = text.slice(targetEnd + ' HTTP/'.length, lineEnd);
  const target = text.slice(methodEnd + 1, targetEnd);

  const rawHeaders: string[] = [];
  for (let start = lineEnd + 2; start < text.length;) {
    const found = text.indexOf('\r\n', start);
    const end = found < 0 ? text.length : found;
    const colon = text.indexOf(':', start);
    if (colon < 0 || colon > end) return malformedHeader;
    const name = text.slice(start, colon);
    if (!fieldName.test(name)) return malformedHeader;
    if (framing.test(name) && isBlank(text.charCodeAt(end - 1))) return malformedHeader;
    rawHeaders.push(name, withoutBlanks(text, colon + 1, end));
    start = end + 2;
  }
  return { refusal: undefined, request: { method, target, httpVersion, rawHeaders } };
}

/** Whether a request asks for the connection to end with its answer. @param value of its Connection header. */
export function asksToClose(value: string): boolean {
  return closeOption.test(value);
}

/** Other words are not refused as methods, but as something else than HTTP. */
const knownMethods: ReadonlySet<string> = new Set(METHODS);
const versionLength = ' HTTP/1.1'.length;
/** Blanks behind the value of these are not read alike by everyone. */
const framing = /^(?:content-length|transfer-encoding)$/i;
const closeOption = /(?:^|[\t ,])close(?:$|[\t ,])/i;
const malformedLine: RequestHeadResult = { refusal: { status: 400, reason: 'the request line is malformed' } };
const malformedHeader: RequestHeadResult = { refusal: { status: 400, reason: 'a header line is malformed' } };
