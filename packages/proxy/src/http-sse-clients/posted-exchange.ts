import type { BodySink, BodyWriter, Exchange, RequestHead } from '../http/exchange.ts';
import { headWith } from './head-with.ts';
import type { SseClient } from './sse-client.ts';

/**
 * A POST of a client of HTTP+SSE as phases see it: a message in its session. The POST is answered 202 as soon as the
 * message is on its way, or refused; the message's own answer goes on the client's stream.
 */
export class PostedExchange implements Exchange {
  readonly head: RequestHead;
  readonly client: SseClient;
  responseBytes = 0;
  readonly takesTrailers = false;
  readonly #posted: Exchange;
  #accepted = false;
  #settled = false;
  #onGone: (() => void) | undefined;

  constructor(posted: Exchange, client: SseClient) {
    const { head } = posted;
    const accept = 'application/json, text/event-stream';
    const headers = { 'mcp-session-id': client.session, 'mcp-protocol-version': undefined, accept };
    this.head = headWith(head, { method: head.method, headers });
    this.client = client;
    this.#posted = posted;
  }

  get answered(): boolean {
    return this.#accepted || this.#posted.answered;
  }

  get closed(): boolean {
    return this.#settled || (this.#accepted ? this.client.closed : this.#posted.closed);
  }

  body(maxBytes: number): ReturnType<Exchange['body']> {
    return this.#posted.body(maxBytes);
  }

  bodyTo(sink: BodySink): void {
    this.#posted.bodyTo(sink);
  }

  resumeBody(): void {
    this.#posted.resumeBody();
  }

  respond(status: number, headers: readonly string[], body: Buffer | string | undefined): boolean {
    if (this.closed) return true;
    if (status >= 400 && !this.#accepted) {
      this.#settled = true;
      return this.#posted.respond(status, headers, body);
    }
    this.#begin(headers);
    this.#say(body);
    return false;
  }

  stream(_status: number, headers: readonly string[]): BodyWriter {
    this.#begin(headers);
    return headers.includes('text/event-stream') ? this.#eventWriter() : this.#jsonWriter();
  }

  /** Whoever asks to hear of this sends the message on. */
  onClientGone(listener: () => void): void {
    this.#onGone = listener;
    this.#accept();
  }

  clientGone(): void {
    if (!this.#settled) this.#onGone?.();
    this.#settled = true;
  }

  #accept(): void {
    if (this.#accepted || this.#settled) return;
    this.#accepted = true;
    this.#posted.respond(202, [], undefined);
    this.client.accepted(this);
  }

  #begin(headers: readonly string[]): void {
    this.#accept();
    const at = headers.indexOf('Mcp-Session-Id');
    const session = at < 0 ? undefined : headers[at + 1];
    if (session !== undefined) this.client.begun(session);
  }

  #say(body: Buffer | string | undefined): void {
    this.#settle();
    if (body === undefined || body.length === 0) return;
    this.responseBytes += body.length;
    this.client.say(body);
  }

  #settle(): void {
    this.#settled = true;
    this.client.settled(this);
  }

  #eventWriter(): BodyWriter {
    const write = (chunk: Buffer | string): boolean => {
      if (this.#settled) return true;
      this.responseBytes += chunk.length;
      this.client.send(chunk);
      return true;
    };
    return {
      write,
      // The client's stream is paced by itself.
      onDrain: () => undefined,
      end: (chunk) => {
        if (chunk !== undefined) write(chunk);
        this.#settle();
      },
      abort: () => this.#breakOff(),
      bufferedBytes: 0,
    };
  }

  /** A large answer becomes one event, so it is gathered. */
  #jsonWriter(): BodyWriter {
    const chunks: Buffer[] = [];
    return {
      write: (chunk) => {
        chunks.push(Buffer.from(chunk as string));
        return true;
      },
      onDrain: () => undefined,
      end: (chunk) => {
        if (chunk !== undefined) chunks.push(Buffer.from(chunk as string));
        this.#say(Buffer.concat(chunks));
      },
      abort: () => this.#breakOff(),
      bufferedBytes: 0,
    };
  }

  #breakOff(): void {
    if (this.#settled) return;
    this.#settle();
    this.client.breakOff();
  }
}
