import { Code, ConnectError } from '@connectrpc/connect';
import { type Clock, Latest } from '@signalbox/runtime';
import type { CollectionSource } from '@signalbox/xds';

import type { NodeDirectory } from '../discovery/node-directory.ts';
import { type PropagationMessage, propagationOf, type WatchedRevision } from './propagation.ts';

export interface PropagationWatchOptions {
  readonly nodes: NodeDirectory;
  /** What this replica offers to nodes. */
  readonly source: Pick<CollectionSource, 'get' | 'onChange'>;
  readonly clock: Clock;
  /** Streams that may be open at once. */
  readonly maxStreams: number;
  /** Longest life of a stream, in milliseconds. */
  readonly maxMs: number;
  /** Shortest time between two messages of a stream, in milliseconds. */
  readonly intervalMs: number;
}

/** Streams of who runs a revision: a state, not a queue, so a slow reader sees fewer messages and costs nothing. */
export class PropagationWatch {
  readonly #options: PropagationWatchOptions;
  #open = 0;

  constructor(options: PropagationWatchOptions) {
    this.#options = options;
  }

  /** Yields on every change until all nodes have answered. @throws ConnectError when a bound is reached. */
  async *watch(watched: WatchedRevision, signal: AbortSignal): AsyncGenerator<PropagationMessage> {
    const { maxStreams, maxMs, clock } = this.#options;
    if (this.#open >= maxStreams) {
      throw new ConnectError(`${maxStreams} propagation streams are open: try again later`, Code.ResourceExhausted);
    }
    this.#open += 1;
    const expiry = new AbortController();
    using _life = clock.timer(maxMs, () => expiry.abort());
    try {
      yield* this.#states(watched, AbortSignal.any([signal, expiry.signal]));
      if (expiry.signal.aborted) {
        throw new ConnectError(`not all nodes have answered after ${maxMs} ms`, Code.DeadlineExceeded);
      }
    } finally {
      this.#open -= 1;
    }
  }

  async *#states(watched: WatchedRevision, signal: AbortSignal): AsyncGenerator<PropagationMessage> {
    const { nodes, source, clock, intervalMs } = this.#options;
    const changes = new Latest(0);
    const changed = () => changes.set(changes.value + 1);
    using _nodes = nodes.onChange(changed);
    // That this replica has published the revision is news even when there is no node to answer.
    using _published = source.onChange(changed);
    let shown: string | undefined;
    for await (const _change of changes.watch(signal)) {
      const state = propagationOf(watched, nodes.list(), source.get(watched.scope)?.revision);
      const text = JSON.stringify(state, bigintAsText);
      if (text !== shown) yield state;
      if (state.done) return;
      shown = text;
      await clock.sleep(intervalMs, signal).catch(() => undefined);
    }
  }
}

function bigintAsText(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? value.toString() : value;
}
