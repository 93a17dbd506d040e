import { firstValue, type HeaderField } from './field.ts';
import type { Refusal } from './http-server.ts';

/** A request head as the parser below us read it. */
export interface RawRequest {
  readonly method: string;
  readonly target: string;
  /** `1.1` or `2`. */
  readonly httpVersion: string;
  /** As received, one character a byte. */
  readonly fields: readonly HeaderField[];
  /** HTTP/2: the stream goes on behind the head, whether or not a header says for how long. */
  readonly hasBody?: boolean;
}

export interface GateLimits {
  readonly maxHeaders: number;
  readonly maxUrlBytes: number;
}

/** What the gate made of a head. */
export type GateResult = { readonly refusal: Refusal } | { readonly refusal: undefined; readonly head: PassedHead };

/** A head without ambiguity. */
export interface PassedHead {
  readonly path: string;
  readonly query: string;
  /** Lower case, without port; an IPv6 address keeps its brackets. */
  readonly host: string;
  readonly fields: readonly HeaderField[];
  /** From Content-Length; undefined when the body is chunked. 0 without a body. */
  readonly contentLength: number | undefined;
  readonly expectsContinue: boolean;
}

/**
 * The first thing that looks at a request. Only what every HTTP implementation reads alike may pass:
 *
 * 1. HTTP/1.1 or a stream of HTTP/2, a method of the list, origin-form target with one leading slash, nothing encoded that changes a path.
 * 2. Headers that must not repeat do not; values are visible ASCII; exactly one Host.
 * 3. The length of the body is known in one way only; GET and HEAD have none.
 */
export function passGate(request: RawRequest, limits: GateLimits): GateResult {
  const { method, target, fields } = request;
  const isHttp2 = request.httpVersion === '2';
  if (!isHttp2 && request.httpVersion !== '1.1') return refuse(400, 'only HTTP/1.1 and HTTP/2 are served');
  if (!methods.has(method)) return refuse(405, 'the method is not served');
  const targetRefusal = judgeTarget(target, limits.maxUrlBytes);
  if (targetRefusal) return { refusal: targetRefusal };
  if (fields.length > limits.maxHeaders) return refuse(431, 'too many headers');
  for (let i = 0; i < fields.length; i += 1) {
    const field = fields[i] as HeaderField;
    if (!field.isVisible) return refuse(400, 'a header value is not visible ASCII');
    if (field.standsOnce && isRepeated(fields, i)) return refuse(400, 'a header that must stand once is repeated');
  }

  const host = hostWithoutPort(firstValue(fields, 'host'));
  if (host === undefined) return refuse(400, 'the Host header is missing or malformed');
  const expect = firstValue(fields, 'expect');
  if (expect !== undefined && expect.toLowerCase() !== '100-continue') return refuse(417, 'the expectation is unknown');
  const coding = firstValue(fields, 'content-encoding');
  if (coding !== undefined && coding.toLowerCase() !== 'identity')
    return refuse(415, 'encoded bodies are not accepted');
  const contentLength = isHttp2 ? streamLength(request) : bodyLength(fields);
  if (contentLength === malformed) return refuse(400, 'the length of the body is not clear');
  if (contentLength !== 0 && (method === 'GET' || method === 'HEAD'))
    return refuse(400, `${method} must not have a body`);

  const mark = target.indexOf('?');
  const path = mark < 0 ? target : target.slice(0, mark);
  const query = mark < 0 ? '' : target.slice(mark + 1);
  const expectsContinue = expect !== undefined;
  return { refusal: undefined, head: { path, query, host, fields, contentLength, expectsContinue } };
}

const methods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);

/** Whether a method is one that the gate lets pass. */
export function isServedMethod(method: string): boolean {
  return methods.has(method);
}

/** For the Allow header of a 405. */
export const servedMethods = [...methods].join(', ');
/** One leading slash, then the characters of paths and queries (RFC 3986 §3.3, §3.4) and brackets. */
const plainTarget = /^\/(?!\/)[\w\-.~!$&'()*+,;=:@/?%[\]]*$/;
/** A NUL, slash, backslash or dot in disguise, or a percent sign that encodes nothing. */
const hiddenInPath = /%(?:00|2[ef]|5c|(?![0-9a-f]{2}))/i;
const dotSegment = /\/\.\.?(?:\/|$)/;
/** A name or IPv4 address, or an IPv6 address in brackets, and perhaps a port (RFC 3986 §3.2.2, LDH names only). */
const hostHeader = /^([a-z0-9_](?:[a-z0-9_.-]{0,252}[a-z0-9_.])?|\[[0-9a-f:.]{2,45}\])(?::\d{1,5})?$/i;
const malformed = -1;

function judgeTarget(target: string, maxUrlBytes: number): Refusal | undefined {
  if (target.length > maxUrlBytes) return { status: 414, reason: 'the target is too long' };
  if (!plainTarget.test(target)) return { status: 400, reason: 'the target is not a plain path' };
  const mark = target.indexOf('?');
  const path = mark < 0 ? target : target.slice(0, mark);
  const clean = !(path.includes('%') && hiddenInPath.test(path)) && !(path.includes('/.') && dotSegment.test(path));
  return clean ? undefined : { status: 400, reason: 'the path hides a separator or a dot segment' };
}

/** A field before this one has its name. */
function isRepeated(fields: readonly HeaderField[], position: number): boolean {
  const { name } = fields[position] as HeaderField;
  for (let i = 0; i < position; i += 1) if ((fields[i] as HeaderField).name === name) return true;
  return false;
}

function hostWithoutPort(value: string | undefined): string | undefined {
  return value === undefined ? undefined : hostHeader.exec(value)?.[1]?.toLowerCase();
}

/** @returns the length; 0 without a body, undefined for a chunked one, `malformed` if it cannot be told. */
function bodyLength(fields: readonly HeaderField[]): number | undefined {
  const length = firstValue(fields, 'content-length');
  const coding = firstValue(fields, 'transfer-encoding');
  if (coding !== undefined) return length === undefined && coding.toLowerCase() === 'chunked' ? undefined : malformed;
  if (length === undefined) return 0;
  return /^\d{1,15}$/.test(length) ? Number(length) : malformed;
}

/** Streams end by themselves: a coding of HTTP/1.1 has no place in them (RFC 9113 §8.2.2). */
function streamLength({ fields, hasBody }: RawRequest): number | undefined {
  if (firstValue(fields, 'transfer-encoding') !== undefined) return malformed;
  return hasBody === true && firstValue(fields, 'content-length') === undefined ? undefined : bodyLength(fields);
}

function refuse(status: number, reason: string): GateResult {
  return { refusal: { status, reason } };
}
