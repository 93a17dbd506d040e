import { changedHeaders } from '../http/header-changes.ts';
import type { UpstreamRequest } from './upstream.ts';

/**
 * Request line and headers, with their empty line.
 * @throws TypeError for text that would break out of its place: whoever built the request has not checked it.
 */
export function requestHead(request: UpstreamRequest, authority: string): string {
  const { method, target, body, streamed } = request;
  const headers = sentHeaders(request);
  checkedLine(method, target);
  let head = `${method} ${target} HTTP/1.1\r\nHost: ${authority}\r\n`;
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] as string;
    const value = headers[i + 1] as string;
    checkedField(name, value);
    head += `${name}: ${value}\r\n`;
  }
  if (streamed === 'chunked') return `${head}Transfer-Encoding: chunked\r\n\r\n`;
  if (streamed !== undefined) return `${head}Content-Length: ${streamed}\r\n\r\n`;
  if (body) return `${head}Content-Length: ${body.length}\r\n\r\n`;
  return methodsWithBody.has(method) ? `${head}Content-Length: 0\r\n\r\n` : `${head}\r\n`;
}

/** The header fields of a request, with what the endpoint's route changes in them. */
export function sentHeaders({ headers, peer }: UpstreamRequest): readonly string[] {
  return peer?.requestHeaders === undefined ? headers : changedHeaders(headers, peer.requestHeaders);
}

/** @throws TypeError for what would break out of a request line. */
export function checkedLine(method: string, target: string): void {
  if (!token.test(method) || !visible.test(target)) throw new TypeError('method or target of a request is malformed');
}

/** @throws TypeError for what would break out of a header line. */
export function checkedField(name: string, value: string): void {
  if (!token.test(name) || unsafe.test(value)) throw new TypeError(`the header ${JSON.stringify(name)} is malformed`);
}

const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const visible = /^[\x21-\x7e]+$/;
const unsafe = /[^\t\x20-\x7e\x80-\xff]/;
const methodsWithBody: ReadonlySet<string> = new Set(['POST', 'PUT', 'PATCH']);
