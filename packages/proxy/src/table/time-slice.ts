import type { Clock } from '@signalbox/runtime';

/**
 * Cuts long work into slices, so that nothing else in the process waits longer than one slice: requests go on while a
 * table is compiled or thousands of streams are re-checked.
 */
export class TimeSlice {
  readonly #clock: Pick<Clock, 'monotonic'>;
  readonly #budgetMs: number;
  #until = 0;

  /** @param budgetMs longest time, in milliseconds, to work without letting others run. */
  constructor(clock: Pick<Clock, 'monotonic'>, budgetMs: number) {
    this.#clock = clock;
    this.#budgetMs = budgetMs;
  }

  /** Starts a slice now: after anything that was awaited. */
  begin(): void {
    this.#until = this.#clock.monotonic() + this.#budgetMs;
  }

  get spent(): boolean {
    return this.#clock.monotonic() >= this.#until;
  }

  /** Lets everything that waits run once, then starts the next slice. */
  async pause(): Promise<void> {
    await new Promise<void>((resolve) => setImmediate(resolve));
    this.begin();
  }

  /** Runs steps to their end, pausing between two of them whenever the slice is spent. */
  async run<T>(steps: Generator<unknown, T, void>): Promise<T> {
    for (;;) {
      const step = steps.next();
      if (step.done) return step.value;
      if (this.spent) await this.pause();
    }
  }
}
