import type { HttpServerLimits } from './http-server.ts';

/** Timeouts of clients in checks of a listener; infinite where they are switched off. */
export interface TickLimits {
  readonly head: number;
  readonly request: number;
  readonly keepAlive: number;
  /** For a client to take the last words. */
  readonly ending: number;
}

/** One tick more than fits, since the first may come at once. */
export function tickLimitsOf(limits: HttpServerLimits): TickLimits {
  const ticks = (ms: number) =>
    ms === 0 ? Number.POSITIVE_INFINITY : Math.ceil(ms / Math.max(1, limits.checkIntervalMs));
  return {
    head: ticks(limits.headersTimeoutMs),
    request: ticks(limits.requestTimeoutMs),
    keepAlive: ticks(limits.keepAliveTimeoutMs),
    ending: ticks(limits.writeTimeoutMs),
  };
}
