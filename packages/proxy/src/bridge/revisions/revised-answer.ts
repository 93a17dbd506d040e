import { encodeEvent, type SseEvent, type SseHandler, SseParser } from '../../http/sse.ts';
import type { RequestLimits } from '../../mcp/request-limits.ts';
import type { UpstreamError, UpstreamHandler, UpstreamHead } from '../../upstream/upstream.ts';
import { eventType, headOf, jsonType } from '../local-answer.ts';
import { messagesIn } from '../messages-in.ts';
import { reviseMessage } from './revise-message.ts';

/** What a server says to a client of another revision, and how its requests are refused that the client cannot answer. */
export interface Revision {
  /** The client's. */
  readonly version: string;
  /** @param answer whole JSON-RPC message. */
  reply(answer: string): void;
}

/**
 * An answer, or a GET stream, of a server on its way to a client of an older revision; batches, which only 2025-03-26 has,
 * become messages one after the other.
 */
export class RevisedAnswer implements UpstreamHandler, SseHandler {
  readonly #handler: UpstreamHandler;
  readonly #revision: Revision;
  readonly #limits: RequestLimits;
  #head: UpstreamHead | undefined;
  #events: SseParser | undefined;
  /** Body that must be seen whole; undefined when it goes on as it comes. */
  #chunks: Buffer[] | undefined;
  #held = 0;
  #over = false;

  constructor(handler: UpstreamHandler, revision: Revision, limits: RequestLimits) {
    this.#handler = handler;
    this.#revision = revision;
    this.#limits = limits;
  }

  onHead(head: UpstreamHead): void {
    const type = head.header('content-type') ?? '';
    this.#head = head;
    if (type.startsWith('text/event-stream')) this.#events = new SseParser(this.#limits.eventBytes, this);
    else if (type.startsWith('application/json')) this.#chunks = [];
    if (!this.#chunks) this.#handler.onHead(head);
  }

  onData(chunk: Buffer, lent: boolean): boolean | void {
    if (this.#over) return;
    if (this.#events) return this.#events.push(lent ? Buffer.from(chunk) : chunk);
    if (!this.#chunks) return this.#handler.onData(chunk, lent);
    this.#held += chunk.length;
    if (this.#held > this.#limits.heldAnswerBytes) return this.onTooLarge();
    this.#chunks.push(lent ? Buffer.from(chunk) : chunk);
  }

  onEnd(): void {
    this.#events?.end();
    if (this.#over) return;
    if (this.#chunks) this.#deliver(Buffer.concat(this.#chunks));
    this.#handler.onEnd();
  }

  onError(error: UpstreamError): void {
    if (!this.#over) this.#handler.onError(error);
  }

  onTooLarge(): void {
    if (this.#over) return;
    this.#over = true;
    this.#handler.onError({ code: 'protocol', message: 'the answer of the server is too large', notAccepted: false });
  }

  onEvent(event: SseEvent): void {
    const { id, retryMs, dataBytes, raw } = event;
    const more = { ...(id === undefined ? {} : { id }), ...(retryMs === undefined ? {} : { retryMs }) };
    if (dataBytes === undefined || dataBytes.length === 0) {
      // Older revisions know no events without data; the id counts without them.
      const isPriming = dataBytes !== undefined && this.#revision.version < '2025-11-25';
      return this.#write(isPriming ? encodeEvent(more) : raw);
    }
    const given = messagesIn(Buffer.from(dataBytes), this.#limits.responseScan);
    if (given.length === 0) return this.#write(raw);
    const revised = given.map((message) => this.#revise(message));
    const [only] = revised;
    if (given.length === 1 && only === given[0]?.bytes) return this.#write(raw);
    const kept = revised.filter((bytes) => bytes !== undefined);
    if (kept.length === 0 && id !== undefined) return this.#write(encodeEvent(more));
    for (const [at, bytes] of kept.entries()) {
      // Who comes back after a part of it misses nothing: the event is known by its last message.
      const named = at === kept.length - 1 ? more : {};
      this.#write(encodeEvent({ ...named, data: bytes.toString('utf8') }));
    }
  }

  #deliver(body: Buffer): void {
    const head = this.#head as UpstreamHead;
    const given = messagesIn(body, this.#limits.responseScan);
    const revised = given.map((message) => this.#revise(message)).filter((bytes) => bytes !== undefined);
    const [only] = revised;
    if (given.length === 0) this.#send(head, body);
    else if (revised.length === 1 && only) this.#send(head, only);
    else {
      this.#handler.onHead(headOf(head.status, eventType, undefined));
      for (const bytes of revised) this.#write(encodeEvent({ data: bytes.toString('utf8') }));
    }
  }

  #send(head: UpstreamHead, body: Buffer): void {
    this.#handler.onHead(headOf(head.status, jsonType, body.length));
    if (body.length > 0) this.#handler.onData(body, false);
  }

  /** @returns undefined for what is not for the client. */
  #revise(message: ReturnType<typeof messagesIn>[number]): Buffer | undefined {
    const revised = reviseMessage(message, this.#revision.version);
    if (revised.kind === 'message') return revised.bytes;
    if (revised.kind === 'refused' && message.id) {
      const id = message.bytes.toString('utf8', message.id.start, message.id.end);
      const error = JSON.stringify({ code: revised.code, message: revised.reason });
      this.#revision.reply(`{"jsonrpc":"2.0","id":${id},"error":${error}}`);
    }
    return undefined;
  }

  #write(event: Buffer | string): void {
    this.#handler.onData(typeof event === 'string' ? Buffer.from(event) : event, false);
  }
}
