import type { OutcomeEvent } from '../event.ts';
import type { Sink } from '../recorder.ts';

/** Keeps events, for tests to look at; fails or waits when told to. */
export class MemorySink implements Sink {
  readonly events: OutcomeEvent[] = [];
  /** Sizes of the batches written. */
  readonly batches: number[] = [];
  closed = false;
  #failures = 0;
  #held: PromiseWithResolvers<void> | undefined;

  async write(batch: readonly OutcomeEvent[]): Promise<void> {
    await this.#held?.promise;
    if (this.#failures > 0) {
      this.#failures -= 1;
      throw new Error('the sink fails');
    }
    this.batches.push(batch.length);
    this.events.push(...batch);
  }

  async close(): Promise<void> {
    this.closed = true;
  }

  /** The next writes reject. */
  failNext(count: number): void {
    this.#failures = count;
  }

  /** Writes wait until `release`. */
  hold(): void {
    this.#held = Promise.withResolvers();
  }

  release(): void {
    this.#held?.resolve();
    this.#held = undefined;
  }
}
