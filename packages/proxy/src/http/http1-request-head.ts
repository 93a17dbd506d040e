import { FieldLines } from './field-lines.ts';
import type { Refusal } from './http-server.ts';
import type { RawRequest } from './request-gate.ts';
import { parseRequestLine, type RequestLine } from './request-line.ts';

/** The lines of a head, or why it is not HTTP/1.1 as everyone reads it. */
export type RequestHeadResult =
  | { readonly refusal: Refusal }
  | { readonly refusal: undefined; readonly request: RawRequest };

/**
 * Takes the heads of one connection's requests apart (RFC 9112 §3, §5), strictly. What target, values and the headers
 * together may be is for the gate to say (request-gate.ts). Lines that the client sends again are not read again.
 */
export class RequestHeads {
  readonly #fieldLines = new FieldLines(true);
  #line: string | undefined;
  #read: RequestLine | undefined;

  /** @param text one character a byte, without the empty line at its end. */
  parse(text: string): RequestHeadResult {
    const found = text.indexOf('\r\n');
    const end = found < 0 ? text.length : found;
    const line = text.slice(0, end);
    if (this.#line !== line) {
      this.#read = parseRequestLine(line);
      this.#line = line;
    }
    const read = this.#read;
    if (!read) return malformedLine;
    const fields = this.#fieldLines.read(text, end + 2);
    if (typeof fields === 'string') return { refusal: { status: 400, reason: fields } };
    const { method, target, httpVersion } = read;
    return { refusal: undefined, request: { method, target, httpVersion, fields } };
  }

  /** Lets go of the last head. */
  forget(): void {
    this.#line = undefined;
    this.#read = undefined;
    this.#fieldLines.forget();
  }
}

/** Whether a request asks for the connection to end with its answer. @param value of its Connection header. */
export function asksToClose(value: string): boolean {
  return closeOption.test(value);
}

const closeOption = /(?:^|[\t ,])close(?:$|[\t ,])/i;
const malformedLine: RequestHeadResult = { refusal: { status: 400, reason: 'the request line is malformed' } };
