import type { Clock } from './clock.ts';
import type { Logger } from './logger.ts';

/** A part of a process that is started and stopped. */
export interface Part {
  readonly name: string;
  start?(): Promise<void> | void;
  /** Finishes what runs. Must return when the signal aborts: that is the drain deadline. */
  stop?(deadline: AbortSignal): Promise<void> | void;
}

/** Starts parts in order and stops them in reverse, within one deadline; names the part that hangs. */
export class Lifecycle {
  readonly #parts: readonly Part[];
  readonly #started: Part[] = [];
  readonly #clock: Clock;
  readonly #logger: Logger;
  #stopping: Promise<boolean> | undefined;

  constructor(parts: readonly Part[], clock: Clock, logger: Logger) {
    this.#parts = parts;
    this.#clock = clock;
    this.#logger = logger;
  }

  /** Starts every part in order. When one fails, the ones before it are stopped and its error is thrown. */
  async start(rollbackMs = 5_000): Promise<void> {
    for (const part of this.#parts) {
      try {
        await part.start?.();
        this.#started.push(part);
      } catch (error) {
        this.#logger.error('start failed', { part: part.name, error: String(error) });
        await this.stop(rollbackMs);
        throw error;
      }
    }
  }

  /** Stops what was started, in reverse. @returns false if the deadline passed before everything had stopped. */
  stop(deadlineMs: number): Promise<boolean> {
    this.#stopping ??= this.#stopAll(deadlineMs);
    return this.#stopping;
  }

  async #stopAll(deadlineMs: number): Promise<boolean> {
    const deadline = new AbortController();
    let inTime = true;
    using _timer = this.#clock.timer(deadlineMs, () => deadline.abort(new Error('drain deadline passed')));
    for (const part of this.#started.reverse()) {
      const stopped = Promise.resolve(part.stop?.(deadline.signal)).catch((error: unknown) => {
        this.#logger.error('stop failed', { part: part.name, error: String(error) });
      });
      const expired = new Promise<'expired'>((resolve) => {
        if (deadline.signal.aborted) resolve('expired');
        else deadline.signal.addEventListener('abort', () => resolve('expired'), { once: true });
      });
      if ((await Promise.race([stopped, expired])) === 'expired') {
        inTime = false;
        this.#logger.error('still running at the drain deadline', { part: part.name });
      }
    }
    return inTime;
  }
}
