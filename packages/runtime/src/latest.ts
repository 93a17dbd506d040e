/**
 * A slot that holds the newest value of something. The writer never waits; readers that fall behind see only the
 * newest value, so a slow reader costs no memory.
 */
export class Latest<T> {
  #value: T;
  #waiters: (() => void)[] = [];
  #version = 0;

  constructor(initial: T) {
    this.#value = initial;
  }

  get value(): T {
    return this.#value;
  }

  set(value: T): void {
    this.#value = value;
    this.#version += 1;
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const wake of waiters) wake();
  }

  /** Yields the present value, then each newer one that it is in time for; ends when the signal aborts. */
  async *watch(signal: AbortSignal): AsyncGenerator<T> {
    let seen = -1;
    const wakeAll = () => {
      const waiters = this.#waiters;
      this.#waiters = [];
      for (const wake of waiters) wake();
    };
    signal.addEventListener('abort', wakeAll, { once: true });
    try {
      while (!signal.aborted) {
        if (seen !== this.#version) {
          seen = this.#version;
          yield this.#value;
          continue;
        }
        await new Promise<void>((resolve) => this.#waiters.push(resolve));
      }
    } finally {
      signal.removeEventListener('abort', wakeAll);
    }
  }
}
