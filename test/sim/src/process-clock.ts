import type { Clock } from '@signalbox/runtime';

/** The clock of one simulated process: when the process is killed, nothing that it waits for happens any more. */
export class ProcessClock implements Clock {
  readonly #clock: Clock;
  readonly #timers = new Set<Disposable>();
  readonly #connections = new Set<() => void>();
  #isKilled = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get isKilled(): boolean {
    return this.#isKilled;
  }

  kill(): void {
    this.#isKilled = true;
    for (const timer of this.#timers) timer[Symbol.dispose]();
    this.#timers.clear();
    for (const broken of this.#connections) broken();
  }

  /** Others notice that the process is gone: its connections break. */
  onKilled(broken: () => void): Disposable {
    if (this.#isKilled) broken();
    else this.#connections.add(broken);
    return { [Symbol.dispose]: () => void this.#connections.delete(broken) };
  }

  now(): number {
    return this.#clock.now();
  }

  monotonic(): number {
    return this.#clock.monotonic();
  }

  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason as Error);
      const onAbort = () => {
        timer[Symbol.dispose]();
        reject(signal?.reason as Error);
      };
      const timer = this.timer(delayMs, () => {
        signal?.removeEventListener('abort', onAbort);
        resolve();
      });
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  }

  timer(delayMs: number, callback: () => void): Disposable {
    const timer = this.#clock.timer(delayMs, () => {
      this.#timers.delete(kept);
      callback();
    });
    const kept = this.#keep(timer);
    return kept;
  }

  interval(intervalMs: number, callback: () => void): Disposable {
    return this.#keep(this.#clock.interval(intervalMs, callback));
  }

  #keep(timer: Disposable): Disposable {
    if (this.#isKilled) timer[Symbol.dispose]();
    const kept: Disposable = {
      [Symbol.dispose]: () => {
        timer[Symbol.dispose]();
        this.#timers.delete(kept);
      },
    };
    if (!this.#isKilled) this.#timers.add(kept);
    return kept;
  }
}
