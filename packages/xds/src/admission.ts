import type { Clock } from '@signalbox/runtime';

export interface AdmissionLimits {
  /** Streams that are let in a second, on average. */
  readonly streamsPerSecond: number;
  /** Streams that are let in at once after a quiet time. */
  readonly streamBurst: number;
}

/**
 * Lets streams in no faster than they can be served beside those that are open. Each that comes too early is given a time
 * of its own to come back at, so that a storm turns into a queue.
 */
export class Admission {
  readonly #limits: AdmissionLimits;
  readonly #clock: Clock;
  #tokens: number;
  #filledAtMs: number;
  /** The time given to the last one that came too early. */
  #lastSlotMs = 0;

  constructor(limits: AdmissionLimits, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
    this.#tokens = limits.streamBurst;
    this.#filledAtMs = clock.monotonic();
  }

  /** Takes a stream. @returns undefined if it is let in, otherwise in how many milliseconds it may come back. */
  take(): number | undefined {
    const { streamsPerSecond, streamBurst } = this.#limits;
    const now = this.#clock.monotonic();
    this.#tokens = Math.min(streamBurst, this.#tokens + ((now - this.#filledAtMs) * streamsPerSecond) / 1_000);
    this.#filledAtMs = now;
    if (this.#tokens >= 1) {
      this.#tokens -= 1;
      return undefined;
    }
    this.#lastSlotMs = Math.max(this.#lastSlotMs, now) + 1_000 / streamsPerSecond;
    return this.#lastSlotMs - now;
  }
}
