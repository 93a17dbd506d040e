import { Inbox } from './inbox.ts';

/** A `tools/call` of the tool `slow_progress` that goes on until the test finishes it. */
export interface HeldCall {
  /** Argument `key` of the call. */
  readonly key: string;
  /** Aborted when the caller cancelled or left. */
  readonly signal: AbortSignal;
  /** Sends a progress notification on the call's own stream. */
  emit(progress: number): Promise<void>;
  /** Answers the call. */
  finish(text: string): void;
}

/** Calls that wait for the test. */
export class HeldCalls {
  readonly #calls = new Inbox<HeldCall>();

  /** The call with the key, as soon as it has arrived. */
  withKey(key: string): Promise<HeldCall> {
    return this.#calls.first(`a call of slow_progress with key ${key}`, (call) => call.key === key);
  }

  get all(): readonly HeldCall[] {
    return this.#calls.items;
  }

  /** Registers a call. @returns the text that the test answers it with. */
  hold(key: string, signal: AbortSignal, emit: (progress: number) => Promise<void>): Promise<string> {
    return new Promise((resolve) => this.#calls.add({ key, signal, emit, finish: resolve }));
  }
}
