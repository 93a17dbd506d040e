import { type Deadlines, disarmed, type Expiring } from './deadlines.ts';
import type { UpstreamError, UpstreamExchange, UpstreamHandler, UpstreamHead, UpstreamRequest } from './upstream.ts';

/** Where an exchange is on its way. */
type Stage = 'waiting' | 'connecting' | 'head' | 'body' | 'over';

/** What carries an exchange: a connection of HTTP/1.1, or a stream of HTTP/2. */
export interface ExchangeCarrier {
  pause(): void;
  resume(): void;
  /** Sends a piece of a streamed body. @returns false when the peer is slower than whoever sends. */
  upload(piece: Buffer, chunked: boolean): boolean;
  /** Ends a streamed body of which nobody knew the length. @param trailers name, value, name, value … */
  endUpload(trailers: readonly string[]): void;
  /** The exchange lasts, and is not to count against the bound of its pool. */
  detach(): void;
  /** The exchange is given up. @param isSilent nothing was heard in time: its peer may be gone. */
  destroy(isSilent?: boolean): void;
}

/** Hears when an exchange needs no connection any more. */
export interface ExchangeOwner {
  readonly deadlines: Deadlines;
  /** How long connecting may take, if the endpoint has a bound of its own. */
  readonly connectMs?: number | undefined;
  /** It ended without an answer while it waited for a connection. */
  abandoned(exchange: DispatchedExchange): void;
}

/**
 * One request on its way, and its bounds in time. Exactly one of `onEnd` and `onError` is called, unless it is aborted:
 * `over` is the only stage that is never left.
 */
export class DispatchedExchange implements UpstreamExchange, Expiring {
  readonly request: UpstreamRequest;
  /**
   * Request line and headers of HTTP/1.1, as they are sent. Empty once the answer began: a stream holds on to the exchange
   * for long.
   */
  head: string;
  /** Set while a connection or a stream works for this exchange. */
  connection: ExchangeCarrier | undefined = undefined;
  /** It was sent on a kept connection that turned out to be closed, and may not be sent again. */
  resent = false;
  deadlineTick = disarmed;
  deadlinePrevious: Expiring | undefined = undefined;
  deadlineNext: Expiring | undefined = undefined;
  readonly #owner: ExchangeOwner;
  readonly #handler: UpstreamHandler;
  #stage: Stage = 'waiting';
  #paused = false;
  /** Coarse times, by the clock of `Deadlines`. */
  #startedMs = -1;
  #activeMs = 0;
  /** Pieces of a streamed body that came before there was a connection to send them on. */
  #pieces: Buffer[] | undefined = undefined;
  #hasUploaded = false;
  #trailers: readonly string[] = none;
  /** Bytes of the answer's body so far, where they are bounded. */
  #received = 0;
  /** More of a streamed body is to come. */
  #uploading: boolean;

  constructor(
    owner: ExchangeOwner,
    sent: { readonly request: UpstreamRequest; readonly head: string },
    handler: UpstreamHandler,
  ) {
    this.#owner = owner;
    this.request = sent.request;
    this.head = sent.head;
    this.#uploading = sent.request.streamed !== undefined;
    this.#handler = handler;
  }

  get over(): boolean {
    return this.#stage === 'over';
  }

  get paused(): boolean {
    return this.#paused;
  }

  pause(): void {
    if (this.#stage === 'over' || this.#paused) return;
    this.#paused = true;
    this.connection?.pause();
  }

  resume(): void {
    if (this.#stage === 'over' || !this.#paused) return;
    this.#paused = false;
    this.#activeMs = this.#owner.deadlines.nowMs;
    this.connection?.resume();
  }

  /** The request was not yet sent as a whole. */
  get uploading(): boolean {
    return this.#uploading;
  }

  write(chunk: Buffer): boolean {
    if (this.#stage === 'over' || !this.#uploading || chunk.length === 0) return true;
    this.#activeMs = this.#owner.deadlines.nowMs;
    if (this.connection && this.#isSent) {
      this.#hasUploaded = true;
      return this.connection.upload(chunk, this.request.streamed === 'chunked');
    }
    (this.#pieces ??= []).push(chunk);
    return false;
  }

  endBody(trailers: readonly string[] = none): void {
    if (this.#stage === 'over' || !this.#uploading) return;
    this.#uploading = false;
    this.#trailers = trailers;
    if (this.connection && this.#isSent) this.#endUpload(this.connection);
  }

  /** What waited to be written may be. */
  drained(): void {
    if (this.#stage !== 'over' && this.#uploading) this.#handler.onWritable?.();
  }

  detach(): void {
    if (this.#stage === 'body') this.connection?.detach();
  }

  abort(): void {
    if (this.#stage === 'over') return;
    this.#finish();
    this.#leave();
  }

  /** It waits for a connection, or for one to be made. */
  startWaiting(stage: 'waiting' | 'connecting'): void {
    this.#stage = stage;
    const connectMs = this.#owner.connectMs ?? this.request.timeouts.connectMs;
    const { countsUpload, totalMs } = this.request.timeouts;
    this.#owner.deadlines.arm(this, countsUpload === true && totalMs > 0 ? Math.min(connectMs, totalMs) : connectMs);
    this.#start();
  }

  /** Time counts from now, unless it already does. */
  #start(): void {
    if (!this.#countsUpload || this.#startedMs < 0) this.#startedMs = this.#owner.deadlines.nowMs;
  }

  /** The request was handed to a connection. */
  sent(): void {
    const { streamed } = this.request;
    this.#stage = 'head';
    if (streamed === undefined) return this.#awaitHead();
    const { deadlines } = this.#owner;
    this.#activeMs = deadlines.nowMs;
    this.#start();
    deadlines.arm(this, this.#uploadMs());
  }

  /** The head of a request with a streamed body was written: what has come of the body follows. */
  uploadOn(connection: ExchangeCarrier): void {
    const pieces = this.#pieces ?? [];
    this.#pieces = undefined;
    if (pieces.length > 0) this.#hasUploaded = true;
    let takesMore = true;
    for (const piece of pieces) takesMore = connection.upload(piece, this.request.streamed === 'chunked');
    if (!this.#uploading) this.#endUpload(connection);
    else if (takesMore) this.#handler.onWritable?.();
  }

  /** From here on the answer is waited for. */
  #awaitHead(): void {
    const { deadlines } = this.#owner;
    const { headMs, totalMs } = this.request.timeouts;
    this.#start();
    const totalLeft = this.#startedMs + totalMs - deadlines.nowMs;
    deadlines.arm(this, totalMs > 0 ? Math.min(headMs, totalLeft) : headMs);
  }

  /** The time of the whole exchange runs from its beginning, not from the end of the request. */
  get #countsUpload(): boolean {
    return this.request.timeouts.countsUpload === true;
  }

  /** No piece of a streamed body was handed over: the request can be sent again as it is. */
  get replayable(): boolean {
    return !this.#hasUploaded;
  }

  get #isSent(): boolean {
    return this.#stage === 'head' || this.#stage === 'body';
  }

  #endUpload(connection: ExchangeCarrier): void {
    if (this.request.streamed === 'chunked') connection.endUpload(this.#trailers);
    if (this.#stage === 'head') this.#awaitHead();
  }

  answered(head: UpstreamHead): void {
    this.#stage = 'body';
    this.head = '';
    this.#activeMs = this.#owner.deadlines.nowMs;
    const { maxBodyBytes } = this.request;
    if (maxBodyBytes !== undefined && (head.contentLength ?? 0) > maxBodyBytes) return this.#tooLarge();
    this.#handler.onHead(head);
  }

  /** What was read in one go did not end the answer: from here on the bounds of a body hold. */
  watchBody(): void {
    if (this.#stage !== 'body') return;
    this.#activeMs = this.#owner.deadlines.nowMs;
    this.#owner.deadlines.arm(this, this.#bodyMs());
  }

  /** Whether pieces may be lent to whoever handles the answer. */
  get borrows(): boolean {
    return this.#handler.borrows === true;
  }

  /** @returns true if nobody holds the piece any more. */
  data(chunk: Buffer, lent: boolean): boolean {
    this.#activeMs = this.#owner.deadlines.nowMs;
    if (this.request.maxBodyBytes !== undefined && !this.#isWithinBound(chunk.length)) return false;
    return this.#handler.onData(chunk, lent) === true;
  }

  #isWithinBound(bytes: number): boolean {
    if (this.#stage === 'over') return false;
    this.#received += bytes;
    if (this.#received <= (this.request.maxBodyBytes as number)) return true;
    this.#tooLarge();
    return false;
  }

  #tooLarge(): void {
    this.failed('too-large', `the answer has more than ${this.request.maxBodyBytes} bytes`);
    this.#leave();
  }

  trailed(trailers: readonly string[]): void {
    if (this.#stage === 'body') this.#handler.onTrailers?.(trailers);
  }

  ended(): void {
    if (this.#stage === 'over') return;
    this.#finish();
    this.#handler.onEnd();
  }

  /** @param refused the peer says that it has done nothing with the request. */
  failed(code: UpstreamError['code'], message: string, refused = false): void {
    if (this.#stage === 'over') return;
    const notAccepted = refused || this.#stage === 'waiting' || this.#stage === 'connecting';
    this.#finish();
    this.#handler.onError({ code, message, notAccepted });
  }

  onDeadline(): void {
    const { deadlines } = this.#owner;
    const { totalMs } = this.request.timeouts;
    const running = deadlines.nowMs - this.#startedMs;
    const isOver = totalMs > 0 && running >= totalMs;
    switch (this.#stage) {
      case 'waiting':
        if (this.#countsUpload && isOver) return this.#timeOut('total-timeout', 'no connection became free in time');
        return this.#timeOut('pool-full', 'no connection became free in time');
      case 'connecting':
        if (this.#countsUpload && isOver) return this.#timeOut('total-timeout', 'the connection took too long');
        return this.#timeOut('connect-timeout', 'the connection was not made in time');
      case 'head':
        if (this.#uploading && !(this.#countsUpload && isOver)) return this.#judgeUpload();
        if (isOver) return this.#timeOut('total-timeout', 'the answer took too long');
        return this.#timeOut('head-timeout', 'the answer did not begin in time');
      case 'body': {
        if (isOver) return this.#timeOut('total-timeout', 'the answer took too long');
        if (!this.#paused && deadlines.nowMs - this.#activeMs >= this.request.timeouts.idleMs) {
          return this.#timeOut('idle-timeout', 'the answer stopped in the middle');
        }
        return deadlines.arm(this, this.#bodyMs());
      }
      case 'over':
    }
  }

  /** A body is sent at the pace of whoever sends it, but not by somebody who has stopped. */
  #judgeUpload(): void {
    const { deadlines } = this.#owner;
    const { idleMs } = this.request.timeouts;
    if (this.#activeMs + idleMs > deadlines.nowMs) deadlines.arm(this, this.#uploadMs());
    else this.#timeOut('idle-timeout', 'the request stopped in the middle');
  }

  /** Milliseconds until a request under way must be looked at again. */
  #uploadMs(): number {
    const { idleMs, totalMs } = this.request.timeouts;
    const { nowMs } = this.#owner.deadlines;
    const idleLeft = this.#activeMs + idleMs - nowMs;
    return this.#countsUpload && totalMs > 0 ? Math.min(idleLeft, this.#startedMs + totalMs - nowMs) : idleLeft;
  }

  /** Milliseconds until the body must be looked at again. While it is paused, silence is not the upstream's. */
  #bodyMs(): number {
    const { idleMs, totalMs } = this.request.timeouts;
    const { nowMs } = this.#owner.deadlines;
    const idleLeft = this.#paused ? idleMs : this.#activeMs + idleMs - nowMs;
    return totalMs > 0 ? Math.min(idleLeft, this.#startedMs + totalMs - nowMs) : idleLeft;
  }

  #timeOut(code: UpstreamError['code'], message: string): void {
    this.failed(code, message);
    this.#leave(true);
  }

  #leave(isSilent = false): void {
    const { connection } = this;
    this.connection = undefined;
    if (connection) connection.destroy(isSilent);
    else this.#owner.abandoned(this);
  }

  #finish(): void {
    this.#stage = 'over';
    this.#pieces = undefined;
    this.#owner.deadlines.disarm(this);
  }
}

const none: readonly string[] = [];
