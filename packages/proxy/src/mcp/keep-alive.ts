import { type Clock, Roster, type Rostered } from '@signalbox/runtime';

/** A stream that is looked at now and then, however quiet it is. */
export interface WatchedStream extends Rostered {
  onTick(): void;
}

/** How many ticks the time is cut into after which a quiet stream gets a comment: it comes at most one tick late. */
export const ticksToKeepAlive = 3;

/** One coarse timer for all streams; it runs only while there are any. */
export class KeepAlive {
  readonly #clock: Clock;
  readonly #tickMs: number;
  readonly #streams = new Roster<WatchedStream>();
  #timer: Disposable | undefined;

  /** @param quietMs silence after which a stream writes a comment. */
  constructor(clock: Clock, quietMs: number) {
    this.#clock = clock;
    this.#tickMs = quietMs / ticksToKeepAlive;
  }

  add(stream: WatchedStream): void {
    this.#streams.add(stream);
    this.#timer ??= this.#clock.interval(this.#tickMs, () => this.#tick());
  }

  remove(stream: WatchedStream): void {
    this.#streams.delete(stream);
    if (this.#streams.size > 0) return;
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
  }

  #tick(): void {
    for (const stream of this.#streams) stream.onTick();
  }
}
