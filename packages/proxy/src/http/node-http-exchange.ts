import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { notRostered } from '@signalbox/runtime';
import type { BodySink, BodyWriter, Exchange } from './exchange.ts';
import { GatedHead } from './gated-head.ts';
import type { PassedHead } from './request-gate.ts';

/** What an exchange needs from the server it came through. */
export interface ExchangeOwner {
  /** Answers close their connection from now on. */
  readonly draining: boolean;
  /** The exchange is over: its answer is out, or its client is gone. */
  finished(exchange: NodeHttpExchange): void;
}

/** Connection and parser objects of one request. */
export interface RequestParts {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly head: PassedHead;
}

/** One request and its answer over node:http. Its event handlers are shared; state is in fields. */
export class NodeHttpExchange implements Exchange {
  readonly head: GatedHead;
  readonly socket: Socket;
  place = notRostered;
  readonly #owner: ExchangeOwner;
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #contentLength: number | undefined;
  readonly #expectsContinue: boolean;
  #body: BodyCollector | undefined;
  #sink: BodySink | undefined;
  #answered = false;
  #complete = false;
  #gone = false;
  #clientGone: (() => void) | undefined;
  #lastOfConnection = false;
  #responseBytes = 0;
  /** When the sweep first saw that the client does not take the answer; 0 while it does. */
  #stalledSince = 0;

  constructor(owner: ExchangeOwner, parts: RequestParts) {
    const { request, response, head } = parts;
    this.#owner = owner;
    this.#request = request;
    this.#response = response;
    this.#contentLength = head.contentLength;
    this.#expectsContinue = head.expectsContinue;
    this.socket = request.socket;
    this.head = new GatedHead(request.method ?? '', head, request.socket);
    (response as OwnedResponse).exchange = this;
    response.on('close', onResponseClose);
  }

  body(maxBytes: number): Promise<Buffer | undefined> | Buffer | undefined {
    if (this.#body) throw new Error('the body of a request is read once');
    if (this.closed) return undefined;
    if (this.#contentLength === 0) return noBytes;
    const collector = new BodyCollector(this, maxBytes, this.#contentLength);
    this.#body = collector;
    if (this.#contentLength !== undefined && this.#contentLength > maxBytes) {
      this.tooLarge();
      return undefined;
    }
    if (this.#expectsContinue) this.#response.writeContinue();
    return collector.read(this.#request);
  }

  bodyTo(sink: BodySink): void {
    if (this.#body || this.#sink) throw new Error('the body of a request is read once');
    if (this.closed) return;
    if (this.#contentLength === 0) return sink.onBodyEnd();
    this.#sink = sink;
    const request = this.#request;
    if (this.#expectsContinue) this.#response.writeContinue();
    request.on('data', (chunk: Buffer) => {
      if (!this.#gone && !sink.onBodyData(chunk)) request.pause();
    });
    request.on('end', () => {
      if (!this.#gone) sink.onBodyEnd();
    });
  }

  resumeBody(): void {
    this.#request.resume();
  }

  respond(status: number, headers: readonly string[], body: Buffer | string | undefined): boolean {
    if (!this.#begin()) return true;
    const length = body === undefined ? 0 : typeof body === 'string' ? Buffer.byteLength(body) : body.length;
    const all = this.#headers(headers);
    if (mayHaveBody(status)) all.push('Content-Length', String(length));
    this.#complete = true;
    if (this.head.method !== 'HEAD') this.#responseBytes = length;
    this.#response.writeHead(status, all);
    if (body instanceof Buffer && length <= joinedBytes) this.#response.end(body.toString('latin1'), 'latin1');
    else this.#response.end(body);
    return false;
  }

  stream(status: number, headers: readonly string[], contentLength?: number): BodyWriter {
    const writer = new NodeHttpBodyWriter(this, this.#response);
    if (!this.#begin()) return writer;
    const all = this.#headers(headers);
    if (contentLength !== undefined) all.push('Content-Length', String(contentLength));
    this.#response.writeHead(status, all);
    // In the next tick, so that a head goes out with its first piece but does not wait for one.
    process.nextTick(flushHead, this.#response);
    return writer;
  }

  get closed(): boolean {
    return this.#complete || this.#gone;
  }

  onClientGone(listener: () => void): void {
    this.#clientGone = listener;
  }

  get responseBytes(): number {
    return this.#responseBytes;
  }

  /** True once a head was handed to the connection. */
  get answered(): boolean {
    return this.#answered;
  }

  /** The request is not yet there as a whole, and has no answer. */
  get awaitsBody(): boolean {
    return !this.#answered && !this.#request.complete;
  }

  /** Ends the connection once the answer is out. */
  endConnection(): void {
    this.#lastOfConnection = true;
    // The head may be out already, with a promise to keep the connection.
    if (this.#answered) this.#response.on('finish', () => this.socket.destroySoon());
  }

  /** The body exceeds its bound. */
  tooLarge(): void {
    this.respond(413, ['Connection', 'close'], undefined);
  }

  /** Counts a piece of a streamed answer. @returns false when nothing may be written any more. */
  accept(bytes: number): boolean {
    if (this.closed) return false;
    this.#responseBytes += bytes;
    return true;
  }

  /** The last piece of a streamed answer was written. */
  complete(): void {
    this.#complete = true;
  }

  /** The connection is over, or the answer is out. */
  connectionClosed(): void {
    const wasComplete = this.#response.writableFinished;
    this.#gone = true;
    this.#owner.finished(this);
    this.#body?.abandon();
    if (!wasComplete) this.#clientGone?.();
  }

  /** Whether the client has kept its answer waiting for longer than it may. Called by the sweep. */
  isStalled(now: number, writeTimeoutMs: number, minBytesPerSecond: number): boolean {
    const response = this.#response;
    const waiting = this.#complete || response.writableNeedDrain;
    if (!waiting) {
      this.#stalledSince = 0;
      return false;
    }
    if (this.#stalledSince === 0) this.#stalledSince = now;
    // A finished answer may be large: it gets time by its size. A stream is asked to keep up.
    const extraMs = this.#complete ? (this.#responseBytes / minBytesPerSecond) * 1_000 : 0;
    return now - this.#stalledSince > writeTimeoutMs + extraMs;
  }

  #begin(): boolean {
    if (this.#answered) throw new Error('a request is answered once');
    if (this.closed) return false;
    this.#answered = true;
    return true;
  }

  /** Headers of the answer, with `Connection: close` where the connection cannot go on. */
  #headers(headers: readonly string[]): string[] {
    const all = headers.slice();
    const length = this.#contentLength;
    const kept = length !== undefined && length <= discardableBytes && !this.#sink;
    const unread = length !== 0 && !this.#request.complete && !kept;
    const unanswered = this.#expectsContinue && !this.#body && !this.#sink;
    const last = this.#lastOfConnection || this.#owner.draining || unread || unanswered;
    if (last && !all.includes('close')) all.push('Connection', 'close');
    return all;
  }
}

/** Gathers a body of bounded size. */
class BodyCollector {
  readonly #exchange: NodeHttpExchange;
  readonly #maxBytes: number;
  readonly #expected: number | undefined;
  readonly #chunks: Buffer[] = [];
  #length = 0;
  #resolve: ((body: Buffer | undefined) => void) | undefined;

  constructor(exchange: NodeHttpExchange, maxBytes: number, expected: number | undefined) {
    this.#exchange = exchange;
    this.#maxBytes = maxBytes;
    this.#expected = expected;
  }

  read(request: IncomingMessage): Promise<Buffer | undefined> {
    (request as OwnedRequest).collector = this;
    request.on('data', onRequestData);
    if (this.#expected === undefined) request.on('end', onRequestEnd);
    return new Promise((resolve) => void (this.#resolve = resolve));
  }

  /** @returns false when no more is wanted. */
  take(chunk: Buffer): boolean {
    this.#length += chunk.length;
    if (this.#length > this.#maxBytes) {
      this.#settle(undefined);
      this.#exchange.tooLarge();
      return false;
    }
    this.#chunks.push(chunk);
    if (this.#length === this.#expected) this.end();
    return true;
  }

  end(): void {
    this.#settle(this.#chunks.length === 1 ? this.#chunks[0] : Buffer.concat(this.#chunks));
  }

  /** The client left. */
  abandon(): void {
    this.#settle(undefined);
  }

  #settle(body: Buffer | undefined): void {
    const resolve = this.#resolve;
    this.#resolve = undefined;
    resolve?.(body);
    this.#chunks.length = 0;
  }
}

/** The body of a streamed answer. */
class NodeHttpBodyWriter implements BodyWriter {
  readonly #exchange: NodeHttpExchange;
  readonly #response: ServerResponse;
  #drain: (() => void) | undefined;

  constructor(exchange: NodeHttpExchange, response: ServerResponse) {
    this.#exchange = exchange;
    this.#response = response;
    response.on('drain', () => this.#drain?.());
  }

  write(chunk: Buffer | string): boolean {
    return this.#exchange.accept(Buffer.byteLength(chunk)) && this.#response.write(chunk);
  }

  onDrain(listener: () => void): void {
    this.#drain = listener;
  }

  end(chunk?: Buffer | string): void {
    if (!this.#exchange.accept(chunk === undefined ? 0 : Buffer.byteLength(chunk))) return;
    this.#exchange.complete();
    this.#response.end(chunk);
  }

  abort(): void {
    this.#response.destroy();
  }

  get bufferedBytes(): number {
    return this.#response.writableLength;
  }
}

interface OwnedRequest extends IncomingMessage {
  collector?: BodyCollector;
}

interface OwnedResponse extends ServerResponse {
  exchange?: NodeHttpExchange;
}

/** Bytes of an unread body that are cheaper to read and forget than to lose the connection for. */
const discardableBytes = 65_536;
/** Answers up to this size go out in one write with their head, which node:http does for text only. */
const joinedBytes = 16_384;
const noBytes = Buffer.alloc(0);

function mayHaveBody(status: number): boolean {
  return status !== 204 && status !== 304;
}

function onResponseClose(this: ServerResponse): void {
  (this as OwnedResponse).exchange?.connectionClosed();
}

function onRequestData(this: IncomingMessage, chunk: Buffer): void {
  if (!(this as OwnedRequest).collector?.take(chunk)) this.off('data', onRequestData).resume();
}

function onRequestEnd(this: IncomingMessage): void {
  (this as OwnedRequest).collector?.end();
}

function flushHead(response: ServerResponse): void {
  if (!response.destroyed) response.flushHeaders();
}
