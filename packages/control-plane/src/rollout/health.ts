import type { HealthLimits } from '@signalbox/config';

/** What became of requests, counted. */
export interface Health {
  readonly requests: number;
  /** Denied by policy, beyond its limits, or without an accepted credential. */
  readonly denials: number;
  readonly upstreamErrors: number;
  /** Requests by latency: see {@link latencyBound}. May be shorter than all buckets. */
  readonly latency: readonly number[];
}

export const noHealth: Health = { requests: 0, denials: 0, upstreamErrors: 0, latency: [] };

/** Latencies that are counted; what lies beyond counts in the last. */
export const latencyBuckets = 80;

/** Upper bound of a bucket of latencies, in milliseconds: a tenth of a millisecond, and 2^¼ as much from one to the next. */
export function latencyBound(bucket: number): number {
  return 0.1 * 2 ** (bucket / 4);
}

export function addHealth(one: Health, other: Health): Health {
  const length = Math.max(one.latency.length, other.latency.length);
  return {
    requests: one.requests + other.requests,
    denials: one.denials + other.denials,
    upstreamErrors: one.upstreamErrors + other.upstreamErrors,
    latency: Array.from({ length }, (_, i) => (one.latency[i] ?? 0) + (other.latency[i] ?? 0)),
  };
}

/** Latency that a share of the requests does not exceed, in milliseconds; undefined without any. */
export function latencyAt({ latency }: Health, share: number): number | undefined {
  const total = latency.reduce((sum, count) => sum + count, 0);
  let left = total * share;
  for (const [bucket, count] of latency.entries()) {
    if (count > 0 && left <= count) {
      const below = bucket === 0 ? 0 : latencyBound(bucket - 1);
      return below + (latencyBound(bucket) - below) * (left / count);
    }
    left -= count;
  }
  return undefined;
}

/** Whether anything is looked at. */
export function isLimited({ denialsPercent, upstreamErrorsPercent, latencyPercent }: HealthLimits): boolean {
  return denialsPercent + upstreamErrorsPercent + latencyPercent > 0;
}

/** In which way nodes with a revision do worse than a plan allows; undefined if they do not, or too little is known. */
export function worsening(limits: HealthLimits, candidate: Health, base: Health): string | undefined {
  if (candidate.requests < limits.minRequests) return undefined;
  const known = base.requests >= limits.minRequests ? base : undefined;
  const found = [
    rise('denials', limits.denialsPercent, percentOf(candidate, 'denials'), known && percentOf(known, 'denials')),
    rise(
      'upstream errors',
      limits.upstreamErrorsPercent,
      percentOf(candidate, 'upstreamErrors'),
      known && percentOf(known, 'upstreamErrors'),
    ),
    known && slowness(limits.latencyPercent, latencyAt(candidate, 0.99), latencyAt(known, 0.99)),
  ].filter((one) => one !== undefined);
  return found.length === 0 ? undefined : `${found.join('; ')}, of ${candidate.requests} requests`;
}

function rise(what: string, limit: number, now: number, before: number | undefined): string | undefined {
  if (limit === 0 || now - (before ?? 0) <= limit) return undefined;
  const others = before === undefined ? 'and nothing to compare it with' : `${shown(before)} % elsewhere`;
  return `${what}: ${shown(now)} %, ${others}, at most ${limit} more are allowed`;
}

function slowness(limit: number, now: number | undefined, before: number | undefined): string | undefined {
  if (limit === 0 || now === undefined || before === undefined || now <= (before * limit) / 100) return undefined;
  return `latency: p99 ${shown(now)} ms, ${shown(before)} ms elsewhere, at most ${limit} % of that is allowed`;
}

function percentOf(health: Health, what: 'denials' | 'upstreamErrors'): number {
  return (100 * health[what]) / health.requests;
}

function shown(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toFixed(1);
}
