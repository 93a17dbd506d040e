import type { Clock } from '@signalbox/runtime';
import type { YoungGeneration } from './young-generation.ts';

/**
 * Cuts long work into slices, so that nothing else in the process waits longer than one slice: requests go on while a
 * table is compiled or thousands of streams are re-checked.
 */
export class TimeSlice {
  readonly #clock: Pick<Clock, 'monotonic'>;
  readonly #budgetMs: number;
  readonly #young: Pick<YoungGeneration, 'relieve'> | undefined;
  #until = 0;

  /**
   * @param budgetMs longest time, in milliseconds, to work without letting others run.
   * @param young is relieved between slices of work that makes much that stays.
   */
  constructor(clock: Pick<Clock, 'monotonic'>, budgetMs: number, young?: Pick<YoungGeneration, 'relieve'>) {
    this.#clock = clock;
    this.#budgetMs = budgetMs;
    this.#young = young;
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
    await this.#young?.relieve();
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
