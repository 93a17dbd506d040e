import { type HeaderField, joinedValue } from '../http/field.ts';
import type { FieldLines } from '../http/field-lines.ts';
import type { BodyLength } from '../http/message-reader.ts';
import type { UpstreamHead } from './upstream.ts';

/** Status line and headers of an answer. */
export class ResponseHead implements UpstreamHead {
  readonly status: number;
  /** How the body ends (RFC 9112 §6.3). */
  readonly bodyLength: BodyLength;
  readonly contentLength: number | undefined;
  /** The connection may carry another exchange. */
  readonly keepAlive: boolean;
  /** For how long the peer says that it keeps the connection, in milliseconds; undefined if it does not say. */
  readonly keepAliveMs: number | undefined;
  readonly #fields: readonly HeaderField[];

  constructor(parts: HeadParts, bodyLength: BodyLength) {
    this.status = parts.status;
    this.bodyLength = bodyLength;
    this.contentLength = parts.contentLength;
    this.keepAlive = parts.minorVersion === 1 && bodyLength !== 'until-close' && !parts.closes;
    this.keepAliveMs = parts.keepAliveMs;
    this.#fields = parts.fields;
  }

  entries(): readonly string[] {
    return this.#fields.flatMap(({ name, value }) => [name, value]);
  }

  header(name: string): string | undefined {
    return joinedValue(this.#fields, name);
  }
}

/** What the lines of a head say. */
interface HeadParts {
  readonly status: number;
  readonly minorVersion: number;
  readonly fields: readonly HeaderField[];
  contentLength: number | undefined;
  chunked: boolean;
  closes: boolean;
  keepAliveMs: number | undefined;
}

/**
 * Parses a head, strictly: whatever two readers could understand differently is a problem (RFC 9112 §11).
 * @param text one character a byte, without the empty line at its end.
 * @param lines of the connection.
 * @param requestMethod answers to HEAD have no body.
 * @returns the head, or what is wrong with it.
 */
export function parseResponseHead(text: string, lines: FieldLines, requestMethod: string): ResponseHead | string {
  const firstEnd = text.indexOf('\r\n');
  const statusLine = statusLineForm.exec(firstEnd < 0 ? text : text.slice(0, firstEnd));
  if (!statusLine) return 'the status line is malformed';
  const fields = lines.read(text, firstEnd < 0 ? text.length : firstEnd + 2);
  if (typeof fields === 'string') return fields;
  const parts: HeadParts = {
    status: Number(statusLine[2]),
    minorVersion: Number(statusLine[1]),
    fields,
    contentLength: undefined,
    chunked: false,
    closes: false,
    keepAliveMs: undefined,
  };
  for (let i = 0; i < fields.length; i += 1) {
    const problem = noteField(parts, fields[i] as HeaderField);
    if (problem !== undefined) return problem;
  }
  if (parts.chunked && parts.contentLength !== undefined) return 'the body has both a length and a transfer coding';
  if (parts.chunked && parts.minorVersion === 0) return 'an HTTP/1.0 answer has a transfer coding';
  if (parts.chunked && (parts.status === 204 || parts.status < 200))
    return 'an answer without a body has a transfer coding';
  return new ResponseHead(parts, bodyLengthOf(parts, requestMethod));
}

const statusLineForm = /^HTTP\/1\.([01]) ([1-5]\d\d)(?: [\t\x20-\x7e\x80-\xff]*)?$/;

/** What a header says of the message that it stands in. @returns what is wrong with it. */
function noteField(parts: HeadParts, { name, value }: HeaderField): string | undefined {
  switch (name) {
    case 'content-length':
      if (parts.contentLength !== undefined || !/^\d{1,15}$/.test(value)) return 'Content-Length is not one number';
      parts.contentLength = Number(value);
      return undefined;
    case 'transfer-encoding':
      if (parts.chunked || value.toLowerCase() !== 'chunked') return 'the transfer coding is not chunked alone';
      parts.chunked = true;
      return undefined;
    case 'connection':
      if (/(?:^|[\s,])close(?:$|[\s,])/i.test(value)) parts.closes = true;
      return undefined;
    case 'keep-alive': {
      const seconds = /(?:^|[\s,])timeout=(\d{1,6})/i.exec(value)?.[1];
      if (seconds !== undefined) parts.keepAliveMs = Number(seconds) * 1_000;
      return undefined;
    }
    default:
      return undefined;
  }
}

function bodyLengthOf(parts: HeadParts, requestMethod: string): BodyLength {
  const { status } = parts;
  if (requestMethod === 'HEAD' || status < 200 || status === 204 || status === 304) return 0;
  return parts.chunked ? 'chunked' : (parts.contentLength ?? 'until-close');
}
