import { getHeapStatistics } from 'node:v8';
import type { Clock } from '@signalbox/runtime';

/** How busy a process is. */
export interface Pressure {
  /** How late a timer was, in milliseconds: what everything that waits for the event loop waits for. */
  readonly loopDelayMs: number;
  /** Memory in use, as a share of what the process may have: of the heap's limit or the machine's, whichever is nearer. */
  readonly memoryShare: number;
}

/** Memory costs more to look at than time: it is looked at every so many readings. */
const readingsPerMemory = 10;

/** Reads how busy this process is. Called once in an interval. */
export class ProcessPressure {
  readonly #clock: Clock;
  readonly #intervalMs: number;
  #readings = 0;
  #last: number;
  #memoryShare = 0;

  constructor(clock: Clock, intervalMs: number) {
    this.#clock = clock;
    this.#intervalMs = intervalMs;
    this.#last = clock.monotonic();
  }

  read(): Pressure {
    const now = this.#clock.monotonic();
    const loopDelayMs = Math.max(0, now - this.#last - this.#intervalMs);
    this.#last = now;
    if (this.#readings % readingsPerMemory === 0) this.#memoryShare = memoryShare();
    this.#readings += 1;
    return { loopDelayMs, memoryShare: this.#memoryShare };
  }
}

function memoryShare(): number {
  const { used_heap_size: used, heap_size_limit: limit } = getHeapStatistics();
  const allowed = process.constrainedMemory();
  // 0, or more than any machine has: no bound is set.
  const ofMachine = allowed > 0 && allowed < 2 ** 50 ? process.memoryUsage.rss() / allowed : 0;
  return Math.max(used / limit, ofMachine);
}
