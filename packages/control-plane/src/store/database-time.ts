import type { Clock } from '@signalbox/runtime';

/** A reading of the database's clock, and how far off it may be. */
interface Reading {
  /** Database time minus this machine's monotonic time. */
  readonly offsetMs: number;
  readonly uncertaintyMs: number;
  readonly atMs: number;
}

/** A reading is preferred for so long to one that is less certain. */
const goodForMs = 60_000;

/**
 * What time it is in the database, to the time that an answer takes: commits and leases are in this time, on every
 * replica, whatever the clock of its machine says. Until the database was asked, the machine's.
 */
export class DatabaseTime {
  readonly #clock: Clock;
  #reading: Reading | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Milliseconds since the epoch. */
  now(): number {
    return this.#reading ? this.#clock.monotonic() + this.#reading.offsetMs : this.#clock.now();
  }

  /** The database has answered a question of `askedAtMs`, in monotonic time, with its time. */
  read(databaseMs: number, askedAtMs: number): void {
    const now = this.#clock.monotonic();
    const uncertaintyMs = (now - askedAtMs) / 2;
    const isFresh = this.#reading && now - this.#reading.atMs < goodForMs;
    if (isFresh && this.#reading && this.#reading.uncertaintyMs < uncertaintyMs) return;
    this.#reading = { offsetMs: databaseMs - (askedAtMs + uncertaintyMs), uncertaintyMs, atMs: now };
  }
}
