import type { Socket } from 'node:net';
import type { ConnectionEntry } from '@signalbox/config';
import type { Counter } from '@signalbox/runtime';
import type { Deadlines } from './deadlines.ts';
import type { DispatchedExchange, ExchangeOwner } from './dispatched-exchange.ts';
import type { Endpoint } from './endpoint.ts';
import type { Http2ClientLimits } from './http2-client.ts';
import { Http2Connection, type Http2ConnectionOwner } from './http2-connection.ts';
import type { KeyedPool } from './pools.ts';
import type { UpstreamError } from './upstream.ts';

/** What the pools of a client share. */
export interface Http2PoolContext {
  readonly limits: Http2ClientLimits;
  readonly deadlines: Deadlines;
  readonly opened: Counter;
  readonly resent: Counter;
  readonly full: Counter;
  /** The pool has neither connections nor requests any more. */
  emptied(pool: Http2Pool): void;
}

/**
 * Connections of one key to one endpoint. The first one with room is taken, and another one is made only when those that
 * there are cannot carry what waits. Streams that last do not count: see `UpstreamExchange.detach`.
 */
export class Http2Pool implements Http2ConnectionOwner, ExchangeOwner, KeyedPool {
  readonly endpoint: Endpoint;
  readonly poolKey: string;
  readonly origin: string;
  readonly idleTimeoutMs: number;
  readonly connectMs: number | undefined;
  readonly #context: Http2PoolContext;
  readonly #maxConnections: number;
  readonly #maxWaiting: number;
  readonly #connections = new Set<Http2Connection>();
  readonly #waiting = new Set<DispatchedExchange>();
  #closed = false;

  constructor(
    context: Http2PoolContext,
    place: {
      readonly poolKey: string;
      readonly origin: string;
      readonly endpoint: Endpoint;
      readonly bounds: ConnectionEntry | undefined;
    },
  ) {
    const { limits } = context;
    const { bounds } = place;
    this.#context = context;
    this.idleTimeoutMs = bounds?.idleMs ?? limits.idleTimeoutMs;
    this.connectMs = bounds?.connectMs ?? undefined;
    this.#maxConnections = bounds?.maxConnections ?? limits.maxConnections;
    this.#maxWaiting = bounds?.maxPending ?? limits.maxWaiting;
    this.endpoint = place.endpoint;
    this.poolKey = place.poolKey;
    this.origin = place.origin;
  }

  get limits(): Http2ClientLimits {
    return this.#context.limits;
  }

  get deadlines(): Deadlines {
    return this.#context.deadlines;
  }

  get connections(): number {
    return this.#connections.size;
  }

  get streams(): number {
    let sum = 0;
    for (const { streams } of this.#connections) sum += streams;
    return sum;
  }

  get unused(): boolean {
    return this.#waiting.size === 0 && [...this.#connections].every((connection) => connection.isIdle);
  }

  /** Sends a request on a connection with room, or the next that has some. @param ready a connection that stands. */
  start(exchange: DispatchedExchange, ready?: Socket): void {
    if (ready) this.#open(exchange, ready);
    for (const connection of this.#connections) if (connection.room > 0) return connection.run(exchange);
    const expected = this.#expected;
    if (this.#waiting.size >= this.#maxWaiting + expected) {
      this.#context.full.add();
      // Not within `dispatch`: the caller has nothing to abort yet.
      queueMicrotask(() => exchange.failed('pool-full', 'too many requests wait for a connection'));
      return;
    }
    this.#wait(exchange, expected);
  }

  roomy(connection: Http2Connection): void {
    for (const next of this.#waiting) {
      if (connection.room <= 0) return;
      this.#waiting.delete(next);
      connection.run(next);
    }
  }

  streamDetached(): void {
    this.#openForWaiting();
  }

  retired(): void {
    this.#openForWaiting();
  }

  /** A refused request has had no effect, whatever it is (RFC 9113 §8.7). */
  unanswered(exchange: DispatchedExchange, refused: boolean, message: string): void {
    const maySend = (refused || exchange.request.safeToResend) && exchange.replayable;
    if (!maySend || exchange.resent || this.#closed) return exchange.failed('closed-early', message, refused);
    exchange.resent = true;
    this.#context.resent.add();
    this.start(exchange);
  }

  closed(connection: Http2Connection, failure: Pick<UpstreamError, 'code' | 'message'> | undefined): void {
    this.#connections.delete(connection);
    // Nothing else is on its way to carry them.
    if (failure && this.#connections.size === 0) this.#failWaiting(failure);
    this.#openForWaiting();
    this.#tellIfEmpty();
  }

  abandoned(exchange: DispatchedExchange): void {
    this.#waiting.delete(exchange);
    this.#tellIfEmpty();
  }

  closeIdle(): void {
    for (const connection of [...this.#connections]) if (connection.isIdle) connection.destroy();
  }

  close(): void {
    this.#closed = true;
    this.#failWaiting({ code: 'closed-early', message: 'the client was closed' });
    for (const connection of [...this.#connections]) connection.breakOff('the client was closed');
  }

  /** Streams that connections which are being made will take, as far as is known. */
  get #expected(): number {
    let sum = 0;
    for (const { isConnecting } of this.#connections) if (isConnecting) sum += this.limits.maxStreams;
    return sum;
  }

  #wait(exchange: DispatchedExchange, expected: number): void {
    const opens = this.#waiting.size >= expected && this.#mayOpen;
    exchange.startWaiting(opens || this.#waiting.size < expected ? 'connecting' : 'waiting');
    this.#waiting.add(exchange);
    if (opens) this.#open(exchange);
  }

  #openForWaiting(): void {
    const [next] = this.#waiting;
    if (next && this.#waiting.size > this.#expected && this.#mayOpen) this.#open(next);
  }

  get #mayOpen(): boolean {
    if (this.#closed) return false;
    let counted = 0;
    for (const { isGivenOver } of this.#connections) if (!isGivenOver) counted += 1;
    return counted < this.#maxConnections;
  }

  #open({ request }: DispatchedExchange, ready?: Socket): void {
    this.#context.opened.add();
    const connection = new Http2Connection(this, this.connectMs ?? request.timeouts.connectMs, ready);
    this.#connections.add(connection);
  }

  #failWaiting({ code, message }: Pick<UpstreamError, 'code' | 'message'>): void {
    for (const exchange of [...this.#waiting]) {
      this.#waiting.delete(exchange);
      exchange.failed(code, message);
    }
  }

  #tellIfEmpty(): void {
    if (this.#connections.size === 0 && this.#waiting.size === 0) this.#context.emptied(this);
  }
}
