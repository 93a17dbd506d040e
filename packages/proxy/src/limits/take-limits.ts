import type { LimitEntry } from '@signalbox/config';
import type { LocalConcurrency } from './local-concurrency.ts';
import type { Exceeded, LimitedCall, LocalRateLimit } from './local-rate-limit.ts';

/** What counts calls on this node. */
export interface LimitCounters {
  readonly rateLimit: LocalRateLimit;
  readonly concurrency: LocalConcurrency;
}

/** What a call holds while it is under way, or the limit that leaves no room for it: then it has used up nothing. */
export type Taken =
  | { readonly exceeded: Exceeded }
  | { readonly exceeded: undefined; readonly held: Disposable | undefined };

export function takeLimits(counters: LimitCounters, limits: readonly LimitEntry[], call: LimitedCall): Taken {
  const exceeded = counters.concurrency.exceeded(limits, call) ?? counters.rateLimit.take(limits, call);
  return exceeded ? { exceeded } : { exceeded: undefined, held: counters.concurrency.begin(limits, call) };
}
