import type { Clock, Metrics } from '@signalbox/runtime';
import type { Upstream, UpstreamExchange, UpstreamHandler, UpstreamRequest } from './upstream.ts';

/** Bounds of the client, for each (pool key, origin) unless said otherwise. */
export interface Http1ClientLimits {
  /** Connections at a time. */
  readonly maxConnections: number;
  /** Requests that wait for a connection. Beyond: `pool-full`. */
  readonly maxWaiting: number;
  /** Idle connections kept. */
  readonly maxIdle: number;
  /** How long an idle connection is kept. */
  readonly idleTimeoutMs: number;
  /** Requests on one connection. */
  readonly maxRequestsPerConnection: number;
  /** Status line and headers of an answer together, bytes. Beyond: `protocol`. */
  readonly maxHeadBytes: number;
  /** Pools of all keys and origins; the one unused for longest gives way. */
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
}

/** The `Upstream` port over our own HTTP/1.1. */
export class Http1Client implements Upstream {
  constructor(_options: Http1ClientOptions) {}

  dispatch(_request: UpstreamRequest, _handler: UpstreamHandler): UpstreamExchange {
    throw new Error('no connection');
  }

  retain(_origins: ReadonlySet<string>): void {}

  close(): void {}
}
