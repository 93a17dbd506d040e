import type { Socket } from 'node:net';
import type { ConnectionEntry } from '@signalbox/config';
import type { Counter } from '@signalbox/runtime';
import type { Deadlines } from './deadlines.ts';
import type { DispatchedExchange, ExchangeOwner } from './dispatched-exchange.ts';
import type { Endpoint } from './endpoint.ts';
import type { Http1ClientLimits } from './http1-client.ts';
import { type ConnectionOwner, Http1Connection } from './http1-connection.ts';
import type { KeyedPool } from './pools.ts';
import type { SpareBuffers } from './spare-buffers.ts';

/** What the pools of a client share. */
export interface PoolContext {
  readonly limits: Http1ClientLimits;
  readonly deadlines: Deadlines;
  readonly readBuffer: Buffer;
  readonly spareBuffers: SpareBuffers;
  readonly opened: Counter;
  readonly resent: Counter;
  readonly full: Counter;
  /** The pool has neither connections nor requests any more. */
  emptied(pool: Http1Pool): void;
}

/** Connections of one key to one endpoint: a stack of idle ones, so that the warmest is taken and the rest can age. */
export class Http1Pool implements ConnectionOwner, ExchangeOwner, KeyedPool {
  readonly endpoint: Endpoint;
  readonly poolKey: string;
  readonly origin: string;
  readonly idleTimeoutMs: number;
  readonly connectMs: number | undefined;
  readonly #context: PoolContext;
  readonly #maxConnections: number;
  readonly #maxWaiting: number;
  readonly #connections = new Set<Http1Connection>();
  /** Connections of streams; they do not count against the bound. */
  readonly #detached = new Set<Http1Connection>();
  readonly #idle: Http1Connection[] = [];
  readonly #waiting = new Set<DispatchedExchange>();
  #closed = false;

  constructor(
    context: PoolContext,
    place: {
      readonly poolKey: string;
      readonly origin: string;
      readonly endpoint: Endpoint;
      readonly bounds: ConnectionEntry | undefined;
    },
  ) {
    const { limits } = context;
    this.#context = context;
    this.idleTimeoutMs = place.bounds?.idleMs ?? limits.idleTimeoutMs;
    this.connectMs = place.bounds?.connectMs ?? undefined;
    this.#maxConnections = place.bounds?.maxConnections ?? limits.maxConnections;
    this.#maxWaiting = place.bounds?.maxPending ?? limits.maxWaiting;
    this.endpoint = place.endpoint;
    this.poolKey = place.poolKey;
    this.origin = place.origin;
  }

  get deadlines(): Deadlines {
    return this.#context.deadlines;
  }

  get maxHeadBytes(): number {
    return this.#context.limits.maxHeadBytes;
  }

  get maxRequestsPerConnection(): number {
    return this.#context.limits.maxRequestsPerConnection;
  }

  get readBuffer(): Buffer {
    return this.#context.readBuffer;
  }

  get spareBuffers(): SpareBuffers {
    return this.#context.spareBuffers;
  }

  get connections(): number {
    return this.#connections.size + this.#detached.size;
  }

  /** Only idle connections, and nobody waits. */
  get unused(): boolean {
    return this.#idle.length === this.connections && this.#waiting.size === 0;
  }

  /**
   * Sends a request on an idle connection, a new one, or the next that becomes free.
   * @param ready a connection that stands already: then it is this one.
   */
  start(exchange: DispatchedExchange, ready?: Socket): void {
    if (ready) return this.#open(exchange, ready);
    for (let idle = this.#idle.pop(); idle; idle = this.#idle.pop()) {
      if (idle.usable) return idle.run(exchange);
      idle.destroy();
    }
    if (this.#connections.size < this.#maxConnections) return this.#open(exchange);
    exchange.startWaiting('waiting');
    if (this.#waiting.size < this.#maxWaiting) {
      this.#waiting.add(exchange);
      return;
    }
    this.#context.full.add();
    // Not within `dispatch`: the caller has nothing to abort yet.
    queueMicrotask(() => exchange.failed('pool-full', 'too many requests wait for a connection'));
  }

  freed(connection: Http1Connection): void {
    if (this.#detached.has(connection) && !this.#takeBack(connection)) return connection.destroy();
    const [next] = this.#waiting;
    if (next) {
      this.#waiting.delete(next);
      connection.run(next);
    } else if (this.#closed || this.#idle.length >= this.#context.limits.maxIdle) {
      connection.destroy();
    } else {
      this.#idle.push(connection);
      connection.rest();
    }
  }

  detached(connection: Http1Connection): void {
    if (!this.#connections.delete(connection)) return;
    this.#detached.add(connection);
    this.#openForNext();
  }

  /** A stream has ended. @returns whether there is a place for its connection among those that count. */
  #takeBack(connection: Http1Connection): boolean {
    if (this.#connections.size >= this.#maxConnections) return false;
    this.#detached.delete(connection);
    this.#connections.add(connection);
    return true;
  }

  closed(connection: Http1Connection, unanswered: DispatchedExchange | undefined): void {
    this.#connections.delete(connection);
    this.#detached.delete(connection);
    const at = this.#idle.indexOf(connection);
    if (at >= 0) this.#idle.splice(at, 1);
    if (unanswered) this.#resend(unanswered);
    this.#openForNext();
    this.#tellIfEmpty();
  }

  abandoned(exchange: DispatchedExchange): void {
    this.#waiting.delete(exchange);
    this.#tellIfEmpty();
  }

  closeIdle(): void {
    for (const connection of this.#idle.splice(0)) connection.destroy();
  }

  /** Breaks off everything. */
  close(): void {
    this.#closed = true;
    for (const exchange of [...this.#waiting]) {
      this.#waiting.delete(exchange);
      exchange.failed('closed-early', 'the client was closed');
    }
    for (const connection of [...this.#connections, ...this.#detached]) connection.breakOff('the client was closed');
  }

  /** Gives a place that became free to whoever waits for longest. */
  #openForNext(): void {
    const [next] = this.#waiting;
    if (!next || this.#connections.size >= this.#maxConnections) return;
    this.#waiting.delete(next);
    this.#open(next);
  }

  #open(exchange: DispatchedExchange, ready?: Socket): void {
    this.#context.opened.add();
    this.#connections.add(new Http1Connection(this, exchange, ready));
  }

  /** A kept connection was closed while the request was on its way: most likely the peer had closed it before. */
  #resend(exchange: DispatchedExchange): void {
    if (!exchange.request.safeToResend || exchange.resent || this.#closed) {
      exchange.failed('closed-early', 'the upstream closed the connection before it answered');
      return;
    }
    exchange.resent = true;
    this.#context.resent.add();
    this.#open(exchange);
  }

  #tellIfEmpty(): void {
    if (this.connections === 0 && this.#waiting.size === 0) this.#context.emptied(this);
  }
}
