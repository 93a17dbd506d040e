import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Bytes that may come into being before they are looked through: what survives of them is moved in well under a millisecond. */
const portionBytes = 1_500_000;

/**
 * Collects the young generation in small portions while long work fills it with what will stay. Left alone V8 waits until
 * it has 16 MB, and moves all of a new table that is in it at once: with 10,000 routes that stopped everything for twice
 * as long as the work between two pauses.
 *
 * V8 has a collector to call only where it is told to show it. It is shown in a context of our own: nothing becomes
 * global. Where that is not possible nothing is collected early.
 */
export class YoungGeneration {
  readonly #collect: ((options: { readonly type: 'minor' }) => void) | undefined;
  #seenBytes = 0;

  constructor() {
    setFlagsFromString('--expose-gc');
    const collect: unknown = runInNewContext('typeof gc === "function" ? gc : undefined');
    setFlagsFromString('--no-expose-gc');
    if (typeof collect === 'function') this.#collect = (options) => void Reflect.apply(collect, undefined, [options]);
  }

  /** Collects if a portion has come since. @returns whether it did: let others run before going on. */
  relieve(): boolean {
    const usedBytes = getHeapStatistics().used_heap_size;
    // An ordinary collection came in between.
    if (usedBytes < this.#seenBytes) this.#seenBytes = usedBytes;
    if (!this.#collect || usedBytes - this.#seenBytes < portionBytes) return false;
    this.#collect({ type: 'minor' });
    this.#seenBytes = getHeapStatistics().used_heap_size;
    return true;
  }
}
