import type { OutgoingHttpHeaders } from 'node:http2';
import { fieldsOf, type HeaderField, joinedValue } from '../http/field.ts';
import { checkedField, checkedLine, sentHeaders } from './request-head.ts';
import type { UpstreamHead, UpstreamRequest } from './upstream.ts';

/**
 * The head of a request as node:http2 takes it (RFC 9113 §8.3.1).
 * @throws TypeError for text that would break out of its place: whoever built the request has not checked it.
 */
export function http2RequestHead(request: UpstreamRequest, authority: string, secure: boolean): OutgoingHttpHeaders {
  const { method, target, body, streamed } = request;
  checkedLine(method, target);
  const head: Record<string, string | string[]> = {
    ...{ ':method': method, ':scheme': secure ? 'https' : 'http', ':authority': authority, ':path': target },
  };
  addFields(head, sentHeaders(request));
  const length = body?.length ?? (streamed === 'chunked' ? undefined : streamed);
  if (length !== undefined) head['content-length'] = String(length);
  return head;
}

/** Trailers as node:http2 takes them. @throws TypeError as above. */
export function http2Trailers(fields: readonly string[]): OutgoingHttpHeaders {
  const trailers: Record<string, string | string[]> = {};
  addFields(trailers, fields);
  return trailers;
}

function addFields(head: Record<string, string | string[]>, fields: readonly string[]): void {
  for (let i = 0; i < fields.length; i += 2) {
    const name = (fields[i] as string).toLowerCase();
    const value = fields[i + 1] as string;
    checkedField(name, value);
    const before = head[name];
    head[name] = before === undefined ? value : [before, value].flat();
  }
}

/** Status and header fields of an answer over HTTP/2. */
export class Http2ResponseHead implements UpstreamHead {
  readonly status: number;
  readonly contentLength: number | undefined;
  readonly isWhole: boolean;
  readonly #fields: readonly HeaderField[];

  private constructor(status: number, fields: readonly HeaderField[], isWhole: boolean, isHead: boolean) {
    this.status = status;
    this.#fields = fields;
    this.isWhole = isWhole;
    const length = this.header('content-length');
    this.contentLength = length !== undefined ? Number(length) : isWhole && !isHead ? 0 : undefined;
  }

  /**
   * @param raw name, value, name, value … as node:http2 has read and checked them (RFC 9113 §8.2).
   * @param about `isWhole`: the answer ends with its head. Answers to HEAD are about a body that they do not have.
   * @returns the head, or what is wrong with it.
   */
  static read(
    raw: readonly string[],
    about: { readonly isWhole: boolean; readonly requestMethod: string; readonly maxBytes: number },
  ): Http2ResponseHead | string {
    const all = readFields(raw, about.maxBytes);
    if (typeof all === 'string') return all;
    const status = all.find(({ name }) => name === ':status')?.value ?? '';
    if (!/^[2-5]\d\d$/.test(status)) return 'the status is malformed';
    const fields = all.filter(isRegular);
    const lengths = fields.filter(({ name }) => name === 'content-length');
    if (lengths.length > 1 || lengths.some(({ value }) => !/^\d{1,15}$/.test(value)))
      return 'Content-Length is not one number';
    return new Http2ResponseHead(Number(status), fields, about.isWhole, about.requestMethod === 'HEAD');
  }

  entries(): readonly string[] {
    return entriesOf(this.#fields);
  }

  header(name: string): string | undefined {
    return joinedValue(this.#fields, name);
  }
}

/** @returns name, value, name, value … of trailers, or what is wrong with them. */
export function readTrailers(raw: readonly string[], maxBytes: number): readonly string[] | string {
  const fields = readFields(raw, maxBytes);
  return typeof fields === 'string' ? fields : entriesOf(fields.filter(isRegular));
}

/** What a field takes beside its text (RFC 9113 §6.5.2). */
const fieldOverhead = 32;
/** A character that no value contains, or that would end one. */
const unsafe = /[^\t\x20-\x7e\x80-\xff]/;

function readFields(raw: readonly string[], maxBytes: number): readonly HeaderField[] | string {
  const fields = fieldsOf(raw);
  if (fields.some(({ value }) => unsafe.test(value))) return 'the value of a field has a control character';
  const bytes = fields.reduce((sum, { name, value }) => sum + name.length + value.length + fieldOverhead, 0);
  return bytes > maxBytes ? 'the head is too large' : fields;
}

function isRegular({ name }: HeaderField): boolean {
  return !name.startsWith(':');
}

function entriesOf(fields: readonly HeaderField[]): readonly string[] {
  return fields.flatMap(({ name, value }) => [name, value]);
}
