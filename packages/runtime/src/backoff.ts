import type { Clock } from './clock.ts';
import type { Random } from './random.ts';

export interface BackoffOptions {
  /** Lower end of the first delay. */
  readonly minMs: number;
  /** No delay is longer. */
  readonly maxMs: number;
  /** Success must last this long before the next failure starts from the beginning again. */
  readonly stableAfterMs: number;
}

/**
 * Delays between attempts: exponential with full jitter, so that many clients that failed together do not return
 * together. A connection that dies right after it was made counts as a failure: only uptime resets the delay.
 */
export class Backoff {
  readonly #options: BackoffOptions;
  readonly #clock: Clock;
  readonly #random: Random;
  #attempt = 0;
  #upSince: number | undefined;

  constructor(options: BackoffOptions, clock: Clock, random: Random) {
    this.#options = options;
    this.#clock = clock;
    this.#random = random;
  }

  /** The attempt worked; its uptime counts from now. */
  succeeded(): void {
    this.#upSince = this.#clock.monotonic();
  }

  /** The attempt failed or its connection ended: how long to wait before the next, in milliseconds. */
  nextDelayMs(): number {
    if (this.#upSince !== undefined && this.#clock.monotonic() - this.#upSince >= this.#options.stableAfterMs) {
      this.#attempt = 0;
    }
    this.#upSince = undefined;
    const { minMs, maxMs } = this.#options;
    const ceiling = Math.min(maxMs, minMs * 2 ** this.#attempt);
    this.#attempt = Math.min(this.#attempt + 1, 30);
    return minMs + this.#random.fraction() * Math.max(0, ceiling - minMs);
  }
}
