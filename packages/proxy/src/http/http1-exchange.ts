import type { BodySink, BodyWriter, Exchange } from './exchange.ts';
import type { GatedHead } from './gated-head.ts';
import { Http1BodyWriter } from './http1-body-writer.ts';
import { byteLength, discardableBytes, mayHaveBody, OpenExchange } from './open-exchange.ts';
import { RequestBody } from './request-body.ts';

/** What an exchange needs from the connection it came over. */
export interface ExchangeConnection {
  /**
   * Status line and headers of the answer, without the empty line. Decides whether the connection goes on.
   * @param last the connection must end with this answer.
   */
  answerHead(status: number, headers: readonly string[], last: boolean): string;
  /** Sends text of one character a byte, bytes of a body behind it, and text behind those. */
  send(before: string, body: Buffer | string | undefined, after?: string): void;
  /** Sends `100 Continue`. */
  sendContinue(): void;
  /** The answer was handed over as a whole. */
  answerComplete(exchange: Http1Exchange): void;
  /** The answer cannot be completed: whoever reads it is to see that. */
  breakOff(): void;
  pauseReading(): void;
  resumeReading(): void;
  /** What the client has not taken yet exceeds the buffer. */
  readonly needsDrain: boolean;
  readonly bufferedBytes: number;
}

/** How the body of a request is announced. */
export interface AnnouncedBody {
  /** Undefined when it is chunked. */
  readonly contentLength: number | undefined;
  readonly expectsContinue: boolean;
}

/** One request and its answer over our own codec. The connection feeds it, and hears of its answer. */
export class Http1Exchange extends OpenExchange implements Exchange {
  readonly takesTrailers = false;
  readonly head: GatedHead;
  readonly #connection: ExchangeConnection;
  readonly #contentLength: number | undefined;
  readonly #expectsContinue: boolean;
  #body: RequestBody | undefined;
  /** Whom the pieces of the body go to, if not to `#body`. */
  #sink: BodySink | undefined;
  #bodyComplete = false;
  #bodyAsked = false;
  #paused = false;
  #maxBytes = heldBytes;
  #isTooLarge = false;
  #resolve: ((body: Buffer | undefined) => void) | undefined;
  #writer: Http1BodyWriter | undefined;

  constructor(connection: ExchangeConnection, head: GatedHead, body: AnnouncedBody) {
    super();
    this.head = head;
    this.#connection = connection;
    this.#contentLength = body.contentLength;
    this.#expectsContinue = body.expectsContinue;
  }

  body(maxBytes: number): Promise<Buffer | undefined> | Buffer | undefined {
    if (this.#bodyAsked) throw new Error('the body of a request is read once');
    if (this.closed) return undefined;
    if (this.#contentLength === 0) return noBytes;
    this.#bodyAsked = true;
    this.#maxBytes = maxBytes;
    const announced = this.#contentLength ?? this.#body?.length ?? 0;
    if (announced > maxBytes) {
      this.#tooLarge();
      return undefined;
    }
    if (this.#bodyComplete) return this.#takeBody();
    if (this.#expectsContinue) this.#connection.sendContinue();
    this.#goOnReading();
    return new Promise((resolve) => void (this.#resolve = resolve));
  }

  bodyTo(sink: BodySink): void {
    if (this.#bodyAsked) throw new Error('the body of a request is read once');
    if (this.closed) return;
    this.#bodyAsked = true;
    const held = this.#takeBody();
    const takesMore = held.length === 0 || sink.onBodyData(held);
    if (this.#bodyComplete || this.#contentLength === 0) return sink.onBodyEnd();
    this.#sink = sink;
    if (this.#expectsContinue) this.#connection.sendContinue();
    if (takesMore) this.#goOnReading();
    else this.#stopReading();
  }

  resumeBody(): void {
    this.#goOnReading();
  }

  /** The body is passed on as it comes: whoever takes it sees to it that it does not take for ever. */
  get passesBodyOn(): boolean {
    return this.#sink !== undefined;
  }

  respond(status: number, headers: readonly string[], body: Buffer | string | undefined): boolean {
    if (!this.mayBegin()) return true;
    const head = this.#connection.answerHead(status, headers, this.#leavesUnread);
    const length = byteLength(body);
    const hasBody = mayHaveBody(status);
    const isSent = hasBody && this.head.method !== 'HEAD';
    this.#begin();
    if (isSent) this.accept(length);
    this.completed();
    this.#connection.send(
      hasBody ? `${head}Content-Length: ${length}\r\n\r\n` : `${head}\r\n`,
      isSent ? body : undefined,
    );
    const isTaken = this.#connection.bufferedBytes === 0;
    this.#connection.answerComplete(this);
    return isTaken;
  }

  stream(status: number, headers: readonly string[], contentLength?: number): BodyWriter {
    if (!this.mayBegin()) return new Http1BodyWriter(this, this.#connection, '', 'none');
    const head = this.#connection.answerHead(status, headers, this.#leavesUnread);
    this.#begin();
    const hasBody = mayHaveBody(status) && this.head.method !== 'HEAD';
    const framing = hasBody ? (contentLength ?? 'chunked') : 'none';
    const announced = contentLength !== undefined && mayHaveBody(status) ? `Content-Length: ${contentLength}\r\n` : '';
    const coding = framing === 'chunked' ? 'Transfer-Encoding: chunked\r\n' : '';
    const writer = new Http1BodyWriter(this, this.#connection, `${head}${announced}${coding}\r\n`, framing);
    this.#writer = writer;
    // In the next tick, so that a head goes out with its first piece but does not wait for one.
    process.nextTick(flushHead, writer);
    return writer;
  }

  protected get needsDrain(): boolean {
    return this.#connection.needsDrain;
  }

  cutOff(): void {
    this.#connection.breakOff();
  }

  /** Takes a piece of the body, which must not change afterwards. */
  bodyPiece(bytes: Buffer, start: number, end: number): void {
    if (this.gone) return;
    if (this.#sink) {
      if (!this.#sink.onBodyData(bytes.subarray(start, end))) this.#stopReading();
      return;
    }
    if (this.answered) return;
    const body = (this.#body ??= new RequestBody());
    body.add(bytes, start, end);
    if (this.#bodyAsked && body.length > this.#maxBytes) this.#tooLarge();
    else if (!this.#bodyAsked && body.length >= heldBytes && !this.#paused) {
      // Nobody has asked for it yet.
      this.#stopReading();
    }
  }

  /** The request was read whole. */
  get bodyComplete(): boolean {
    return this.#bodyComplete;
  }

  /** The body is there as a whole. */
  bodyEnd(): void {
    this.#bodyComplete = true;
    const sink = this.#sink;
    this.#sink = undefined;
    if (sink && !this.gone) sink.onBodyEnd();
    if (this.#resolve) this.#settle(this.#takeBody());
  }

  /** The last piece of a streamed answer was handed over. */
  streamEnded(): void {
    this.completed();
    this.#connection.answerComplete(this);
  }

  /** The client has taken what waited for it. */
  drained(): void {
    if (!this.closed) this.#writer?.drained();
  }

  /** The connection is over, or the answer is out. @param delivered all of the answer has left. */
  over(delivered: boolean): void {
    if (this.gone) return;
    this.#body = undefined;
    this.#sink = undefined;
    this.#goOnReading();
    this.#settle(undefined);
    this.ended(delivered);
  }

  #begin(): void {
    this.begun();
    this.#body = undefined;
    if (!this.#sink) this.#goOnReading();
  }

  /** The connection cannot go on: too much of the body is still to come, or the client waits for a word to send it. */
  get #leavesUnread(): boolean {
    if (this.#isTooLarge) return true;
    if (this.#bodyComplete || this.#contentLength === 0) return false;
    if (this.#sink) return true;
    if (this.#expectsContinue && !this.#bodyAsked) return true;
    return this.#contentLength === undefined || this.#contentLength > discardableBytes;
  }

  #takeBody(): Buffer {
    const body = this.#body;
    this.#body = undefined;
    return body ? body.take() : noBytes;
  }

  #tooLarge(): void {
    this.#isTooLarge = true;
    this.#settle(undefined);
    this.respond(413, [], undefined);
  }

  #settle(body: Buffer | undefined): void {
    const resolve = this.#resolve;
    this.#resolve = undefined;
    resolve?.(body);
  }

  #stopReading(): void {
    if (this.#paused) return;
    this.#paused = true;
    this.#connection.pauseReading();
  }

  #goOnReading(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#connection.resumeReading();
  }
}

/** Bytes of a body that are taken before anyone has asked for it. */
const heldBytes = 65_536;
const noBytes = Buffer.alloc(0);

function flushHead(writer: Http1BodyWriter): void {
  writer.flushHead();
}
