import { systemClock } from '@signalbox/runtime';

import { patienceMs } from './until.ts';

interface Waiter {
  readonly satisfied: () => boolean;
  readonly resolve: () => void;
}

/**
 * What arrived from a part under test, in order. A test awaits the very thing it needs instead of sleeping, and gets
 * an error that shows what came instead.
 */
export class Inbox<T> {
  readonly items: T[] = [];
  readonly #waiters = new Set<Waiter>();

  add(item: T): void {
    this.items.push(item);
    for (const waiter of this.#waiters) if (waiter.satisfied()) waiter.resolve();
  }

  /** The first item that matches, once it is there. @throws when none comes in time. */
  async first(what: string, matches: (item: T) => boolean, withinMs = patienceMs): Promise<T> {
    await this.#wait(what, () => this.items.some(matches), withinMs);
    return this.items.find(matches) as T;
  }

  /** All items, once there are at least `count`. @throws when they do not come in time. */
  async atLeast(count: number, withinMs = patienceMs): Promise<readonly T[]> {
    await this.#wait(`${count} items`, () => this.items.length >= count, withinMs);
    return this.items;
  }

  async #wait(what: string, satisfied: () => boolean, withinMs: number): Promise<void> {
    if (satisfied()) return;
    await new Promise<void>((resolve, reject) => {
      const waiter: Waiter = {
        satisfied,
        resolve: () => {
          this.#waiters.delete(waiter);
          timer[Symbol.dispose]();
          resolve();
        },
      };
      const timer = systemClock.timer(withinMs, () => {
        this.#waiters.delete(waiter);
        const seen = JSON.stringify(this.items.slice(-5))?.slice(0, 2_000);
        reject(new Error(`waited ${withinMs} ms for ${what}; ${this.items.length} came, the last of them ${seen}`));
      });
      this.#waiters.add(waiter);
    });
  }
}
