import { systemClock } from '@signalbox/runtime';

/** How long a test waits for what should happen at once. Generous: two cores are shared by everything. */
export const patienceMs = 30_000;

/** Looks take time from what is waited for: each pause is a tenth of the wait so far, within these. */
const pauseMs = { least: 5, most: 50 };

/**
 * Waits for a state that nobody announces, by looking again and again.
 * @param look returns the value once it is there, undefined before.
 * @throws when it is not there in time, with the last error of `look` if it threw.
 */
export async function until<T>(
  what: string,
  look: () => Promise<T | undefined> | T | undefined,
  withinMs = patienceMs,
): Promise<T> {
  const began = systemClock.monotonic();
  const deadline = began + withinMs;
  let last: unknown = 'not there';
  do {
    try {
      const value = await look();
      if (value !== undefined) return value;
    } catch (error) {
      last = error;
    }
    const waited = systemClock.monotonic() - began;
    await systemClock.sleep(Math.min(pauseMs.most, Math.max(pauseMs.least, waited / 10)));
  } while (systemClock.monotonic() < deadline);
  throw new Error(`waited ${withinMs} ms for ${what}: ${String(last)}`);
}
