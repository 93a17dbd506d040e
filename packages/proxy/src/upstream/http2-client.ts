import type { Socket } from 'node:net';
import type { Clock, Counter, Metrics } from '@signalbox/runtime';
import type { ClientCertificates } from './client-certificates.ts';
import { Deadlines } from './deadlines.ts';
import { DispatchedExchange, type ExchangeOwner } from './dispatched-exchange.ts';
import { type Endpoint, endpointOf } from './endpoint.ts';
import { http2RequestHead } from './http2-head.ts';
import { Http2Pool, type Http2PoolContext } from './http2-pool.ts';
import { Pools } from './pools.ts';
import { upstreamTls } from './upstream-tls.ts';
import type { Upstream, UpstreamExchange, UpstreamHandler, UpstreamRequest } from './upstream.ts';

/** Bounds of the client, for each (pool key, origin) unless said otherwise. */
export interface Http2ClientLimits {
  /** Connections at a time; those that only carry streams which last do not count. */
  readonly maxConnections: number;
  /** Requests at a time on one connection; fewer if its peer says so. */
  readonly maxStreams: number;
  /** Requests that wait for room on a connection, for as long as connecting may take. Beyond: `pool-full`. */
  readonly maxWaiting: number;
  /** How long a connection without requests is kept. */
  readonly idleTimeoutMs: number;
  /** Requests on one connection, until another takes its place. */
  readonly maxRequestsPerConnection: number;
  /** Fields of an answer together, as RFC 9113 §6.5.2 counts them; also of its trailers. Beyond: `protocol`. */
  readonly maxHeadBytes: number;
  /** Bytes of an answer that may come before they are read. */
  readonly windowBytes: number;
  /** Pools of all keys and origins that have connections; an unused one gives way. Beyond: `pool-full`. */
  readonly maxPools: number;
}

export const defaultHttp2ClientLimits: Http2ClientLimits = Object.freeze({
  maxConnections: 64,
  maxStreams: 100,
  maxWaiting: 256,
  idleTimeoutMs: 60_000,
  maxRequestsPerConnection: 100_000,
  maxHeadBytes: 16_384,
  windowBytes: 262_144,
  maxPools: 10_000,
});

export interface Http2ClientOptions {
  readonly limits: Http2ClientLimits;
  readonly clock: Clock;
  readonly metrics: Metrics;
  /** Certificates that backends are shown; none without it. */
  readonly certificates?: ClientCertificates;
  /** Hears of pools that have neither connections nor requests any more. */
  readonly onEmptied?: (poolKey: string, origin: string) => void;
}

/**
 * The `Upstream` port over HTTP/2 by node:http2: with prior knowledge, or over TLS whose handshake agrees on it. Handlers
 * are never called within `dispatch`.
 */
export class Http2Client implements Upstream, Http2PoolContext, ExchangeOwner {
  readonly limits: Http2ClientLimits;
  readonly deadlines: Deadlines;
  readonly opened: Counter;
  readonly resent: Counter;
  readonly full: Counter;
  readonly #pools: Pools<Http2Pool>;
  readonly #certificates: ClientCertificates | undefined;
  readonly #onEmptied: Http2ClientOptions['onEmptied'];
  #closed = false;

  constructor(options: Http2ClientOptions) {
    const { limits, clock, metrics } = options;
    this.#certificates = options.certificates;
    this.#onEmptied = options.onEmptied;
    this.#pools = new Pools(limits.maxPools);
    this.limits = limits;
    this.deadlines = new Deadlines(clock);
    this.opened = metrics.counter('signalbox_upstream_connections_opened_total', 'Connections begun to upstreams.');
    this.resent = metrics.counter('signalbox_upstream_resent_total', 'Requests sent again on a fresh connection.');
    this.full = metrics.counter('signalbox_upstream_pool_full_total', 'Requests refused because a pool was full.');
    const open = metrics.gauge('signalbox_upstream_http2_connections', 'Open connections of HTTP/2 to upstreams.');
    const streams = metrics.gauge('signalbox_upstream_http2_streams', 'Open streams on them.');
    metrics.onCollect(() => {
      open.set(this.#pools.all().reduce((sum, pool) => sum + pool.connections, 0));
      streams.set(this.#pools.all().reduce((sum, pool) => sum + pool.streams, 0));
    });
  }

  /** @throws TypeError for text in the request that would break out of its place, and for an origin that is none. */
  dispatch(request: UpstreamRequest, handler: UpstreamHandler): UpstreamExchange {
    return this.#dispatch(request, handler, undefined);
  }

  /** Sends a request over an encrypted connection that stands already, and belongs to the pool from then on. */
  dispatchOn(socket: Socket, request: UpstreamRequest, handler: UpstreamHandler): UpstreamExchange {
    return this.#dispatch(request, handler, socket);
  }

  retain(origins: ReadonlySet<string>): void {
    for (const pool of this.#pools.all()) if (!origins.has(pool.origin)) pool.closeIdle();
  }

  /** Breaks off what is under way; requests that come later fail. */
  close(): void {
    this.#closed = true;
    for (const pool of this.#pools.all()) pool.close();
  }

  emptied(pool: Http2Pool): void {
    if (this.#pools.remove(pool)) this.#onEmptied?.(pool.poolKey, pool.origin);
  }

  abandoned(): void {
    // An exchange without a pool waits for nothing.
  }

  #dispatch(request: UpstreamRequest, handler: UpstreamHandler, ready: Socket | undefined): UpstreamExchange {
    const known = this.#pools.find(request.poolKey, request.origin);
    const endpoint = known?.endpoint ?? endpointOf(request.origin, upstreamTls(request.peer, this.#certificates));
    http2RequestHead(request, endpoint.authority, endpoint.secure);
    const pool = known ?? this.#addPool(request, endpoint);
    const exchange = new DispatchedExchange(pool ?? this, { request, head: '' }, handler);
    if (pool) pool.start(exchange, ready);
    else queueMicrotask(() => exchange.failed('pool-full', this.#closed ? 'the client was closed' : 'too many pools'));
    return exchange;
  }

  #addPool({ poolKey, origin, peer }: UpstreamRequest, endpoint: Endpoint): Http2Pool | undefined {
    if (this.#closed) return undefined;
    if (this.#pools.hasRoom()) {
      return this.#pools.add(new Http2Pool(this, { poolKey, origin, endpoint, bounds: peer?.connection }));
    }
    this.full.add();
    return undefined;
  }
}
