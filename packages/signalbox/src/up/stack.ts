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
    const passed = new Promise<'late'>((resolve) => {
      deadline.signal.addEventListener('abort', () => resolve('late'), { once: true });
    });
    for (const entry of this.#entries.toReversed()) {
      // After the deadline every part still gets its signal, which kills a child; nobody is waited for any more.
      const end = await Promise.race([this.#stopOne(entry, deadline.signal), passed]);
      if (end === 'late') this.#logger.error('still running at the stop deadline', { part: entry.name });
    }
    return !deadline.signal.aborted;
  }
  async #stopOne(entry: Entry, deadline: AbortSignal): Promise<void> {
    const started = await entry.running.then(
      () => true,
      () => false,
    );
    if (!started) return;
    this.#logger.info('stopping', { part: entry.name });
    try {
      await entry.stop(deadline);
    } catch (error) {
      this.#logger.error('stop failed', { part: entry.name, error: String(error) });
    }
  }
}
