import { defaultRemovalLimits, defaultTableLimits, discoveryName, type Snapshot, typeUrlOf } from '@signalbox/config';
import { Metrics } from '@signalbox/runtime';
import { ManualClock, MemoryLogger } from '@signalbox/runtime/testing';
import type { ResourceUpdate, SubscriptionChange } from '@signalbox/xds';
import { describe, expect, it } from 'vitest';
import { CurrentTable } from '../table/current-table.ts';
import { TimeSlice } from '../table/time-slice.ts';
import { dataOf, manifestsOf, operatorSet, roundOf, tenantSet } from '../testing/config-sets.ts';
import { Activation } from './activation.ts';
import { Subscriber } from './subscriber.ts';
import { TenantDemand } from './tenant-demand.ts';

const limits = { tenants: 10, waiting: 10, waitMs: 1_000, idleMs: 60_000, retryMs: 5_000 };

/** A node that loads tenants on demand and has the operator's set. */
async function fixture(restored: readonly Snapshot[] = []) {
  const current = new CurrentTable();
  const clock = new ManualClock();
  const kit = { clock, logger: new MemoryLogger(), metrics: new Metrics() };
  const slice = new TimeSlice(clock, 2);
  const demand = new TenantDemand({ ...kit, limits });
  const asked: SubscriptionChange[] = [];
  const disk = new Set<string>();
  const subscriber = new Subscriber({
    ...{ ...kit, slice, demand, activation: new Activation(current, slice, defaultTableLimits) },
    lastGood: { save: ({ snapshot }) => void disk.add(snapshot.scope), forget: (scope) => void disk.delete(scope) },
    limits: { scopes: 100, resources: 1_000, bytes: 1_000_000 },
    removals: defaultRemovalLimits,
    resubscribe: (changes) => void asked.push(...changes),
  });
  const send = async (...updates: readonly ResourceUpdate[]) => {
    const faults = [];
    for (const update of updates) faults.push(...(await subscriber.onResponse(update)));
    return faults;
  };
  await subscriber.restore(restored.map((snapshot) => ({ snapshot, manifestVersion: 'v' })));
  await send(...roundOf(undefined, operator));
  return { subscriber, demand, asked, send, disk, clock, served: () => [...(current.value?.tenants.keys() ?? [])] };
}

const operator = operatorSet(1n, ['acme', 'beta']);
const acme = (revision: bigint, ...routes: readonly string[]) => tenantSet('acme', revision, { routes });
const glob = (kind: 'Route' | 'Tenant' | 'Manifest', scope: string) => discoveryName({ kind, scope, name: '*' });
const absent: ResourceUpdate = {
  ...{ typeUrl: typeUrlOf('Manifest'), resources: [] },
  removed: [glob('Manifest', 'acme')],
};

describe('a node that loads tenants on demand', () => {
  it('begins with the operator’s set and the tenants that it held before', async () => {
    const { subscriber } = await fixture([operator, acme(1n, 'a')]);
    expect(subscriber.subscriptions(typeUrlOf('Tenant'))).toEqual([glob('Tenant', 'operator')]);
    expect(subscriber.subscriptions(typeUrlOf('Route'))).toEqual([glob('Route', 'acme')]);
    expect(subscriber.subscriptions(typeUrlOf('Manifest'))).toEqual([
      glob('Manifest', 'operator'),
      glob('Manifest', 'acme'),
    ]);
  });

  it('asks for the tenant of a request type by type, the Manifest last, and serves it when its set is whole', async () => {
    const { demand, asked, send, served } = await fixture();
    const waiting = demand.want('acme');
    expect(asked.map(({ typeUrl }) => typeUrl)).toEqual(
      (['Backend', 'VirtualServer', 'Route', 'Policy', 'Manifest'] as const).map((kind) => typeUrlOf(kind)),
    );
    expect(asked.at(-1)).toMatchObject({ subscribe: [glob('Manifest', 'acme')], unsubscribe: [] });
    expect(await send(...roundOf(undefined, acme(1n, 'a')))).toEqual([]);
    expect([await waiting, served()]).toEqual(['loaded', ['acme']]);
  });

  it('knows that a tenant has nothing when there is no Manifest of it', async () => {
    const { demand, asked, send, served } = await fixture();
    const waiting = demand.want('acme');
    await send(absent);
    expect([await waiting, served(), demand.wants('acme')]).toEqual(['absent', [], false]);
    expect(asked.at(-1)).toMatchObject({ subscribe: [], unsubscribe: [glob('Manifest', 'acme')] });
  });

  it('refuses a bad set like any other node, and says so to the requests that wait', async () => {
    const { demand, send, served } = await fixture();
    const waiting = demand.want('acme');
    const bad = tenantSet('acme', 1n, { routes: ['a'], virtualServer: 'missing' });
    expect(await send(...roundOf(undefined, bad))).not.toEqual([]);
    expect([await waiting, served()]).toEqual(['refused', []]);
  });

  it('gives up what nobody uses, from the table and from the disk, and takes no more of it', async () => {
    const { demand, send, served, disk, clock, subscriber } = await fixture();
    void demand.want('acme');
    await send(...roundOf(undefined, acme(1n, 'a')));
    expect([...disk]).toEqual(['operator', 'acme']);
    await clock.advance(2 * limits.idleMs);
    await send();
    expect([served(), [...disk]]).toEqual([[], ['operator']]);
    expect(await send(...roundOf(acme(1n, 'a'), acme(2n, 'a', 'b')))).toEqual([]);
    expect([served(), subscriber.heldVersions(typeUrlOf('Route')).size]).toEqual([[], 0]);
  });

  it('serves on what is used again before it is gone', async () => {
    const { demand, send, served, subscriber } = await fixture();
    void demand.want('acme');
    await send(...roundOf(undefined, acme(1n, 'a')));
    demand.use('acme');
    subscriber.onDemand([], ['acme']);
    await send(...roundOf(operator, operatorSet(2n, ['acme', 'beta', 'gamma'])));
    expect([served(), demand.wants('acme')]).toEqual([['acme'], true]);
  });

  it('asks a second time when what came still belonged to an earlier subscription', async () => {
    const { demand, asked, send, served } = await fixture();
    const waiting = demand.want('acme');
    await send(...dataOf(undefined, acme(1n, 'old')));
    const before = asked.length;
    expect(await send(manifestsOf([acme(2n, 'a')]))).toHaveLength(1);
    expect(asked.slice(before).at(-1)).toMatchObject({ subscribe: [glob('Manifest', 'acme')] });
    await send(...roundOf(undefined, acme(2n, 'a')));
    expect([await waiting, served()]).toEqual(['loaded', ['acme']]);
  });

  it('gives up a tenant that the operator deletes', async () => {
    const { demand, send, served } = await fixture();
    void demand.want('acme');
    await send(...roundOf(undefined, acme(1n, 'a')));
    await send(...roundOf(operator, operatorSet(2n, ['beta'])));
    await send();
    expect([served(), demand.wants('acme'), await demand.want('acme')]).toEqual([[], false, 'absent']);
  });
});
