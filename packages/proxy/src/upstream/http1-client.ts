import type { Clock, Counter, Metrics } from '@signalbox/runtime';
import type { ClientCertificates } from './client-certificates.ts';
import { Deadlines } from './deadlines.ts';
import type { Endpoint } from './http1-connection.ts';
import { type ExchangeOwner, Http1Exchange } from './http1-exchange.ts';
import { Http1Pool, type PoolContext } from './http1-pool.ts';
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
  /** By pool key, then by origin: both strings are the caller's and need no joining. */
  readonly #pools = new Map<string, Map<string, Http1Pool>>();
  readonly #certificates: ClientCertificates | undefined;
  #poolCount = 0;
  #closed = false;

  constructor(options: Http1ClientOptions) {
    const { limits, clock, metrics } = options;
    this.#certificates = options.certificates;
    this.limits = limits;
    this.deadlines = new Deadlines(clock);
    this.opened = metrics.counter('signalbox_upstream_connections_opened_total', 'Connections begun to upstreams.');
    this.resent = metrics.counter('signalbox_upstream_resent_total', 'Requests sent again on a fresh connection.');
    this.full = metrics.counter('signalbox_upstream_pool_full_total', 'Requests refused because a pool was full.');
    const open = metrics.gauge('signalbox_upstream_connections', 'Open connections to upstreams.');
    metrics.onCollect(() => open.set(this.#all().reduce((sum, pool) => sum + pool.connections, 0)));
  }

  /** @throws TypeError for text in the request that would break out of its place, and for an origin that is none. */
  dispatch(request: UpstreamRequest, handler: UpstreamHandler): UpstreamExchange {
    const known = this.#pools.get(request.poolKey)?.get(request.origin);
    const endpoint = known?.endpoint ?? this.#endpointOf(request);
    const head = requestHead(request, endpoint.authority);
    const pool = known ?? this.#addPool(request, endpoint);
    const exchange = new Http1Exchange(pool ?? this, { request, head }, handler);
    if (pool) pool.start(exchange);
    else queueMicrotask(() => exchange.failed('pool-full', this.#closed ? 'the client was closed' : 'too many pools'));
    return exchange;
  }

  retain(origins: ReadonlySet<string>): void {
    for (const pool of this.#all()) if (!origins.has(pool.origin)) pool.closeIdle();
  }

  /** Breaks off what is under way; requests that come later fail. */
  close(): void {
    this.#closed = true;
    for (const pool of this.#all()) pool.close();
  }

  emptied(pool: Http1Pool): void {
    const ofKey = this.#pools.get(pool.poolKey);
    if (ofKey?.get(pool.origin) !== pool) return;
    ofKey.delete(pool.origin);
    this.#poolCount -= 1;
    if (ofKey.size === 0) this.#pools.delete(pool.poolKey);
  }

  abandoned(): void {
    // An exchange without a pool waits for nothing.
  }

  #addPool({ poolKey, origin, peer }: UpstreamRequest, endpoint: Endpoint): Http1Pool | undefined {
    if (this.#closed) return undefined;
    if (this.#poolCount >= this.limits.maxPools) {
      this.#all()
        .find((pool) => pool.unused)
        ?.closeIdle();
      if (this.#poolCount >= this.limits.maxPools) {
        this.full.add();
        return undefined;
      }
    }
    const pool = new Http1Pool(this, { poolKey, origin, endpoint, bounds: peer?.connection });
    const ofKey = this.#pools.get(poolKey) ?? new Map<string, Http1Pool>();
    ofKey.set(origin, pool);
    this.#pools.set(poolKey, ofKey);
    this.#poolCount += 1;
    return pool;
  }

  #endpointOf({ origin, peer }: UpstreamRequest): Endpoint {
    return endpointOf(origin, upstreamTls(peer, this.#certificates));
  }

  #all(): Http1Pool[] {
    return [...this.#pools.values()].flatMap((ofKey) => [...ofKey.values()]);
  }
}

function endpointOf(origin: string, tls: Endpoint['tls']): Endpoint {
  const url = new URL(origin);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw new TypeError(`not an HTTP origin: ${origin}`);
  const secure = url.protocol === 'https:';
  return {
    secure,
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: Number(url.port) || (secure ? 443 : 80),
    authority: url.host,
    tls,
  };
}
