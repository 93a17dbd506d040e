import { encodeEvent, type SseEvent } from '../http/sse.ts';
import type { Span } from '../json/message.ts';
import type { PieceRewriter } from '../json/string-rewriter.ts';
import { findAnswerId } from './answer-id.ts';
import type { Standing } from './authorization.ts';
import type { Call } from './call.ts';
import { inspectResult, needsInspection } from './inspect-result.ts';
import { type Edit, splice, spliceBytes } from './splice.ts';

/** A whole answer, or the event that holds it, as its client gets it. */
export interface Rewritten {
  readonly bytes: Buffer;
  /** Protocol version that an `initialize` result names. */
  readonly version: string | undefined;
}

/** What else is changed in answers of a member of a federation. */
export interface MemberRewrite {
  /** Whether a whole answer may hold what has to be changed. */
  touches(bytes: Buffer): boolean;
  /** Changes of a whole answer, in no order; undefined when it is not a strict JSON-RPC answer. */
  edits(answer: Buffer): readonly Edit[] | undefined;
  /** Whether a large answer may go on in pieces, by how it begins. */
  mayPass(first: Buffer): boolean;
  /** Makes the changes in an answer that goes on in pieces; without it there are none. */
  pieces?(): PieceRewriter | undefined;
  /** Events keep their ids, and those that it does not touch stay as they came. */
  readonly keepsEvents?: boolean;
  /** Id of an event, as the client sees it. */
  eventId(id: string): string;
  /** Any event but the answer, as the client sees it; undefined when it is not for the client. */
  event(event: SseEvent, standing: Standing): Buffer | string | undefined;
}

/** Gives answers back under the client's id, and without what policy hides. */
export class AnswerRewriter {
  /** Raw JSON of the minted id. */
  readonly upstreamId: string;
  /** Answers must be seen whole before they go on. */
  readonly inspects: boolean;
  /** Undefined where the upstream's names are the client's. */
  readonly member: MemberRewrite | undefined;
  readonly #call: Call;
  readonly #request: Buffer;
  readonly #id: Span;

  /** @param id where the client's id stands in the request. */
  constructor(
    call: Call,
    { request, id }: { readonly request: Buffer; readonly id: Span },
    upstreamId: string,
    member?: MemberRewrite,
  ) {
    this.member = member;
    this.#call = call;
    this.inspects = needsInspection(call);
    this.#request = request;
    this.#id = id;
    this.upstreamId = upstreamId;
  }

  /** Raw JSON of the client's id. */
  get clientId(): string {
    return this.#request.toString('utf8', this.#id.start, this.#id.end);
  }

  /** By how many bytes an answer grows when it gets the client's id. */
  get growth(): number {
    return this.#id.end - this.#id.start - this.upstreamId.length;
  }

  /** Raw JSON of the client's id, in bytes that do not change. */
  get clientIdBytes(): Buffer {
    return this.#request.subarray(this.#id.start, this.#id.end);
  }

  /** The bytes with the client's id in place of the minted one. */
  restoreId(bytes: Buffer, at: Span): Buffer {
    return spliceBytes(bytes, at, { source: this.#request, from: this.#id });
  }

  /**
   * A whole answer that needs no inspection, with the client's id, written into `memory` if it has room.
   * @returns undefined when the bytes are not an answer to this request.
   */
  rewriteId(body: Buffer, memory: Buffer | undefined): Buffer | undefined {
    if (this.member?.touches(body) === true) return undefined;
    const id = findAnswerId(body, this.upstreamId, this.#call.services.limits.responseScan);
    return id && spliceBytes(body, id, { source: this.#request, from: this.#id }, memory);
  }

  /** @returns undefined when the bytes are not an answer to this request. */
  rewrite(body: Buffer, standing: Standing): Rewritten | undefined {
    const id = findAnswerId(body, this.upstreamId, this.#call.services.limits.responseScan);
    if (!id) return undefined;
    if (this.member) return this.#rewriteOfMember(body, id, this.member);
    if (!this.inspects) return { bytes: this.restoreId(body, id), version: undefined };
    const inspected = inspectResult(this.#call, standing, body);
    if (!inspected) return undefined;
    if (inspected.isPlainList) {
      this.#call.services.listMemory.remember({ call: this.#call, standing }, body, id, inspected.edits);
    }
    const edits = [...inspected.edits, { ...id, text: this.clientId }].sort((a, b) => a.start - b.start);
    return { bytes: splice(body, edits), version: inspected.version };
  }

  /**
   * The event that holds the answer, rewritten; undefined for every other event. Everything but the answer stays as it
   * came, so that a client can resume after the event's `id`.
   */
  rewriteEvent(event: SseEvent, standing: Standing): Rewritten | undefined {
    const { raw, data } = event;
    if (data === undefined || raw.indexOf(this.upstreamId, 0, 'latin1') < 0) return undefined;
    const line = this.inspects || this.#changes(raw) ? undefined : onlyDataLine(raw);
    if (line) {
      const json = raw.subarray(line.start, line.end);
      const id = findAnswerId(json, this.upstreamId, this.#call.services.limits.responseScan);
      if (!id) return undefined;
      const at = { start: line.start + id.start, end: line.start + id.end };
      return { bytes: this.restoreId(raw, at), version: undefined };
    }
    const answer = this.rewrite(Buffer.from(data, 'utf8'), standing);
    return answer && { bytes: reencode(event, answer.bytes, this.member), version: answer.version };
  }

  /** Whether an event may become another one by more than its id. */
  #changes(raw: Buffer): boolean {
    return this.member !== undefined && (this.member.keepsEvents !== true || this.member.touches(raw));
  }

  /** Whether a large answer may go on in pieces, by how it begins. */
  mayPass(first: Buffer): boolean {
    return !this.inspects && this.member?.mayPass(first) !== false;
  }

  #rewriteOfMember(body: Buffer, id: Span, member: MemberRewrite): Rewritten | undefined {
    const edits = member.edits(body);
    if (!edits) return undefined;
    if (edits.length === 0) return { bytes: this.restoreId(body, id), version: undefined };
    const all = [...edits, { ...id, text: this.clientId }].sort((a, b) => a.start - b.start);
    return { bytes: splice(body, all), version: undefined };
  }
}

/** Where the data of an event stands when it is on one line; undefined when it is on several. */
export function onlyDataLine(raw: Buffer): Span | undefined {
  const field = raw.indexOf('data:', 0, 'latin1');
  if (field < 0 || (field > 0 && !isLineEnd(raw[field - 1]))) return undefined;
  const value = field + 'data:'.length;
  const start = raw[value] === space ? value + 1 : value;
  let end = start;
  while (end < raw.length && !isLineEnd(raw[end])) end += 1;
  const another = raw.indexOf('data', end, 'latin1') >= 0;
  return another ? undefined : { start, end };
}

function reencode(event: SseEvent, data: Buffer, member: MemberRewrite | undefined): Buffer {
  const id = event.id === undefined ? {} : { id: member?.eventId(event.id) ?? event.id };
  const retry = event.retryMs === undefined ? {} : { retryMs: event.retryMs };
  return Buffer.from(encodeEvent({ ...id, ...retry, data: data.toString('utf8') }), 'utf8');
}

function isLineEnd(byte: number | undefined): boolean {
  return byte === 0x0a || byte === 0x0d;
}

const space = 0x20;
