import { systemClock } from '@signalbox/runtime';

const pollMs = 5;

/**
 * Waits for a state that nobody announces, by looking again and again.
 * @param look returns the value once it is there, undefined before.
 * @throws when it is not there in time, with the last error of `look` if it threw.
 */
export async function until<T>(
  what: string,
  look: () => Promise<T | undefined> | T | undefined,
  withinMs = 10_000,
): Promise<T> {
  const deadline = systemClock.monotonic() + withinMs;
  let last: unknown = 'not there';
  do {
    try {
      const value = await look();
      if (value !== undefined) return value;
    } catch (error) {
      last = error;
    }
    await systemClock.sleep(pollMs);
  } while (systemClock.monotonic() < deadline);
  throw new Error(`waited ${withinMs} ms for ${what}: ${String(last)}`);
}
