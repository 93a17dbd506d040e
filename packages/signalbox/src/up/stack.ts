import type { Clock, Logger } from '@signalbox/runtime';

/** A part of the stack, once it runs. */
interface Entry {
  readonly name: string;
  /** Rejects when the part did not start. */
  readonly running: Promise<unknown>;
  stop(deadline: AbortSignal): Promise<void>;
}

export interface PartDescription<T> {
  readonly name: string;
  /** Starts it; waits by itself for the parts that it needs. */
  start(): Promise<T>;
  stop(running: T, deadline: AbortSignal): Promise<void>;
}

/**
 * The parts of `up`. They start as soon as what they need runs, and stop one after the other in reverse order of
 * addition, so that nobody loses what he still needs.
 */
export class Stack {
  readonly #entries: Entry[] = [];
  readonly #clock: Clock;
  readonly #logger: Logger;
  #stopping: Promise<boolean> | undefined;

  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock;
    this.#logger = logger;
  }

  /** Begins to start a part. @returns what it is once it runs. */
  add<T>(part: PartDescription<T>): Promise<T> {
    const running = part.start();
    // Whoever needs the part, or `stop`, sees the failure.
    running.catch(() => undefined);
    this.#entries.push({
      name: part.name,
      running,
      stop: async (deadline) => part.stop(await running, deadline),
    });
    return running;
  }

  /** Stops every part that runs or still starts. @returns false if the deadline passed before all had ended by themselves. */
  stop(deadlineMs: number): Promise<boolean> {
    this.#stopping ??= this.#stopAll(deadlineMs);
    return this.#stopping;
  }

  async #stopAll(deadlineMs: number): Promise<boolean> {
    const deadline = new AbortController();
    using _timer = this.#clock.timer(deadlineMs, () => deadline.abort(new Error('stop deadline passed')));
    for (const entry of this.#entries.toReversed()) {
      const started = await entry.running.then(
        () => true,
        () => false,
      );
      if (!started) continue;
      this.#logger.info('stopping', { part: entry.name });
      try {
        await entry.stop(deadline.signal);
      } catch (error) {
        this.#logger.error('stop failed', { part: entry.name, error: String(error) });
      }
    }
    return !deadline.signal.aborted;
  }
}
