import {
  defaultRemovalLimits,
  defaultTableLimits,
  discoveryName,
  operatorScope,
  setHash,
  type Snapshot,
  typeUrlOf,
} from '@signalbox/config';
import { Metrics } from '@signalbox/runtime';
import { ManualClock, MemoryLogger } from '@signalbox/runtime/testing';
import type { ResourceFault, ResourceUpdate } from '@signalbox/xds';
import { describe, expect, it } from 'vitest';
import { CurrentTable } from '../table/current-table.ts';
import { TimeSlice } from '../table/time-slice.ts';
import { dataOf, manifestName, manifestsOf, operatorSet, roundOf, tenantSet } from '../testing/config-sets.ts';
import { Activation } from './activation.ts';
import type { LastGoodSet } from './last-good-format.ts';
import { Subscriber } from './subscriber.ts';

function fixture(options: { readonly routesPerTenant?: number; readonly maxScopes?: number } = {}) {
  const { routesPerTenant = 100, maxScopes = 100 } = options;
  const current = new CurrentTable();
  let swaps = 0;
  current.observe({ onSwap: () => void (swaps += 1), onRetired: () => undefined });
  const clock = new ManualClock();
  const slice = new TimeSlice(clock, 2);
  const metrics = new Metrics();
  const logger = new MemoryLogger();
  const disk = new Map<string, LastGoodSet>();
  const subscriber = new Subscriber({
    activation: new Activation(current, slice, { ...defaultTableLimits, routes: routesPerTenant }),
    lastGood: {
      save: (set) => void disk.set(set.snapshot.scope, set),
      forget: (scope) => void disk.delete(scope),
    },
    limits: { scopes: maxScopes, resources: 1_000, bytes: 1_000_000 },
    removals: defaultRemovalLimits,
    slice,
    clock,
    logger,
    metrics,
  });
  const send = async (...updates: readonly ResourceUpdate[]): Promise<readonly ResourceFault[]> => {
    const faults: ResourceFault[] = [];
    for (const update of updates) faults.push(...(await subscriber.onResponse(update)));
    return faults;
  };
  const served = () =>
    Object.fromEntries(
      [...(current.value?.tenants ?? [])].map(([name, table]) => [
        name,
        `${table.revision} ${[...table.routes.keys()].join(' ')}`,
      ]),
    );
  return { subscriber, send, served, disk, logger, clock, metrics, swaps: () => swaps };
}

const operator = operatorSet(1n, ['acme', 'beta']);
const acme = (revision: bigint, ...routes: readonly string[]) => tenantSet('acme', revision, { routes });
const beta = (revision: bigint, ...routes: readonly string[]) => tenantSet('beta', revision, { routes });
const badAcme = tenantSet('acme', 2n, { routes: ['a', 'b'], virtualServer: 'missing' });

async function serving(options?: Parameters<typeof fixture>[0]) {
  const node = fixture(options);
  await node.send(
    ...dataOf(undefined, operator),
    ...dataOf(undefined, acme(1n, 'a')),
    ...dataOf(undefined, beta(1n, 'x')),
  );
  await node.send(manifestsOf([operator, acme(1n, 'a'), beta(1n, 'x')]));
  return node;
}

const names = (faults: readonly ResourceFault[]) => faults.map(({ name }) => name);

describe('a node that receives configuration', () => {
  it('serves nothing of what it was sent before the manifest', async () => {
    const { send, served } = fixture();
    expect(await send(...dataOf(undefined, operator), ...dataOf(undefined, acme(1n, 'a')))).toEqual([]);
    expect(served()).toEqual({});
    expect(await send(manifestsOf([operator, acme(1n, 'a')]))).toEqual([]);
    expect(served()).toEqual({ acme: '1 a' });
  });

  it('swaps once for all manifests of a response, and notes each set for the disk', async () => {
    const { served, swaps, disk } = await serving();
    expect(served()).toEqual({ acme: '1 a', beta: '1 x' });
    expect(swaps()).toBe(1);
    expect([...disk.keys()]).toEqual([operatorScope, 'acme', 'beta']);
  });

  it('applies what changed', async () => {
    const { send, served } = await serving();
    expect(await send(...roundOf(acme(1n, 'a'), acme(2n, 'a', 'b')))).toEqual([]);
    expect(await send(...roundOf(acme(2n, 'a', 'b'), acme(3n, 'b')))).toEqual([]);
    expect(served()).toEqual({ acme: '3 b', beta: '1 x' });
  });

  it('takes a revision without a change in content', async () => {
    const { send, served } = await serving();
    expect(await send(manifestsOf([acme(2n, 'a')]))).toEqual([]);
    expect(served()).toEqual({ acme: '2 a', beta: '1 x' });
  });

  it('refuses a set that is not what the manifest announces, and takes it once it is', async () => {
    const { send, served } = await serving();
    const faults = await send(manifestsOf([acme(2n, 'a', 'b')]));
    expect(names(faults)).toEqual([manifestName('acme')]);
    expect(faults[0]?.error).toContain('does not match the manifest');
    expect(served()).toEqual({ acme: '1 a', beta: '1 x' });
    expect(await send(...roundOf(acme(1n, 'a'), acme(2n, 'a', 'b')))).toEqual([]);
    expect(served()).toEqual({ acme: '2 a b', beta: '1 x' });
  });

  it('keeps the old set of a scope that it refuses, says why by resource, and serves the others', async () => {
    const { send, served, disk, swaps } = await serving();
    await send(...dataOf(acme(1n, 'a'), badAcme), ...dataOf(beta(1n, 'x'), beta(2n, 'y')));
    const faults = await send(manifestsOf([badAcme, beta(2n, 'y')]));
    expect(names(faults)).toEqual([
      manifestName('acme'),
      discoveryName({ kind: 'Route', scope: 'acme', name: 'a' }),
      discoveryName({ kind: 'Route', scope: 'acme', name: 'b' }),
    ]);
    expect(served()).toEqual({ acme: '1 a', beta: '2 y' });
    expect(disk.get('acme')?.snapshot.revision).toBe(1n);
    expect(swaps()).toBe(2);
  });

  it('takes the next revision after one that it refused', async () => {
    const { send, served } = await serving();
    await send(...roundOf(acme(1n, 'a'), badAcme));
    expect(await send(...roundOf(badAcme, acme(3n, 'a', 'b')))).toEqual([]);
    expect(served()).toEqual({ acme: '3 a b', beta: '1 x' });
  });

  it('refuses a set beyond its limits whole', async () => {
    const { send, served } = await serving({ routesPerTenant: 2 });
    const faults = await send(...roundOf(acme(1n, 'a'), acme(2n, 'a', 'b', 'c')));
    expect(names(faults)).toEqual([manifestName('acme')]);
    expect(faults[0]?.error).toContain('3 routes');
    expect(served()).toEqual({ acme: '1 a', beta: '1 x' });
  });

  it('ignores an older revision than the one it serves, and reports it', async () => {
    const { send, served, logger } = await serving();
    await send(...roundOf(acme(1n, 'a'), acme(5n, 'a', 'b')));
    const faults = await send(...roundOf(acme(5n, 'a', 'b'), acme(4n, 'a')));
    expect(names(faults)).toEqual([manifestName('acme')]);
    expect(faults[0]?.error).toContain('older');
    expect(served()).toEqual({ acme: '5 a b', beta: '1 x' });
    expect(logger.lines.filter(({ level }) => level === 'error')).toHaveLength(1);
  });

  it('accepts an older revision with the same content, and goes on with its own', async () => {
    const { send, served, swaps } = await serving();
    await send(manifestsOf([acme(5n, 'a')]));
    expect(await send(manifestsOf([acme(4n, 'a')]))).toEqual([]);
    expect(served()).toEqual({ acme: '5 a', beta: '1 x' });
    expect(swaps()).toBe(2);
  });

  it('serves a tenant whose manifest came before the operator’s, as soon as that came', async () => {
    const { send, served } = fixture();
    const early = await send(...roundOf(undefined, acme(1n, 'a')));
    expect(names(early)).toEqual([manifestName('acme')]);
    expect(await send(...roundOf(undefined, operator))).toEqual([]);
    expect(served()).toEqual({ acme: '1 a' });
  });

  it('no longer serves a tenant that the operator removed, nor keeps it on disk; and serves it again', async () => {
    const { send, served, disk } = await serving();
    const without = operatorSet(2n, ['beta']);
    expect(await send(...roundOf(operator, without))).toEqual([]);
    expect(served()).toEqual({ beta: '1 x' });
    expect([...disk.keys()]).toEqual([operatorScope, 'beta']);
    expect(await send(...roundOf(without, operatorSet(3n, ['acme', 'beta'])))).toEqual([]);
    expect(served()).toEqual({ beta: '1 x', acme: '1 a' });
  });

  it('no longer serves a tenant of which every name was removed', async () => {
    const { send, served, disk } = await serving();
    const gone = dataOf(acme(1n, 'a'), tenantSet('acme', 2n, { routes: [] }));
    await send(...gone, ...removalOf(tenantSet('acme', 2n, { routes: [] })));
    expect(served()).toEqual({ acme: '1 a', beta: '1 x' });
    expect(await send(manifestsOf([], ['acme']))).toEqual([]);
    expect(served()).toEqual({ beta: '1 x' });
    expect(disk.has('acme')).toBe(false);
  });

  it('keeps a tenant whose manifest alone was removed, and the operator’s set whatever is removed', async () => {
    const { send, served, logger } = await serving();
    expect(await send(manifestsOf([], ['acme', operatorScope]))).toEqual([]);
    expect(await send(...removalOf(operator), manifestsOf([], [operatorScope]))).toEqual([]);
    expect(served()).toEqual({ acme: '1 a', beta: '1 x' });
    expect(logger.lines.filter(({ level }) => level === 'warn')).toHaveLength(3);
  });

  it('refuses a set that lost more than half, until its manifest says that this is meant', async () => {
    const { send, served, metrics } = fixture();
    const many = Array.from({ length: 20 }, (_, at) => `r${at}`);
    const full = acme(1n, ...many);
    await send(...roundOf(undefined, operator), ...roundOf(undefined, full));
    const shrunk = acme(2n, 'r0');
    const faults = await send(...roundOf(full, shrunk));
    expect(names(faults)).toEqual([manifestName('acme')]);
    expect(faults[0]?.error).toContain('lacks 19 of the 23 resources of revision 1');
    expect(served()).toEqual({ acme: `1 ${many.toSorted().join(' ')}` });
    expect(metrics.expose()).toContain('signalbox_proxy_removals_refused_total 1');
    expect(names(await send(manifestsOf([shrunk], [], 1n)))).toEqual([manifestName('acme')]);
    expect(await send(manifestsOf([shrunk], [], 2n))).toEqual([]);
    expect(served()).toEqual({ acme: '2 r0' });
  });

  it('keeps its tenants when a control plane that has lost everything takes them away', async () => {
    const { send, served, disk } = await serving();
    const empty = { ...operatorSet(0n, []), resources: new Map() };
    await send(...dataOf(operator, empty), ...removalOf(acme(1n, 'a')), ...removalOf(beta(1n, 'x')));
    const faults = await send(manifestsOf([{ ...empty, hash: setHash([]) }], ['acme', 'beta']));
    expect(names(faults)).toEqual([manifestName(operatorScope), manifestName('acme'), manifestName('beta')]);
    expect(served()).toEqual({ acme: '1 a', beta: '1 x' });
    expect(disk.size).toBe(3);
  });

  it('takes nothing away for an empty answer', async () => {
    const { send, served } = await serving();
    const empty = (['Gateway', 'Tenant', 'Backend', 'VirtualServer', 'Route', 'Policy', 'Manifest'] as const).map(
      (kind) => ({
        typeUrl: typeUrlOf(kind),
        resources: [],
        removed: [],
      }),
    );
    expect(await send(...empty)).toEqual([]);
    expect(served()).toEqual({ acme: '1 a', beta: '1 x' });
  });
});

/** The removal of every resource of a set. */
function removalOf(set: Snapshot): readonly ResourceUpdate[] {
  return dataOf(set, { ...set, resources: new Map() });
}

describe('a resource that a node is sent', () => {
  const [route] = dataOf(undefined, acme(1n, 'a')).filter(({ typeUrl }) => typeUrl === typeUrlOf('Route'));
  const sent = route?.resources[0];

  it.each<[string, Partial<{ name: string; version: string; typeUrl: string }>]>([
    ['has another digest than its version names', { version: '00' }],
    ['has the name of another kind', { name: discoveryName({ kind: 'Backend', scope: 'acme', name: 'a' }) }],
    ['has no name of ours', { name: 'a' }],
    ['is of another type inside', { typeUrl: typeUrlOf('Backend') }],
    [
      'is of a tenant’s kind in the operator’s scope',
      { name: discoveryName({ kind: 'Route', scope: operatorScope, name: 'a' }) },
    ],
  ])('is refused when it %s', async (_case, change) => {
    const { send, subscriber } = fixture();
    const resource = { ...sent, ...change } as ResourceUpdate['resources'][number];
    expect(names(await send({ typeUrl: typeUrlOf('Route'), resources: [resource], removed: [] }))).toEqual([
      resource.name,
    ]);
    expect(subscriber.heldVersions(typeUrlOf('Route')).size).toBe(0);
  });

  it('is refused when it would be one too many', async () => {
    const { send } = fixture({ maxScopes: 1 });
    expect(await send(...roundOf(undefined, operator))).toEqual([]);
    const faults = await send(...roundOf(undefined, acme(1n, 'a')));
    expect(faults.length).toBeGreaterThan(0);
    expect(faults.every(({ error }) => error.includes('at most 1 scopes'))).toBe(true);
  });
});

describe('a node that comes back', () => {
  it('says what it holds by name and version, with the manifests of what it serves', async () => {
    const { send, subscriber } = await serving();
    await send(...roundOf(acme(1n, 'a'), badAcme));
    const routes = subscriber.heldVersions(typeUrlOf('Route'));
    expect([...routes.keys()]).toContain(discoveryName({ kind: 'Route', scope: 'acme', name: 'b' }));
    const manifests = subscriber.heldVersions(typeUrlOf('Manifest'));
    expect(manifests.get(manifestName('acme'))).toBe(manifestsOf([acme(1n, 'a')]).resources[0]?.version);
    expect(subscriber.heldVersions('type.googleapis.com/other').size).toBe(0);
  });

  it('serves from disk before it hears anything, and says that it holds that', async () => {
    const before = await serving();
    const { subscriber, served, swaps, send } = fixture();
    await subscriber.restore([...before.disk.values()]);
    expect(served()).toEqual({ acme: '1 a', beta: '1 x' });
    expect(swaps()).toBe(1);
    for (const kind of ['Tenant', 'Route', 'Manifest'] as const) {
      const typeUrl = typeUrlOf(kind);
      expect(subscriber.heldVersions(typeUrl)).toEqual(before.subscriber.heldVersions(typeUrl));
    }
    expect(await send(...roundOf(acme(1n, 'a'), acme(2n, 'b')))).toEqual([]);
    expect(served()).toEqual({ acme: '2 b', beta: '1 x' });
  });

  it('does not claim a set from disk that it no longer accepts', async () => {
    const before = await serving();
    const { subscriber, served, logger } = fixture({ routesPerTenant: 0 });
    await subscriber.restore([...before.disk.values()]);
    expect(served()).toEqual({});
    expect([...subscriber.heldVersions(typeUrlOf('Manifest')).keys()]).toEqual([manifestName(operatorScope)]);
    expect(logger.lines.filter(({ level }) => level === 'error')).toHaveLength(2);
  });
});

describe('a node without its control plane', () => {
  const staleness = (metrics: Metrics) =>
    /^signalbox_proxy_config_staleness_seconds (.*)$/m.exec(metrics.expose())?.[1];

  it('says for how long it has been on its own', async () => {
    const { subscriber, clock, metrics } = fixture();
    await clock.advance(3_000);
    expect(staleness(metrics)).toBe('3');
    subscriber.onConnection('connecting', '');
    subscriber.onConnection('connected', 'control plane');
    await clock.advance(5_000);
    expect(staleness(metrics)).toBe('0');
    subscriber.onConnection('disconnected', 'it ended');
    subscriber.onConnection('connecting', '');
    await clock.advance(7_000);
    expect(staleness(metrics)).toBe('7');
  });
});
