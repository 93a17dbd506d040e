import type { Clock } from '@signalbox/runtime';
import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { heapMarking } from './heap-marking.ts';

/** Bytes that may come into being before they are looked through: what survives of them is moved in well under a millisecond. */
const portionBytes = 1_500_000;
/** How long work waits for V8 to mark the old generation, in milliseconds. A busy process may not get it done. */
const longestWaitMs = 500;
const waitMs = 2;
/** Turns of the loop after which it is known that V8 has begun to mark. */
const turnsUntilKnown = 3;

/**
 * Collects the young generation in small portions while long work fills it with what will stay. Left alone V8 waits until
 * it has 16 MB, and moves all of a new table that is in it at once: with 10,000 routes that stopped everything for twice
 * as long as the work between two pauses.
 *
 * While V8 marks the old generation nothing is collected: asked then, it would mark what is left at once, a whole new
 * table perhaps, and that takes longer than all else. The work waits for it instead.
 *
 * V8 has a collector to call only where it is told to show it. It is shown in a context of our own: nothing becomes
 * global. Where that is not possible nothing is collected early.
 */
export class YoungGeneration {
  readonly #collect: ((options: { readonly type: 'minor' }) => void) | undefined;
  readonly #clock: Pick<Clock, 'sleep'>;
  readonly #marking: { readonly isUnderWay: boolean };
  #seenBytes = 0;
  #waitedMs = 0;

  constructor(clock: Pick<Clock, 'sleep'>, marking: { readonly isUnderWay: boolean } = heapMarking) {
    this.#clock = clock;
    this.#marking = marking;
    setFlagsFromString('--expose-gc');
    const collect: unknown = runInNewContext('typeof gc === "function" ? gc : undefined');
    setFlagsFromString('--no-expose-gc');
    if (typeof collect === 'function') this.#collect = (options) => void Reflect.apply(collect, undefined, [options]);
  }

  /** Collects if a portion has come since, and lets others run before the work goes on. */
  async relieve(): Promise<void> {
    if (this.#marking.isUnderWay) return this.#awaitMarking();
    this.#waitedMs = 0;
    const usedBytes = getHeapStatistics().used_heap_size;
    // An ordinary collection came in between.
    if (usedBytes < this.#seenBytes) this.#seenBytes = usedBytes;
    if (!this.#collect || usedBytes - this.#seenBytes < portionBytes) return;
    for (let turns = 0; turns < turnsUntilKnown; turns += 1) await turn();
    if (this.#marking.isUnderWay) return this.#awaitMarking();
    this.#collect({ type: 'minor' });
    this.#seenBytes = getHeapStatistics().used_heap_size;
  }

  async #awaitMarking(): Promise<void> {
    while (this.#marking.isUnderWay && this.#waitedMs < longestWaitMs) {
      await this.#clock.sleep(waitMs);
      this.#waitedMs += waitMs;
    }
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
