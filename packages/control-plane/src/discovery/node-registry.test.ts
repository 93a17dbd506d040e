import { discoveryName, typeUrlOf } from '@signalbox/config';
import { Metrics } from '@signalbox/runtime';
import { ManualClock } from '@signalbox/runtime/testing';
import type { Collection, ResourceFault, StreamInfo } from '@signalbox/xds';
import { describe, expect, it } from 'vitest';
import { NodeRegistry } from './node-registry.ts';

/** A registry over published revisions that a test sets. */
function registered(initial: Record<string, bigint> = { acme: 5n, globex: 3n }) {
  const published = new Map(Object.entries(initial));
  const listeners: ((scopes: readonly string[]) => void)[] = [];
  const clock = new ManualClock(1_000);
  const metrics = new Metrics();
  const registry = new NodeRegistry({
    source: {
      get: (id) => (published.has(id) ? ({ id, revision: published.get(id) } as Collection) : undefined),
      ids: () => published.keys(),
      committedAtMs: () => 900,
      onChange: (listener) => {
        listeners.push(listener);
        return { [Symbol.dispose]: () => undefined };
      },
    },
    ...{ replica: 'r1', time: clock, metrics, maxDisconnectedNodes: 2, maxRevisions: 3 },
  });
  const publish = (scope: string, revision: bigint | undefined) => {
    if (revision === undefined) published.delete(scope);
    else published.set(scope, revision);
    for (const listener of listeners) listener([scope]);
  };
  const scope = (name: string, node = 0) => registry.list()[node]?.scope(name);
  const silently = (scope: string, revision: bigint) => void published.set(scope, revision);
  return { registry, clock, metrics, publish, silently, scope };
}

let streams = 0;

function stream(
  id = 'node-1',
  given: Partial<Pick<StreamInfo, 'collections' | 'identity' | 'sources'>> = {},
): StreamInfo {
  streams += 1;
  return {
    id: streams,
    identity: { credentialId: 'token-1', name: 'edge nodes' },
    node: { id, cluster: 'edge', userAgentName: 'signalbox', userAgentVersion: '1.2.3', metadata: {} },
    family: 'native',
    remoteAddress: '127.0.0.1:5000',
    collections: 'all',
    ...given,
  };
}

const manifest = (scope: string) => discoveryName({ kind: 'Manifest', scope, name: 'current' });

/** A refusal of the response that closes acme@5 and globex@3. */
function refusal(faults: readonly ResourceFault[], closesRound = true) {
  return {
    typeUrl: typeUrlOf(closesRound ? 'Manifest' : 'Route'),
    closesRound,
    nonce: '1',
    version: '',
    collections: [
      { id: 'acme', revision: 5n },
      { id: 'globex', revision: 3n },
    ],
    faults,
  };
}

describe('the node registry', () => {
  it('lists a node with its identity, from the moment it is let in', () => {
    const { registry } = registered();
    registry.opened(stream());
    expect(registry.list()).toMatchObject([
      {
        ...{ id: 'node-1', gateway: 'edge', identity: 'edge nodes', userAgent: 'signalbox', version: '1.2.3' },
        ...{ connected: true, connectedSinceMs: 1_000, lastAckMs: undefined, lastNack: undefined },
      },
    ]);
    expect(registry.list()[0]?.scope('acme')).toEqual({
      ...{ sent: 0n, applied: 0n, appliedAfterMs: undefined, refused: undefined },
    });
  });

  it('counts a revision as applied when it was acknowledged, not when it was sent', async () => {
    const { registry, clock, scope } = registered();
    const node = stream();
    registry.opened(node);
    registry.sent(node, [{ id: 'acme', revision: 5n }]);
    expect(scope('acme')).toMatchObject({ sent: 5n, applied: 0n });
    await clock.advance(40);
    registry.acked(node, [{ id: 'acme', revision: 5n }]);
    expect(scope('acme')).toMatchObject({ applied: 5n });
    expect(registry.list()[0]?.lastAckMs).toBe(1_040);
  });

  it('does not take a node that gave a tenant up for one that runs the tenant of that name that has come since', () => {
    for (const given of [{}, { sources: new Set(['acme', 'globex']) }]) {
      const { registry, publish, scope } = registered();
      const node = stream('node-1', given);
      registry.opened(node);
      registry.acked(node, [{ id: 'acme', revision: 5n }]);
      publish('acme', undefined);
      publish('acme', 7n);
      registry.acked(node, [{ id: 'acme', revision: undefined }]);
      expect(scope('acme')).toMatchObject({ applied: 0n });
      registry.sent(node, [{ id: 'acme', revision: 7n }]);
      registry.acked(node, [{ id: 'acme', revision: 7n }]);
      expect(scope('acme')).toMatchObject({ sent: 7n, applied: 7n });
    }
  });

  it('takes the scopes that a refusal names as refused, and the others as applied', () => {
    const { registry, scope } = registered();
    const node = stream();
    registry.opened(node);
    registry.nacked(node, refusal([{ name: manifest('acme'), error: 'set does not match' }]));
    expect(scope('globex')).toMatchObject({ applied: 3n, refused: undefined });
    expect(scope('acme')).toMatchObject({ applied: 0n, refused: { revision: 5n } });
    expect(registry.list()[0]?.lastNack).toEqual({
      ...{ atMs: 1_000, scope: 'acme', revision: 5n },
      refusals: [{ type: 'Manifest', resource: 'current', message: 'set does not match' }],
    });
  });

  it.each([
    { what: 'a resource of the scope', name: discoveryName({ kind: 'Route', scope: 'acme', name: 'r' }), globex: 3n },
    { what: 'nothing', name: '', globex: 0n },
    { what: 'something unknown', name: 'what?', globex: 0n },
  ])('never takes a scope for applied that a refusal of $what may mean', ({ name, globex }) => {
    const { registry, scope } = registered();
    const node = stream();
    registry.opened(node);
    registry.nacked(node, refusal([{ name, error: 'no' }]));
    expect([scope('acme')?.applied, scope('globex')?.applied]).toEqual([0n, globex]);
  });

  it('keeps the reasons of refused resources with the refusal of their revision', () => {
    const { registry, scope } = registered();
    const node = stream();
    const route = discoveryName({ kind: 'Route', scope: 'acme', name: 'r' });
    registry.opened(node);
    registry.nacked(node, refusal([{ name: route, error: 'too many rules' }], false));
    registry.nacked(node, refusal([{ name: manifest('acme'), error: 'set is incomplete' }]));
    expect(scope('acme')?.refused?.refusals).toEqual([
      { type: 'Route', resource: 'r', message: 'too many rules' },
      { type: 'Manifest', resource: 'current', message: 'set is incomplete' },
    ]);
  });

  it('does not take refused data for a refused revision before the node has answered for it', () => {
    const { registry, scope } = registered();
    const node = stream();
    const route = discoveryName({ kind: 'Route', scope: 'acme', name: 'r' });
    registry.opened(node);
    registry.nacked(node, refusal([{ name: route, error: 'too many rules' }], false));
    expect(scope('acme')).toMatchObject({ refused: undefined });
    expect(registry.list()[0]?.lastNack?.refusals).toHaveLength(1);
  });

  it('remembers a refusal that is over, as over', () => {
    const { registry, publish, scope } = registered();
    const node = stream();
    registry.opened(node);
    registry.nacked(node, refusal([{ name: manifest('acme'), error: 'no' }]));
    publish('acme', 6n);
    registry.acked(node, [{ id: 'acme', revision: 6n }]);
    expect(scope('acme')).toMatchObject({ applied: 6n, refused: undefined });
    expect(registry.list()[0]?.lastNack).toMatchObject({ revision: 5n });
  });

  it('keeps the refusals of two scopes apart', () => {
    const { registry, scope } = registered();
    const node = stream();
    registry.opened(node);
    registry.nacked(node, refusal([{ name: manifest('acme'), error: 'first' }]));
    registry.nacked(node, {
      ...refusal([{ name: manifest('globex'), error: 'second' }]),
      collections: [{ id: 'globex', revision: 4n }],
    });
    expect(scope('acme')?.refused?.refusals[0]?.message).toBe('first');
    expect(scope('globex')).toMatchObject({ applied: 3n, refused: { revision: 4n } });
  });

  it('makes a node that reconnects prove again what it runs', () => {
    const { registry, scope } = registered();
    const first = stream();
    registry.opened(first);
    registry.acked(first, [{ id: 'acme', revision: 5n }]);
    registry.closed(first);
    expect(registry.list()[0]).toMatchObject({ connected: false });
    expect(scope('acme')?.applied).toBe(5n);
    registry.opened(stream());
    expect(registry.list()).toHaveLength(1);
    expect(scope('acme')?.applied).toBe(0n);
  });

  it('listens only to the newest stream of a node', () => {
    const { registry, scope } = registered();
    const [older, newer] = [stream(), stream()];
    registry.opened(older);
    registry.opened(newer);
    registry.acked(older, [{ id: 'acme', revision: 5n }]);
    registry.closed(older);
    expect(registry.list()).toMatchObject([{ connected: true }]);
    expect(scope('acme')?.applied).toBe(0n);
  });

  it('lets nobody take the place of a node by its id', () => {
    const { registry } = registered();
    registry.opened(stream());
    registry.opened(stream('node-1', { identity: { credentialId: 'token-2', name: 'other' } }));
    expect(registry.list().map(({ identity }) => identity)).toEqual(['edge nodes', 'other']);
  });

  it('shows a node that has returned with a new credential once', () => {
    const { registry } = registered();
    const old = stream();
    registry.opened(old);
    registry.closed(old);
    registry.opened(stream('node-1', { identity: { credentialId: 'token-2', name: 'rotated' } }));
    expect(registry.list().map(({ identity }) => identity)).toEqual(['rotated']);
  });

  it('shows a node only the scopes that it may see and that exist', () => {
    const { registry, publish, scope } = registered();
    const node = stream('node-1', { collections: new Set(['acme', 'later']) });
    registry.opened(node);
    expect([...(registry.list()[0]?.scopes() ?? [])]).toEqual(['acme']);
    registry.acked(node, [{ id: 'acme', revision: 5n }]);
    publish('acme', undefined);
    registry.acked(node, [{ id: 'acme', revision: undefined }]);
    expect(scope('acme')).toBeUndefined();
  });

  it('forgets the nodes that left first when too many have left', () => {
    const { registry } = registered();
    for (const id of ['a', 'b', 'c']) {
      const node = stream(id);
      registry.opened(node);
      registry.closed(node);
    }
    registry.opened(stream('d'));
    expect(registry.list().map(({ id }) => id)).toEqual(['b', 'c', 'd']);
  });

  it('tells listeners once for all changes of a turn', async () => {
    const { registry } = registered();
    let calls = 0;
    using _listening = registry.onChange(() => void (calls += 1));
    const node = stream();
    registry.opened(node);
    registry.sent(node, [{ id: 'acme', revision: 5n }]);
    registry.acked(node, [{ id: 'acme', revision: 5n }]);
    await new Promise((resolve) => setImmediate(resolve));
    expect(calls).toBe(1);
  });

  it('measures commit to applied, but not what a node had before its stream', () => {
    const { registry, metrics, publish } = registered();
    const node = stream();
    const count = () => /propagation_seconds_count (\d+)/.exec(metrics.expose())?.[1];
    registry.opened(node);
    registry.acked(node, [{ id: 'acme', revision: 5n }]);
    expect(count()).toBe('0');
    publish('acme', 6n);
    registry.acked(node, [{ id: 'acme', revision: 6n }]);
    expect(count()).toBe('1');
    expect(metrics.expose()).toContain('propagation_seconds_sum 0.1');
  });

  it('lets a node run what it ran when a newer revision is offered, until it says otherwise', () => {
    const { registry, publish, scope } = registered();
    const node = stream();
    registry.opened(node);
    registry.acked(node, [
      { id: 'acme', revision: 5n },
      { id: 'globex', revision: 3n },
    ]);
    publish('acme', 6n);
    publish('acme', 7n);
    expect(scope('acme')).toMatchObject({ sent: 5n, applied: 5n });
    registry.sent(node, [{ id: 'acme', revision: 6n }]);
    expect(scope('acme')).toMatchObject({ sent: 6n, applied: 5n });
    registry.acked(node, [{ id: 'acme', revision: 6n }]);
    expect(scope('acme')).toMatchObject({ applied: 6n });
    registry.acked(node, [{ id: 'acme', revision: 7n }]);
    expect([scope('acme')?.applied, scope('globex')?.applied]).toEqual([7n, 3n]);
  });

  it('does not take a tenant for applied that came after the first answer of a node', () => {
    const { registry, publish, scope } = registered();
    const node = stream();
    registry.opened(node);
    registry.acked(node, [{ id: 'acme', revision: 5n }]);
    expect(scope('globex')?.applied).toBe(0n);
    publish('initech', 1n);
    expect(scope('initech')).toMatchObject({ sent: 0n, applied: 0n });
  });

  it('remembers of a node that left what it ran then, whatever is offered since', () => {
    const { registry, publish, scope } = registered();
    const node = stream();
    registry.opened(node);
    registry.acked(node, [{ id: 'acme', revision: 5n }]);
    registry.closed(node);
    publish('acme', 6n);
    expect(scope('acme')?.applied).toBe(5n);
    expect(registry.list()[0]).toMatchObject({ connected: false, leftAtMs: 1_000 });
  });

  it('knows how long each node took to the newest revision, and how long all took to those that they jumped over', async () => {
    const { registry, clock, publish, scope } = registered();
    const node = stream();
    registry.opened(node);
    registry.acked(node, [{ id: 'acme', revision: 5n }]);
    publish('acme', 6n);
    publish('acme', 7n);
    await clock.advance(100);
    registry.acked(node, [{ id: 'acme', revision: 7n }]);
    expect(scope('acme')?.appliedAfterMs).toBe(200);
    const counts = registry.offered.history('acme').map(({ revision, latency }) => [revision, Object.values(latency)]);
    expect(counts).toEqual([
      [5n, []],
      [6n, [1]],
      [7n, [1]],
    ]);
  });

  it('counts the nodes that are behind, and those that are because they refuse', () => {
    const { registry, metrics, publish } = registered();
    const node = stream();
    const gauges = () => /nodes_behind (\d)[^]*nodes_refusing (\d)/.exec(metrics.expose())?.slice(1);
    registry.opened(node);
    registry.acked(node, [
      { id: 'acme', revision: 5n },
      { id: 'globex', revision: 3n },
    ]);
    expect(gauges()).toEqual(['0', '0']);
    publish('acme', 6n);
    expect(gauges()).toEqual(['1', '0']);
    registry.nacked(node, {
      ...refusal([{ name: manifest('acme'), error: 'no' }]),
      collections: [{ id: 'acme', revision: 6n }],
    });
    expect(gauges()).toEqual(['1', '1']);
  });

  it('counts a node only for what it asks for, from when it does', () => {
    const { registry, publish, scope } = registered();
    const node = stream();
    registry.opened(node);
    registry.following(node, new Set(['acme']));
    registry.acked(node, [{ id: 'acme', revision: 5n }]);
    expect([scope('acme')?.applied, scope('globex')]).toEqual([5n, undefined]);
    registry.following(node, new Set(['acme', 'globex']));
    expect([scope('acme')?.applied, scope('globex')?.applied]).toEqual([5n, 0n]);
    registry.acked(node, [{ id: 'globex', revision: 3n }]);
    registry.following(node, new Set(['globex']));
    publish('acme', 6n);
    expect([scope('acme'), scope('globex')?.applied]).toEqual([undefined, 3n]);
    expect(registry.list()[0]?.scopes()).toEqual(['globex']);
  });

  it('does not take a tenant for applied that came into the rights of a node while it was connected', () => {
    const { registry, scope } = registered();
    const rights = new Set(['acme']);
    const node = stream('node-1', { sources: rights });
    registry.opened(node);
    registry.acked(node, [{ id: 'acme', revision: 5n }]);
    rights.add('globex');
    expect(scope('globex')).toBeUndefined();
    registry.sent(node, [{ id: 'globex', revision: 3n }]);
    expect(scope('globex')).toMatchObject({ sent: 3n, applied: 0n });
    registry.acked(node, [{ id: 'globex', revision: 3n }]);
    expect(scope('globex')?.applied).toBe(3n);
    rights.delete('globex');
    expect(scope('globex')).toBeUndefined();
  });

  it('knows what was sent although it hears of the revision after whoever sent it', () => {
    const { registry, silently, scope } = registered();
    const node = stream();
    registry.opened(node);
    registry.acked(node, [{ id: 'acme', revision: 5n }]);
    silently('acme', 6n);
    registry.sent(node, [{ id: 'acme', revision: 6n }]);
    expect(scope('acme')).toMatchObject({ sent: 6n, applied: 5n });
  });
});
