import { type Deadlines, disarmed, type Expiring } from './deadlines.ts';
import type { Http1Connection } from './http1-connection.ts';
import type { ResponseHead } from './response-head.ts';
import type { UpstreamError, UpstreamExchange, UpstreamHandler, UpstreamRequest } from './upstream.ts';

/** Where an exchange is on its way. */
type Stage = 'waiting' | 'connecting' | 'head' | 'body' | 'over';

/** Hears when an exchange needs no connection any more. */
export interface ExchangeOwner {
  readonly deadlines: Deadlines;
  /** How long connecting may take, if the endpoint has a bound of its own. */
  readonly connectMs?: number | undefined;
  /** It ended without an answer while it waited for a connection. */
  abandoned(exchange: Http1Exchange): void;
}

/**
 * One request on its way, and its bounds in time. Exactly one of `onEnd` and `onError` is called, unless it is aborted:
 * `over` is the only stage that is never left.
 */
export class Http1Exchange implements UpstreamExchange, Expiring {
  readonly request: UpstreamRequest;
  /** Request line and headers, as they are sent. Empty once the answer began: a stream holds on to the exchange for long. */
  head: string;
  /** Set while a connection works for this exchange. */
  connection: Http1Connection | undefined = undefined;
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
  #startedMs = 0;
  #activeMs = 0;
  /** Pieces of a streamed body that came before there was a connection to send them on. */
  #pieces: Buffer[] | undefined = undefined;
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
    if (this.connection && this.#isSent) return this.connection.upload(chunk, this.request.streamed === 'chunked');
    (this.#pieces ??= []).push(chunk);
    return false;
  }

  endBody(): void {
    if (this.#stage === 'over' || !this.#uploading) return;
    this.#uploading = false;
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
    this.#owner.deadlines.arm(this, this.#owner.connectMs ?? this.request.timeouts.connectMs);
  }

  /** The request was handed to a connection. */
  sent(): void {
    const { streamed } = this.request;
    this.#stage = 'head';
    if (streamed === undefined) return this.#awaitHead();
    const { deadlines } = this.#owner;
    this.#startedMs = this.#activeMs = deadlines.nowMs;
    deadlines.arm(this, this.request.timeouts.idleMs);
  }

  /** The head of a request with a streamed body was written: what has come of the body follows. */
  uploadOn(connection: Http1Connection): void {
    const pieces = this.#pieces ?? [];
    this.#pieces = undefined;
    let takesMore = true;
    for (const piece of pieces) takesMore = connection.upload(piece, this.request.streamed === 'chunked');
    if (!this.#uploading) this.#endUpload(connection);
    else if (takesMore) this.#handler.onWritable?.();
  }

  /** From here on the answer is waited for. */
  #awaitHead(): void {
    const { deadlines } = this.#owner;
    const { headMs, totalMs } = this.request.timeouts;
    deadlines.arm(this, totalMs > 0 ? Math.min(headMs, totalMs) : headMs);
    this.#startedMs = deadlines.nowMs;
  }

  get #isSent(): boolean {
    return this.#stage === 'head' || this.#stage === 'body';
  }

  #endUpload(connection: Http1Connection): void {
    if (this.request.streamed === 'chunked') connection.endUpload();
    if (this.#stage === 'head') this.#awaitHead();
  }

  answered(head: ResponseHead): void {
    this.#stage = 'body';
    this.head = '';
    this.#activeMs = this.#owner.deadlines.nowMs;
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
    return this.#handler.onData(chunk, lent) === true;
  }

  ended(): void {
    if (this.#stage === 'over') return;
    this.#finish();
    this.#handler.onEnd();
  }

  failed(code: UpstreamError['code'], message: string): void {
    if (this.#stage === 'over') return;
    const notAccepted = this.#stage === 'waiting' || this.#stage === 'connecting';
    this.#finish();
    this.#handler.onError({ code, message, notAccepted });
  }

  onDeadline(): void {
    const { deadlines } = this.#owner;
    const { totalMs } = this.request.timeouts;
    const running = deadlines.nowMs - this.#startedMs;
    switch (this.#stage) {
      case 'waiting':
        return this.#timeOut('pool-full', 'no connection became free in time');
      case 'connecting':
        return this.#timeOut('connect-timeout', 'the connection was not made in time');
      case 'head':
        if (this.#uploading) return this.#judgeUpload();
        if (totalMs > 0 && running >= totalMs) return this.#timeOut('total-timeout', 'the answer took too long');
        return this.#timeOut('head-timeout', 'the answer did not begin in time');
      case 'body': {
        if (totalMs > 0 && running >= totalMs) return this.#timeOut('total-timeout', 'the answer took too long');
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
    const left = this.#activeMs + this.request.timeouts.idleMs - deadlines.nowMs;
    if (left > 0) deadlines.arm(this, left);
    else this.#timeOut('idle-timeout', 'the request stopped in the middle');
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
    this.#leave();
  }

  #leave(): void {
    const { connection } = this;
    this.connection = undefined;
    if (connection) connection.destroy();
    else this.#owner.abandoned(this);
  }

  #finish(): void {
    this.#stage = 'over';
    this.#pieces = undefined;
    this.#owner.deadlines.disarm(this);
  }
}
