import type { Clock } from '@signalbox/runtime';

export interface DebounceOptions {
  /** A burst ends when nothing has happened for so long, in milliseconds. */
  readonly quietMs: number;
  /** Nothing waits longer than this, however long the burst, in milliseconds. */
  readonly maxMs: number;
}

/** Folds bursts of calls into few, without delaying a call that stands alone: it runs on the leading edge. */
export class Debounce {
  readonly #options: DebounceOptions;
  readonly #clock: Clock;
  readonly #run: () => void;
  #lastRunMs = -Infinity;
  /** When the oldest call that still waits was made. */
  #waitingSinceMs: number | undefined;
  #timer: Disposable | undefined;

  constructor(options: DebounceOptions, clock: Clock, run: () => void) {
    this.#options = options;
    this.#clock = clock;
    this.#run = run;
  }

  call(): void {
    const { quietMs, maxMs } = this.#options;
    const now = this.#clock.monotonic();
    if (this.#waitingSinceMs === undefined && now - this.#lastRunMs >= quietMs) return this.#fire();
    this.#waitingSinceMs ??= now;
    this.#timer?.[Symbol.dispose]();
    const dueMs = Math.min(now + quietMs, this.#waitingSinceMs + maxMs);
    this.#timer = this.#clock.timer(Math.max(0, dueMs - now), () => this.#fire());
  }

  /** Forgets what waits. */
  cancel(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    this.#waitingSinceMs = undefined;
  }

  #fire(): void {
    this.cancel();
    this.#lastRunMs = this.#clock.monotonic();
    this.#run();
  }
}
