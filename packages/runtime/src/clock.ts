/**
 * Time as a dependency. Nothing outside this package reads the system clock or starts a timer, so that every wait can
 * be driven by a test.
 */
export interface Clock {
  /** Wall-clock time in milliseconds since the Unix epoch: for display, token expiry and logs. */
  now(): number;
  /** Monotonic time in milliseconds, from an arbitrary start: for durations and deadlines. */
  monotonic(): number;
  /** Resolves after `delayMs`; rejects with the signal's reason when it aborts first. */
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>;
  /** Calls back once after `delayMs` unless disposed before. Does not keep the process alive. */
  timer(delayMs: number, callback: () => void): Disposable;
  /** Calls back every `intervalMs` until disposed. Does not keep the process alive. */
  interval(intervalMs: number, callback: () => void): Disposable;
}

/** The machine's own clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: (delayMs, signal) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason as Error);
      const onAbort = () => {
        clearTimeout(handle);
        reject(signal?.reason as Error);
      };
      const handle = setTimeout(() => {
        signal?.removeEventListener('abort', onAbort);
        resolve();
      }, delayMs);
      signal?.addEventListener('abort', onAbort, { once: true });
    }),
  timer: (delayMs, callback) => {
    const handle = setTimeout(callback, delayMs).unref();
    return { [Symbol.dispose]: () => clearTimeout(handle) };
  },
  interval: (intervalMs, callback) => {
    const handle = setInterval(callback, intervalMs).unref();
    return { [Symbol.dispose]: () => clearInterval(handle) };
  },
};
