import { type Clock, systemClock } from '@signalbox/runtime';

/** The machine's clock, of which somebody sets the time of day. Durations are not touched, as in a real machine. */
export class JumpingClock implements Clock {
  #offsetMs = 0;

  jump(byMs: number): void {
    this.#offsetMs += byMs;
  }

  now(): number {
    return systemClock.now() + this.#offsetMs;
  }

  monotonic(): number {
    return systemClock.monotonic();
  }

  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    return systemClock.sleep(delayMs, signal);
  }

  timer(delayMs: number, callback: () => void): Disposable {
    return systemClock.timer(delayMs, callback);
  }

  interval(intervalMs: number, callback: () => void): Disposable {
    return systemClock.interval(intervalMs, callback);
  }
}
