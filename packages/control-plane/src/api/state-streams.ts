import { Code, ConnectError } from '@connectrpc/connect';
import { type Clock, Latest } from '@signalbox/runtime';

import type { Fleet } from '../discovery/fleet.ts';

export interface StateStreamsOptions {
  readonly fleet: Pick<Fleet, 'follow' | 'refresh' | 'onChange'>;
  readonly clock: Clock;
  /** Streams that may be open at once. */
  readonly maxStreams: number;
  /** Longest life of a stream, in milliseconds. */
  readonly maxMs: number;
  /** Shortest time between two messages of a stream, in milliseconds. */
  readonly intervalMs: number;
}

/** What a stream tells. */
export interface StreamedState<T> {
  /** Scope whose latencies are wanted. */
  readonly scope?: string;
  readonly read: () => T;
  /** Nothing can follow this state. */
  readonly isLast: (state: T) => boolean;
  /** Shortest time between two messages, in milliseconds, where it is not the usual one. */
  readonly intervalMs?: number;
}

/** What changes without anybody saying so, such as that a node has been away for long, is looked at so often. */
const tickMs = 500;

/** Streams of a state of the fleet, not of events: a slow reader sees fewer messages and costs nothing. */
export class StateStreams {
  readonly #options: StateStreamsOptions;
  #open = 0;

  constructor(options: StateStreamsOptions) {
    this.#options = options;
  }

  /** The state now, on all replicas. */
  async once<T>({ scope, read }: Pick<StreamedState<T>, 'scope' | 'read'>): Promise<T> {
    const { fleet } = this.#options;
    using _following = fleet.follow(scope);
    await fleet.refresh();
    return read();
  }

  /** Yields the state, and again on every change, until the last. @throws ConnectError when a bound is reached. */
  async *stream<T>(source: StreamedState<T>, signal: AbortSignal): AsyncGenerator<T> {
    const { maxStreams, maxMs, clock } = this.#options;
    if (this.#open >= maxStreams) {
      throw new ConnectError(`${maxStreams} streams are open: try again later`, Code.ResourceExhausted);
    }
    this.#open += 1;
    const expiry = new AbortController();
    using _life = clock.timer(maxMs, () => expiry.abort());
    try {
      yield* this.#states(source, AbortSignal.any([signal, expiry.signal]));
      if (expiry.signal.aborted) {
        throw new ConnectError(`the stream has lasted ${maxMs} ms: open another`, Code.DeadlineExceeded);
      }
    } finally {
      this.#open -= 1;
    }
  }

  async *#states<T>(source: StreamedState<T>, signal: AbortSignal): AsyncGenerator<T> {
    const { fleet, clock } = this.#options;
    const { scope, read, isLast, intervalMs = this.#options.intervalMs } = source;
    const changes = new Latest(0);
    const changed = () => changes.set(changes.value + 1);
    using _changes = fleet.onChange(changed);
    using _ticks = clock.interval(tickMs, changed);
    using _following = fleet.follow(scope);
    await fleet.refresh();
    let before: string | undefined;
    for await (const _change of changes.watch(signal)) {
      const state = read();
      const text = JSON.stringify(state, bigintAsText);
      if (text !== before) yield state;
      if (isLast(state)) return;
      before = text;
      await clock.sleep(intervalMs, signal).catch(() => undefined);
    }
  }
}

function bigintAsText(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? value.toString() : value;
}
