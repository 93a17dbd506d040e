import type { OutgoingHttpHeaders } from 'node:http2';
import { assertField } from './answer-head.ts';
import { fieldsOf } from './field.ts';
import type { Refusal } from './http-server.ts';
import type { RawRequest } from './request-gate.ts';

/** The head of a stream, or why it is not a request as the gate knows them. */
export type Http2HeadResult =
  | { readonly refusal: Refusal }
  | { readonly refusal: undefined; readonly request: RawRequest };

/**
 * Takes the fields of a stream apart (RFC 9113 §8.3.1), which node:http2 has checked one by one: the authority becomes the
 * Host header, pieces of cookies become one (§8.2.3). What the fields may be together is for the gate to say.
 * @param fields name, value, name, value …, names in lower case.
 * @param hasBody the stream goes on behind its head.
 * @param maxBytes of all fields, measured as clients are told to (RFC 9113 §6.5.2); node:http2 lets more pass.
 */
export function readHttp2Head(fields: readonly string[], hasBody: boolean, maxBytes: number): Http2HeadResult {
  const rawHeaders: string[] = [];
  const pseudo = { ':method': '', ':path': '', ':authority': '', ':scheme': '' };
  let cookie = -1;
  let bytes = 0;
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    const value = fields[i + 1] as string;
    bytes += name.length + value.length + fieldOverhead;
    if (name in pseudo) pseudo[name as keyof typeof pseudo] = value;
    else if (name === 'host') {
      // What is behind the authority must be the same host: nobody may read another one from it.
      if (pseudo[':authority'] === '') pseudo[':authority'] = value;
      else if (pseudo[':authority'] !== value) return otherHost;
    } else if (name === 'cookie' && cookie >= 0) {
      rawHeaders[cookie] += `; ${value}`;
    } else {
      rawHeaders.push(name, value);
      if (name === 'cookie') cookie = rawHeaders.length - 1;
    }
  }
  if (bytes > maxBytes) return tooLarge;
  if (pseudo[':scheme'] !== 'http' && pseudo[':scheme'] !== 'https') return otherScheme;
  rawHeaders.unshift('host', pseudo[':authority']);
  const request = {
    method: pseudo[':method'],
    target: pseudo[':path'],
    httpVersion: '2',
    fields: fieldsOf(rawHeaders),
    hasBody,
  };
  return { refusal: undefined, request };
}

/**
 * The head of an answer as node:http2 takes it, without what only HTTP/1.1 says.
 * @param contentLength undefined where it is not announced.
 * @throws TypeError for text that would break out of its place.
 */
export function http2AnswerHead(
  status: number,
  headers: readonly string[],
  contentLength: number | undefined,
): OutgoingHttpHeaders {
  const head: Record<string, string | string[]> = { ':status': String(status) };
  addFields(head, headers);
  if (contentLength !== undefined) head['content-length'] = String(contentLength);
  return head;
}

/** Trailers as node:http2 takes them. @throws TypeError as above. */
export function http2Fields(fields: readonly string[]): OutgoingHttpHeaders {
  const trailers: Record<string, string | string[]> = {};
  addFields(trailers, fields);
  return trailers;
}

function addFields(head: Record<string, string | string[]>, headers: readonly string[]): void {
  for (let i = 0; i < headers.length; i += 2) {
    const name = (headers[i] as string).toLowerCase();
    const value = headers[i + 1] as string;
    assertField(name, value);
    if (ofHttp1.has(name)) continue;
    const before = head[name];
    head[name] = before === undefined ? value : [before, value].flat();
  }
}

/** Fields of a connection, which have no place in HTTP/2 (RFC 9113 §8.2.2). */
const ofHttp1: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
]);
const fieldOverhead = 32;
const tooLarge: Http2HeadResult = { refusal: { status: 431, reason: 'the head is too large' } };
const otherHost: Http2HeadResult = { refusal: { status: 400, reason: 'the Host header is not the authority' } };
const otherScheme: Http2HeadResult = { refusal: { status: 400, reason: 'the scheme is not served' } };
