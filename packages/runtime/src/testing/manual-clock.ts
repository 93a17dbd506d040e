import type { Clock } from '../clock.ts';

interface Pending {
  at: number;
  readonly order: number;
  readonly everyMs: number | undefined;
  readonly callback: () => void;
}

/** A clock that moves only when told to. */
export class ManualClock implements Clock {
  #time: number;
  #order = 0;
  readonly #pending = new Set<Pending>();

  constructor(startMs = 1_700_000_000_000) {
    this.#time = startMs;
  }

  now(): number {
    return this.#time;
  }

  monotonic(): number {
    return this.#time;
  }

  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason as Error);
      const onAbort = () => {
        timer[Symbol.dispose]();
        reject(signal?.reason as Error);
      };
      const timer = this.timer(delayMs, () => {
        signal?.removeEventListener('abort', onAbort);
        resolve();
      });
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  }

  timer(delayMs: number, callback: () => void): Disposable {
    return this.#add(delayMs, callback, undefined);
  }

  interval(intervalMs: number, callback: () => void): Disposable {
    return this.#add(intervalMs, callback, intervalMs);
  }

  /** How many timers and sleeps wait. */
  get pending(): number {
    return this.#pending.size;
  }

  /** Moves time and calls back everything that falls due, in order; lets promises settle in between. */
  async advance(byMs: number): Promise<void> {
    const until = this.#time + byMs;
    for (let due = this.#next(until); due; due = this.#next(until)) {
      this.#time = Math.max(this.#time, due.at);
      if (due.everyMs === undefined) this.#pending.delete(due);
      else due.at += due.everyMs;
      due.callback();
      await new Promise((resolve) => setImmediate(resolve));
    }
    this.#time = until;
    await new Promise((resolve) => setImmediate(resolve));
  }

  #add(delayMs: number, callback: () => void, everyMs: number | undefined): Disposable {
    const entry: Pending = { at: this.#time + delayMs, order: this.#order++, everyMs, callback };
    this.#pending.add(entry);
    return { [Symbol.dispose]: () => void this.#pending.delete(entry) };
  }

  #next(until: number): Pending | undefined {
    let first: Pending | undefined;
    for (const entry of this.#pending) {
      if (entry.at > until) continue;
      if (!first || entry.at < first.at || (entry.at === first.at && entry.order < first.order)) first = entry;
    }
    return first;
  }
}
