import { ManualClock } from '@signalbox/runtime/testing';
import { describe, expect, it } from 'vitest';

import type { NodeStatus } from '../discovery/node-directory.ts';
import { PropagationWatch, type PropagationWatchOptions } from './watch-propagation.ts';

const watched = { scope: 'acme', revision: 2n, committedAtMs: 0 };

/** A directory of one node whose applied revision the test sets. */
function subject(limits: Partial<PropagationWatchOptions> = {}) {
  const listeners = new Set<() => void>();
  const clock = new ManualClock();
  const state = { applied: 1n };
  const status = (): NodeStatus => ({
    ...{ id: 'n', gateway: 'g', identity: 'i', userAgent: '', version: '', remoteAddress: '', connected: true },
    ...{ connectedSinceMs: 0, lastSeenMs: 0, lastAckMs: undefined, lastNack: undefined },
    scopes: new Map([
      ['acme', { desired: 2n, sent: 1n, applied: state.applied, appliedAtMs: undefined, refused: undefined }],
    ]),
  });
  const onChange = (listener: () => void) => {
    listeners.add(listener);
    return { [Symbol.dispose]: () => void listeners.delete(listener) };
  };
  const collection = {
    id: 'acme',
    revision: 2n,
    get: () => undefined,
    all: () => [],
    changedSince: () => ({ updated: [], removed: [] }),
  };
  const watch = new PropagationWatch({
    nodes: { list: () => [status()], onChange },
    source: { get: () => collection, onChange: (listener) => onChange(() => listener(['acme'])) },
    ...{ clock, maxStreams: 1, maxMs: 1_000, intervalMs: 20, ...limits },
  });
  const apply = (revision: bigint) => {
    state.applied = revision;
    for (const listener of listeners) listener();
  };
  return { watch, clock, apply, listeners };
}

describe('a propagation stream', () => {
  it('tells the state, then every change, and ends when all have answered', async () => {
    const { watch, clock, apply, listeners } = subject();
    const stream = watch.watch(watched, new AbortController().signal);
    expect((await stream.next()).value).toMatchObject({ done: false });
    const next = stream.next();
    await clock.advance(20);
    apply(2n);
    expect((await next).value).toMatchObject({ done: true, nodes: [{ appliedRevision: 2n }] });
    expect((await stream.next()).done).toBe(true);
    expect(listeners.size).toBe(0);
  });

  it('is refused beyond the limit, and allowed again when one has ended', async () => {
    const { watch } = subject();
    const first = watch.watch(watched, new AbortController().signal);
    await first.next();
    const second = () => watch.watch(watched, new AbortController().signal).next();
    await expect(second()).rejects.toThrow('try again later');
    await first.return(undefined);
    expect((await second()).done).toBe(false);
  });

  it('ends with its caller and at its longest life', async () => {
    const { watch, clock, listeners } = subject({ maxStreams: 2 });
    const caller = new AbortController();
    const left = watch.watch(watched, caller.signal);
    await left.next();
    const end = left.next();
    caller.abort();
    expect((await end).done).toBe(true);
    const long = watch.watch(watched, new AbortController().signal);
    await long.next();
    const expired = long.next().catch(String);
    await clock.advance(1_000);
    expect(await expired).toContain('not all nodes have answered');
    expect(listeners.size).toBe(0);
  });
});
