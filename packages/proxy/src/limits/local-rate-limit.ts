import type { LimitEntry } from '@signalbox/config';
import type { Clock, Counter, Metrics } from '@signalbox/runtime';

/** Who calls what. */
export interface LimitedCall {
  readonly principal: string;
  readonly route: string;
  /** Empty for what is no call of a tool. */
  readonly tool: string;
}

/** A limit that leaves no room for a call. */
export interface Exceeded {
  readonly limit: LimitEntry;
  /** Too many are under way, rather than too many came. */
  readonly isConcurrent?: true;
  /** Until there is room for one call again, in whole seconds, at least 1. */
  readonly retryAfterS: number;
}

export interface LocalRateLimitOptions {
  /** Allowances that are remembered. */
  readonly maxBuckets: number;
  readonly clock: Pick<Clock, 'monotonic'>;
  readonly metrics: Metrics;
}

interface Bucket {
  readonly limit: LimitEntry;
  tokens: number;
  /** Monotonic time at which there were so many. */
  at: number;
}

/**
 * Limits of this node alone: a token bucket for each allowance (policy and what it is divided by). A bucket that was not
 * used for long enough is full, and so can be forgotten: those go first when there are too many, then the oldest.
 */
export class LocalRateLimit {
  readonly #options: LocalRateLimitOptions;
  /** By key of the limit and what divides it; the ones used longest ago first, roughly. */
  readonly #buckets = new Map<string, Bucket>();
  readonly #refused: Counter;
  readonly #evicted: Counter;

  constructor(options: LocalRateLimitOptions) {
    const { metrics } = options;
    this.#options = options;
    this.#refused = metrics.counter('signalbox_rate_limited_total', 'Calls refused because a limit was used up.');
    this.#evicted = metrics.counter(
      'signalbox_rate_limit_evictions_total',
      'Allowances forgotten before they were full again, because there were too many.',
    );
    const known = metrics.gauge('signalbox_rate_limit_buckets', 'Allowances that are remembered.');
    metrics.onCollect(() => known.set(this.#buckets.size));
  }

  /** Takes a token of each limit, or of none. @returns the limit that has none left; the one to wait for longest. */
  take(limits: readonly LimitEntry[], call: LimitedCall): Exceeded | undefined {
    const now = this.#options.clock.monotonic();
    const counted = limits.filter(({ callsPerMinute }) => callsPerMinute > 0);
    const buckets = counted.map((limit) => this.#filled(limit, call, now));
    let exceeded: Exceeded | undefined;
    for (const { limit, tokens } of buckets) {
      if (tokens >= 1) continue;
      const retryAfterS = Math.max(1, Math.ceil(((1 - tokens) * 60) / limit.callsPerMinute));
      if (exceeded === undefined || retryAfterS > exceeded.retryAfterS) exceeded = { limit, retryAfterS };
    }
    if (exceeded) this.#refused.add();
    else for (const bucket of buckets) bucket.tokens -= 1;
    return exceeded;
  }

  /** The bucket of a call, with what has flowed into it since it was looked at. */
  #filled(limit: LimitEntry, call: LimitedCall, now: number): Bucket {
    const key = keyOf(limit, call);
    const bucket = this.#buckets.get(key);
    if (bucket === undefined) return this.#add(key, { limit, tokens: limit.burst, at: now });
    bucket.tokens = tokensAt(bucket, now);
    bucket.at = now;
    return bucket;
  }

  #add(key: string, bucket: Bucket): Bucket {
    if (this.#buckets.size >= this.#options.maxBuckets) this.#makeRoom(bucket.at);
    this.#buckets.set(key, bucket);
    return bucket;
  }

  /** Looks at the oldest few: full ones are forgotten, others go to the end of the queue; one goes in any case. */
  #makeRoom(now: number): void {
    const oldest = [...take(this.#buckets, looks)];
    let freed = 0;
    for (const [key, bucket] of oldest) {
      this.#buckets.delete(key);
      if (tokensAt(bucket, now) >= bucket.limit.burst) freed += 1;
      else this.#buckets.set(key, bucket);
    }
    if (freed > 0) return;
    this.#evicted.add();
    const [first] = oldest;
    if (first) this.#buckets.delete(first[0]);
  }
}

const looks = 8;

function tokensAt({ limit, tokens, at }: Bucket, now: number): number {
  return Math.min(limit.burst, tokens + ((now - at) * limit.callsPerMinute) / 60_000);
}

function keyOf({ key, per }: LimitEntry, call: LimitedCall): string {
  return partitionKey(key, per, call);
}

/** Key of what a call counts against. */
export function partitionKey(key: string, per: LimitEntry['per'], call: LimitedCall): string {
  return per.length === 0 ? key : `${key} ${JSON.stringify(per.map((partition) => call[partition]))}`;
}

function* take<T>(items: Iterable<T>, count: number): Generator<T> {
  let left = count;
  for (const item of items) {
    if (left <= 0) return;
    left -= 1;
    yield item;
  }
}

/** Header fields of an answer that says so: `Retry-After`, and what Envoy calls them. */
export function limitHeaders({ limit, isConcurrent, retryAfterS }: Exceeded): readonly string[] {
  // Nobody knows when a call under way will end.
  if (isConcurrent) return ['Retry-After', String(retryAfterS)];
  return [
    ...['Retry-After', String(retryAfterS), 'X-RateLimit-Limit', String(limit.burst)],
    ...['X-RateLimit-Remaining', '0', 'X-RateLimit-Reset', String(retryAfterS)],
  ];
}
