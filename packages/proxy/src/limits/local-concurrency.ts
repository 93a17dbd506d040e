import type { LimitEntry } from '@signalbox/config';
import type { Counter, Metrics } from '@signalbox/runtime';
import { type Exceeded, type LimitedCall, partitionKey } from './local-rate-limit.ts';

/**
 * Calls under way on this node, by policy and what divides it. There are no more counts than calls under way, whose
 * number is bounded where they come from.
 */
export class LocalConcurrency {
  readonly #counts = new Map<string, number>();
  readonly #refused: Counter;

  constructor(metrics: Metrics) {
    this.#refused = metrics.counter(
      'signalbox_concurrency_limited_total',
      'Calls refused because too many were under way.',
    );
    const known = metrics.gauge('signalbox_concurrency_counts', 'Bounds of calls under way that are being counted.');
    metrics.onCollect(() => known.set(this.#counts.size));
  }

  /** The first limit that leaves no room for another call. Nothing is taken. */
  exceeded(limits: readonly LimitEntry[], call: LimitedCall): Exceeded | undefined {
    for (const limit of limits) {
      if (limit.concurrent === 0 || this.#underWay(limit, call) < limit.concurrent) continue;
      this.#refused.add();
      return { limit, isConcurrent: true, retryAfterS: 1 };
    }
    return undefined;
  }

  /** A call is under way until what is returned is disposed of; undefined if nobody counts it. */
  begin(limits: readonly LimitEntry[], call: LimitedCall): Disposable | undefined {
    const keys = limits.filter(({ concurrent }) => concurrent > 0).map((limit) => keyOf(limit, call));
    if (keys.length === 0) return undefined;
    for (const key of keys) this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1);
    let isOver = false;
    return {
      [Symbol.dispose]: () => {
        if (isOver) return;
        isOver = true;
        for (const key of keys) this.#end(key);
      },
    };
  }

  #underWay(limit: LimitEntry, call: LimitedCall): number {
    return this.#counts.get(keyOf(limit, call)) ?? 0;
  }

  #end(key: string): void {
    const left = (this.#counts.get(key) ?? 1) - 1;
    if (left === 0) this.#counts.delete(key);
    else this.#counts.set(key, left);
  }
}

function keyOf({ concurrencyKey, per }: LimitEntry, call: LimitedCall): string {
  return partitionKey(concurrencyKey, per, call);
}
