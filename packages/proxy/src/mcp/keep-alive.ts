import type { Clock } from '@signalbox/runtime';

/** A stream that must not look dead when it has nothing to say. */
export interface QuietStream {
  /** Ticks since something was written: the stream sets it to 0 on every write. */
  quietTicks: number;
  /** Writes a comment. */
  keepAlive(): void;
}

/** How many ticks the quiet time is cut into: comments come at most one tick late. */
const ticks = 3;

/** One coarse timer for all streams; it runs only while there are any. */
export class KeepAlive {
  readonly #clock: Clock;
  readonly #tickMs: number;
  readonly #streams = new Set<QuietStream>();
  #timer: Disposable | undefined;

  /** @param quietMs silence after which a stream writes a comment. */
  constructor(clock: Clock, quietMs: number) {
    this.#clock = clock;
    this.#tickMs = quietMs / ticks;
  }

  add(stream: QuietStream): void {
    this.#streams.add(stream);
    this.#timer ??= this.#clock.interval(this.#tickMs, () => this.#tick());
  }

  remove(stream: QuietStream): void {
    this.#streams.delete(stream);
    if (this.#streams.size > 0) return;
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
  }

  #tick(): void {
    for (const stream of this.#streams) {
      stream.quietTicks += 1;
      if (stream.quietTicks >= ticks) stream.keepAlive();
    }
  }
}
