import { inspect } from 'node:util';

const redacted = '[redacted]';

/**
 * A value that must never be shown: it prints as `[redacted]` in logs, JSON, errors and the debugger.
 * `reveal()` is the only way to it.
 */
export class Secret<T = string> {
  readonly #value: T;

  constructor(value: T) {
    this.#value = value;
  }

  reveal(): T {
    return this.#value;
  }

  toString(): string {
    return redacted;
  }

  toJSON(): string {
    return redacted;
  }

  [inspect.custom](): string {
    return redacted;
  }
}
