import { constants, type ServerHttp2Stream } from 'node:http2';
import { BodyCollector, passBodyOn } from './body-collector.ts';
import type { BodySink, BodyWriter, Exchange } from './exchange.ts';
import type { GatedHead } from './gated-head.ts';
import { http2AnswerHead, http2Fields } from './http2-head.ts';
import type { AnnouncedBody } from './http1-exchange.ts';
import { byteLength, mayHaveBody, OpenExchange } from './open-exchange.ts';

/** One request and its answer over a stream of HTTP/2. */
export class Http2Exchange extends OpenExchange implements Exchange {
  readonly head: GatedHead;
  readonly takesTrailers = true;
  readonly #stream: ServerHttp2Stream;
  readonly #contentLength: number | undefined;
  readonly #expectsContinue: boolean;
  readonly #tick: number;
  #body: BodyCollector | undefined;
  #sink: BodySink | undefined;
  /** Our side could not go on. */
  #isBrokenOff = false;

  /** @param tick of the sweep at which the request came. */
  constructor(stream: ServerHttp2Stream, head: GatedHead, body: AnnouncedBody, tick: number) {
    super();
    this.head = head;
    this.#stream = stream;
    this.#contentLength = body.contentLength;
    this.#expectsContinue = body.expectsContinue;
    this.#tick = tick;
  }

  body(maxBytes: number): Promise<Buffer | undefined> | Buffer | undefined {
    if (this.#body) throw new Error('the body of a request is read once');
    if (this.closed || !this.#isOpen) return undefined;
    if (this.#contentLength === 0) return noBytes;
    this.#body = new BodyCollector(maxBytes, undefined, () => this.#tooLarge());
    if (this.#contentLength !== undefined && this.#contentLength > maxBytes) {
      this.#tooLarge();
      return undefined;
    }
    if (this.#expectsContinue) this.#stream.additionalHeaders({ ':status': 100 });
    return this.#body.read(this.#stream);
  }

  bodyTo(sink: BodySink): void {
    if (this.#body || this.#sink) throw new Error('the body of a request is read once');
    if (this.closed || !this.#isOpen) return;
    if (this.#contentLength === 0) return sink.onBodyEnd();
    this.#sink = sink;
    if (this.#expectsContinue) this.#stream.additionalHeaders({ ':status': 100 });
    passBodyOn(this.#stream, sink, this);
  }

  resumeBody(): void {
    this.#stream.resume();
  }

  respond(status: number, headers: readonly string[], body: Buffer | string | undefined): boolean {
    if (!this.mayBegin()) return true;
    const length = byteLength(body);
    const hasBody = mayHaveBody(status);
    const isSent = hasBody && length > 0 && this.head.method !== 'HEAD';
    const head = http2AnswerHead(status, headers, hasBody ? length : undefined);
    this.begun();
    if (isSent) this.accept(length);
    this.#stream.respond(head, { endStream: !isSent });
    if (isSent) this.#stream.end(body);
    this.answerEnded();
    return false;
  }

  stream(status: number, headers: readonly string[], contentLength?: number, trails = false): BodyWriter {
    const hasBody = mayHaveBody(status) && this.head.method !== 'HEAD';
    const waitForTrailers = trails && hasBody;
    const writer = new Http2BodyWriter(this, this.#stream, { hasBody, announced: contentLength, waitForTrailers });
    if (!this.mayBegin()) return writer;
    const head = http2AnswerHead(status, headers, mayHaveBody(status) ? contentLength : undefined);
    this.begun();
    this.#stream.respond(head, { endStream: !hasBody, waitForTrailers });
    return writer;
  }

  /** Between the reset of a stream and its `close` event node:http2 throws at whoever answers it. */
  protected override mayBegin(): boolean {
    return super.mayBegin() && this.#isOpen;
  }

  get #isOpen(): boolean {
    return !this.#stream.closed && !this.#stream.destroyed;
  }

  protected get needsDrain(): boolean {
    return this.#stream.writableNeedDrain;
  }

  cutOff(): void {
    reset(this.#stream);
  }

  /** The answer cannot be completed: its client is to see that. */
  breakOff(): void {
    this.#isBrokenOff = true;
    reset(this.#stream);
  }

  /** The last piece of the answer was handed over. */
  answerEnded(): void {
    this.completed();
    this.leaveRequest();
  }

  /** The last piece of the answer was handed over, but for its trailers. */
  awaitTrailers(): void {
    this.completed();
  }

  /** What is left of the request is not waited for (RFC 9113 §8.1). */
  leaveRequest(): void {
    const stream = this.#stream;
    if (!stream.endAfterHeaders && !stream.readableEnded) stream.close(constants.NGHTTP2_NO_ERROR);
  }

  /** The stream is over. @returns false when its client cut it short. */
  streamClosed(): boolean {
    // A stream may be closed, all of it sent, before it tells of its `finish`.
    const { aborted, rstCode } = this.#stream;
    const delivered = this.closed && !aborted && rstCode === constants.NGHTTP2_NO_ERROR;
    this.#body?.abandon();
    this.ended(delivered);
    return delivered || this.#isBrokenOff;
  }

  /** Called by the sweep. @param maxTicks that a body may take. */
  checkTime(tick: number, maxTicks: number): void {
    const stream = this.#stream;
    const isWhole = this.#contentLength === 0 || stream.endAfterHeaders || stream.readableEnded;
    // Whoever passes a body on sees to it that it does not take for ever.
    if (isWhole || this.#sink || this.answered || this.closed || tick - this.#tick <= maxTicks) return;
    this.respond(408, [], undefined);
    this.#body?.abandon();
  }

  #tooLarge(): void {
    this.respond(413, [], undefined);
  }
}

/**
 * The body of a streamed answer. node:http2 sends the head with the first piece, or in the next turn of the loop.
 *
 * No empty piece is ever written: as the last of several that wait, it makes Node 24 let go of the memory of the others
 * before they are sent, and what stands there by then goes out instead.
 */
class Http2BodyWriter implements BodyWriter {
  readonly #exchange: Http2Exchange;
  readonly #stream: ServerHttp2Stream;
  readonly #hasBody: boolean;
  readonly #announced: number | undefined;
  readonly #waitsForTrailers: boolean;
  #trailers: readonly string[] = [];
  #drain: (() => void) | undefined;

  constructor(exchange: Http2Exchange, stream: ServerHttp2Stream, form: AnswerForm) {
    this.#exchange = exchange;
    this.#stream = stream;
    this.#hasBody = form.hasBody;
    this.#announced = form.announced;
    this.#waitsForTrailers = form.waitForTrailers;
    stream.on('drain', () => this.#drain?.());
    if (form.waitForTrailers) stream.on('wantTrailers', () => this.#sendTrailers());
  }

  write(chunk: Buffer | string): boolean {
    const length = byteLength(chunk);
    if (!this.#accept(length)) return false;
    if (!this.#hasBody || length === 0) return !this.#stream.writableNeedDrain;
    return this.#stream.write(chunk);
  }

  onDrain(listener: () => void): void {
    this.#drain = listener;
  }

  end(chunk?: Buffer | string, trailers: readonly string[] = []): void {
    const length = byteLength(chunk);
    if (!this.#accept(length)) return;
    if (this.#hasBody && this.#exchange.responseBytes < (this.#announced ?? 0)) return this.abort();
    this.#trailers = trailers;
    if (this.#hasBody) this.#stream.end(length > 0 ? chunk : undefined);
    if (this.#waitsForTrailers) this.#exchange.awaitTrailers();
    else this.#exchange.answerEnded();
  }

  #sendTrailers(): void {
    const stream = this.#stream;
    if (stream.closed || stream.destroyed) return;
    stream.sendTrailers(http2Fields(this.#trailers));
    // node:http2 sends them in the next turn, and a reset would overtake them.
    setImmediate(() => this.#exchange.leaveRequest());
  }

  abort(): void {
    if (!this.#exchange.closed) this.#exchange.breakOff();
  }

  get bufferedBytes(): number {
    return this.#exchange.closed ? 0 : this.#stream.writableLength;
  }

  /** @returns false when nothing may be written any more; more than was announced breaks the answer off. */
  #accept(length: number): boolean {
    if (!this.#exchange.accept(length)) return false;
    if (this.#announced === undefined || this.#exchange.responseBytes <= this.#announced) return true;
    this.abort();
    return false;
  }
}

/** What an answer in pieces is like. */
interface AnswerForm {
  readonly hasBody: boolean;
  /** Its length, if that is known. */
  readonly announced: number | undefined;
  readonly waitForTrailers: boolean;
}

const noBytes = Buffer.alloc(0);

/** Resets a stream. Its `close` would end it first, as if all of the answer had been sent. */
function reset(stream: ServerHttp2Stream): void {
  stream.destroy(new Error('the answer was broken off'));
}
