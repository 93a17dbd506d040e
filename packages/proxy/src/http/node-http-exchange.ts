import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { BodyCollector, passBodyOn } from './body-collector.ts';
import type { BodySink, BodyWriter, Exchange } from './exchange.ts';
import { GatedHead } from './gated-head.ts';
import { byteLength, discardableBytes, mayHaveBody, OpenExchange } from './open-exchange.ts';
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
export class NodeHttpExchange extends OpenExchange implements Exchange {
  readonly takesTrailers = false;
  readonly head: GatedHead;
  readonly socket: Socket;
  readonly #owner: ExchangeOwner;
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #contentLength: number | undefined;
  readonly #expectsContinue: boolean;
  #body: BodyCollector | undefined;
  #sink: BodySink | undefined;
  #lastOfConnection = false;

  constructor(owner: ExchangeOwner, parts: RequestParts) {
    super();
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
    const collector = new BodyCollector(maxBytes, this.#contentLength, () => this.#tooLarge());
    this.#body = collector;
    if (this.#contentLength !== undefined && this.#contentLength > maxBytes) {
      this.#tooLarge();
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
    if (this.#expectsContinue) this.#response.writeContinue();
    passBodyOn(this.#request, sink, this);
  }

  resumeBody(): void {
    this.#request.resume();
  }

  respond(status: number, headers: readonly string[], body: Buffer | string | undefined): boolean {
    if (!this.mayBegin()) return true;
    const length = byteLength(body);
    const all = this.#headers(headers);
    if (mayHaveBody(status)) all.push('Content-Length', String(length));
    this.begun();
    if (this.head.method !== 'HEAD') this.accept(length);
    this.completed();
    this.#response.writeHead(status, all);
    if (body instanceof Buffer && length <= joinedBytes) this.#response.end(body.toString('latin1'), 'latin1');
    else this.#response.end(body);
    return false;
  }

  stream(status: number, headers: readonly string[], contentLength?: number): BodyWriter {
    const writer = new NodeHttpBodyWriter(this, this.#response);
    if (!this.mayBegin()) return writer;
    this.begun();
    const all = this.#headers(headers);
    if (contentLength !== undefined) all.push('Content-Length', String(contentLength));
    this.#response.writeHead(status, all);
    // In the next tick, so that a head goes out with its first piece but does not wait for one.
    process.nextTick(flushHead, this.#response);
    return writer;
  }

  protected get needsDrain(): boolean {
    return this.#response.writableNeedDrain;
  }

  cutOff(): void {
    this.socket.destroy();
  }

  /** The request is not yet there as a whole, and has no answer. */
  get awaitsBody(): boolean {
    return !this.answered && !this.#request.complete;
  }

  /** Ends the connection once the answer is out. */
  endConnection(): void {
    this.#lastOfConnection = true;
    // The head may be out already, with a promise to keep the connection.
    if (this.answered) this.#response.on('finish', () => this.socket.destroySoon());
  }

  /** The last piece of a streamed answer was written. */
  streamEnded(): void {
    this.completed();
  }

  /** The connection is over, or the answer is out. */
  connectionClosed(): void {
    const delivered = this.#response.writableFinished;
    this.#owner.finished(this);
    this.#body?.abandon();
    this.ended(delivered);
  }

  #tooLarge(): void {
    this.respond(413, ['Connection', 'close'], undefined);
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
    this.#exchange.streamEnded();
    this.#response.end(chunk);
  }

  abort(): void {
    this.#response.destroy();
  }

  get bufferedBytes(): number {
    return this.#response.writableLength;
  }
}

interface OwnedResponse extends ServerResponse {
  exchange?: NodeHttpExchange;
}

/** Answers up to this size go out in one write with their head, which node:http does for text only. */
const joinedBytes = 16_384;
const noBytes = Buffer.alloc(0);

function onResponseClose(this: ServerResponse): void {
  (this as OwnedResponse).exchange?.connectionClosed();
}

function flushHead(response: ServerResponse): void {
  if (!response.destroyed) response.flushHeaders();
}
