import type { Socket } from 'node:net';
import type { Clock, Counter, Metrics } from '@signalbox/runtime';
import type { ClientCertificates } from './client-certificates.ts';
import { Deadlines } from './deadlines.ts';
import { DispatchedExchange, type ExchangeOwner } from './dispatched-exchange.ts';
import { type Endpoint, endpointOf } from './endpoint.ts';
import { Http1Pool, type PoolContext } from './http1-pool.ts';
import { Pools } from './pools.ts';
import { requestHead } from './request-head.ts';
import { SpareBuffers } from './spare-buffers.ts';
import { upstreamTls } from './upstream-tls.ts';
import type { Upstream, UpstreamExchange, UpstreamHandler, UpstreamRequest } from './upstream.ts';

/** Bounds of the client, for each (pool key, origin) unless said otherwise. */
export interface Http1ClientLimits {
  /** Connections at a time. */
  readonly maxConnections: number;
  /** Requests that wait for a connection, for as long as connecting may take. Beyond: `pool-full`. */
  readonly maxWaiting: number;
  /** Idle connections kept. */
  readonly maxIdle: number;
  /** How long an idle connection is kept. */
  readonly idleTimeoutMs: number;
  /** Requests on one connection. */
  readonly maxRequestsPerConnection: number;
  /** Status line and headers of an answer together, bytes; also chunk extensions and trailers. Beyond: `protocol`. */
  readonly maxHeadBytes: number;
  /** Pools of all keys and origins that have connections; an unused one gives way. Beyond: `pool-full`. */
  readonly maxPools: number;
}

export const defaultHttp1ClientLimits: Http1ClientLimits = Object.freeze({
  maxConnections: 64,
  maxWaiting: 256,
  maxIdle: 64,
  idleTimeoutMs: 60_000,
  maxRequestsPerConnection: 1_000,
  maxHeadBytes: 16_384,
  maxPools: 10_000,
});

export interface Http1ClientOptions {
  readonly limits: Http1ClientLimits;
  readonly clock: Clock;
  readonly metrics: Metrics;
  /** Certificates that backends are shown; none without it. */
  readonly certificates?: ClientCertificates;
  /** Hears of pools that have neither connections nor requests any more. */
  readonly onEmptied?: (poolKey: string, origin: string) => void;
}

const readBufferBytes = 65_536;

/**
 * The `Upstream` port over our own HTTP/1.1. Follows no redirect, asks for no compression, sends nothing that it was
 * not given. Handlers are never called within `dispatch`.
 */
export class Http1Client implements Upstream, PoolContext, ExchangeOwner {
  readonly limits: Http1ClientLimits;
  readonly deadlines: Deadlines;
  readonly readBuffer = Buffer.allocUnsafeSlow(readBufferBytes);
  readonly spareBuffers = new SpareBuffers();
  readonly opened: Counter;
  readonly resent: Counter;
  readonly full: Counter;
  readonly #pools: Pools<Http1Pool>;
  readonly #certificates: ClientCertificates | undefined;
  readonly #onEmptied: Http1ClientOptions['onEmptied'];
  #closed = false;

  constructor(options: Http1ClientOptions) {
    const { limits, clock, metrics } = options;
    this.#certificates = options.certificates;
    this.#onEmptied = options.onEmptied;
    this.#pools = new Pools(limits.maxPools);
    this.limits = limits;
    this.deadlines = new Deadlines(clock);
    this.opened = metrics.counter('signalbox_upstream_connections_opened_total', 'Connections begun to upstreams.');
    this.resent = metrics.counter('signalbox_upstream_resent_total', 'Requests sent again on a fresh connection.');
    this.full = metrics.counter('signalbox_upstream_pool_full_total', 'Requests refused because a pool was full.');
    const open = metrics.gauge('signalbox_upstream_connections', 'Open connections to upstreams.');
    metrics.onCollect(() => open.set(this.#pools.all().reduce((sum, pool) => sum + pool.connections, 0)));
  }

  /** @throws TypeError for text in the request that would break out of its place, and for an origin that is none. */
  dispatch(request: UpstreamRequest, handler: UpstreamHandler): UpstreamExchange {
    return this.#dispatch(request, handler, undefined);
  }

  /** Sends a request over an encrypted connection that stands already, and belongs to the pool from then on. */
  dispatchOn(socket: Socket, request: UpstreamRequest, handler: UpstreamHandler): UpstreamExchange {
    return this.#dispatch(request, handler, socket);
  }

  #dispatch(request: UpstreamRequest, handler: UpstreamHandler, ready: Socket | undefined): UpstreamExchange {
    const known = this.#pools.find(request.poolKey, request.origin);
    const endpoint = known?.endpoint ?? this.#endpointOf(request);
    const head = requestHead(request, endpoint.authority);
    const pool = known ?? this.#addPool(request, endpoint);
    const exchange = new DispatchedExchange(pool ?? this, { request, head }, handler);
    if (pool) pool.start(exchange, ready);
    else queueMicrotask(() => exchange.failed('pool-full', this.#closed ? 'the client was closed' : 'too many pools'));
    return exchange;
  }

  retain(origins: ReadonlySet<string>): void {
    for (const pool of this.#pools.all()) if (!origins.has(pool.origin)) pool.closeIdle();
  }

  /** Breaks off what is under way; requests that come later fail. */
  close(): void {
    this.#closed = true;
    for (const pool of this.#pools.all()) pool.close();
  }

  emptied(pool: Http1Pool): void {
    if (this.#pools.remove(pool)) this.#onEmptied?.(pool.poolKey, pool.origin);
  }

  abandoned(): void {
    // An exchange without a pool waits for nothing.
  }

  #addPool({ poolKey, origin, peer }: UpstreamRequest, endpoint: Endpoint): Http1Pool | undefined {
    if (this.#closed) return undefined;
    if (this.#pools.hasRoom()) {
      return this.#pools.add(new Http1Pool(this, { poolKey, origin, endpoint, bounds: peer?.connection }));
    }
    this.full.add();
    return undefined;
  }

  #endpointOf({ origin, peer }: UpstreamRequest): Endpoint {
    return endpointOf(origin, upstreamTls(peer, this.#certificates));
  }
}
