import { fromBinary } from '@bufbuild/protobuf';
import { encodeResource, makeSnapshot, operatorScope, type StoredResource, typeUrlOf } from '@signalbox/config';
import { create } from '@bufbuild/protobuf';
import { DeltaDiscoveryResponseSchema } from '@signalbox/proto/envoy/service/discovery/v3/discovery_pb.ts';
import { ManifestSchema } from '@signalbox/proto/signalbox/config/v1/manifest_pb.ts';
import { TenantSchema } from '@signalbox/proto/signalbox/config/v1/tenant_pb.ts';
import { ManualClock, MemoryLogger } from '@signalbox/runtime/testing';
import { describe, expect, it } from 'vitest';
import type { ChangeListener, CommittedChange } from '../store/change-feed.ts';
import { storedText } from '../testing/memory-feed.ts';
import { Publisher } from './publisher.ts';
import type { ScopedSource } from './scoped-source.ts';
import { ScopedSources } from './scoped-sources.ts';
import { TenantDirectory } from './tenant-directory.ts';
import { type TenantRights, tenantRights } from './tenant-rights.ts';

type Labels = Readonly<Record<string, string>>;

/** Tenants by name with their labels, each with one backend; commits go through at once. */
async function published(tenants: Readonly<Record<string, Labels>>, maxSources = 10) {
  const revisions = new Map([[operatorScope, 1n], ...Object.keys(tenants).map((name) => [name, 1n] as const)]);
  const head = { committedAtMs: 0, removalsConfirmed: 0n };
  let listener: ChangeListener | undefined;
  const feed = {
    start: async (to: ChangeListener) => {
      listener = to;
      const operator = [storedText('Gateway', 'edge', 'a gateway'), ...Object.entries(tenants).map(tenantResource)];
      to.loaded([
        { scope: operatorScope, revision: 1n, ...head, resources: operator },
        ...Object.keys(tenants).map((scope) => ({
          ...{ scope, revision: 1n, ...head },
          resources: [storedText('Backend', 'b', '1')],
        })),
      ]);
    },
    kick: () => undefined,
    stop: async () => undefined,
  };
  const debounce = { quietMs: 0, maxMs: 0 };
  const clock = new ManualClock();
  const publisher = new Publisher({ feed, clock, logger: new MemoryLogger(), debounce, maxRememberedChanges: 100 });
  await publisher.start();
  const sources = new ScopedSources({
    ...{ published: publisher, directory: new TenantDirectory(publisher), maxRememberedChanges: 100, maxSources },
  });
  const commit = async (scope: string, ...changes: CommittedChange[]) => {
    const revision = (revisions.get(scope) ?? 0n) + 1n;
    revisions.set(scope, revision);
    listener?.committed([{ scope, revision, ...head, changes }]);
    await clock.advance(1);
    return revision;
  };
  return {
    ...{ publisher, sources },
    commit: (scope: string, text: string) => commit(scope, put(storedText('Backend', 'b', text))),
    label: (name: string, labels: Labels) => commit(operatorScope, put(tenantResource([name, labels]))),
    remove: (name: string) => commit(operatorScope, { kind: 'Tenant', name, resource: null }),
    gateway: (text: string) => commit(operatorScope, put(storedText('Gateway', 'edge', text))),
  };
}

function put(resource: StoredResource): CommittedChange {
  return { kind: resource.kind, name: resource.name, resource };
}

function tenantResource([name, labels]: [string, Labels]): StoredResource {
  return encodeResource('Tenant', name, create(TenantSchema, { labels }));
}

const gold = tenantRights([], 'tier=gold') as TenantRights;

/** Uses a source, and takes down what it is told. */
function used(source: ScopedSource | undefined) {
  if (!source) throw new Error('there is no source');
  const told: string[][] = [];
  const use = source.onChange((ids) => void told.push([...ids].sort()));
  const tenants = () => names(source, 'Tenant');
  return { source, told, use, tenants, scopes: () => [...source.ids()].sort() };
}

function names(source: ScopedSource, kind: 'Tenant' | 'Gateway'): readonly string[] {
  const entries = source.get(operatorScope)?.all(typeUrlOf(kind)) ?? [];
  return Array.from(entries, ({ name }) => name.slice(name.lastIndexOf('/') + 1)).sort();
}

function manifest(source: ScopedSource) {
  const [entry] = source.get(operatorScope)?.all(typeUrlOf('Manifest')) ?? [];
  const [resource] = fromBinary(DeltaDiscoveryResponseSchema, entry?.encoded ?? Buffer.of()).resources;
  return fromBinary(ManifestSchema, resource?.resource?.value ?? Buffer.of());
}

const gilded = { tier: 'gold' };

describe('what a credential with limited rights may know', () => {
  it('has the gateways, the tenants that its labels select, and no name of any other', async () => {
    const { sources, publisher } = await published({ acme: gilded, globex: {}, initech: { tier: 'silver' } });
    const { source, scopes, tenants } = used(sources.open(gold));
    expect([scopes(), tenants(), names(source, 'Gateway')]).toEqual([['acme', 'operator'], ['acme'], ['edge']]);
    expect(source.get('acme')).toBe(publisher.get('acme'));
    expect([source.get('globex'), source.has('acme'), source.has('globex')]).toEqual([undefined, true, false]);
  });

  it('has those that are named in addition to those that are selected', async () => {
    const { sources } = await published({ acme: gilded, globex: {}, initech: {} });
    const { scopes, tenants } = used(sources.open(tenantRights(['globex'], 'tier=gold') as TenantRights));
    expect([scopes(), tenants()]).toEqual([
      ['acme', 'globex', 'operator'],
      ['acme', 'globex'],
    ]);
  });

  it('has a manifest over what it sees, which says that what is missing is meant', async () => {
    const { sources, publisher } = await published({ acme: gilded, globex: {} });
    const { source } = used(sources.open(gold));
    const seen = [...(publisher.snapshot(operatorScope)?.resources.values() ?? [])].filter(
      ({ name }) => name !== 'globex',
    );
    expect(manifest(source)).toMatchObject({
      ...{ scope: 'operator', revision: 1n, resourceCount: 2, removalsConfirmed: 1n },
      hash: makeSnapshot('', 0n, seen).hash,
    });
  });

  it('gains a tenant whose labels come to match, and loses it again, at once', async () => {
    const { sources, label } = await published({ acme: gilded, globex: {} });
    const { told, scopes, tenants, source } = used(sources.open(gold));
    await label('globex', gilded);
    expect([scopes(), tenants()]).toEqual([
      ['acme', 'globex', 'operator'],
      ['acme', 'globex'],
    ]);
    await label('globex', { tier: 'silver' });
    expect([scopes(), tenants(), manifest(source).revision]).toEqual([['acme', 'operator'], ['acme'], 3n]);
    expect(told).toEqual([
      ['globex', 'operator'],
      ['globex', 'operator'],
    ]);
  });

  it('loses a tenant that is deleted', async () => {
    const { sources, remove } = await published({ acme: gilded, globex: gilded });
    const { scopes, tenants } = used(sources.open(gold));
    await remove('globex');
    expect([scopes(), tenants()]).toEqual([['acme', 'operator'], ['acme']]);
  });

  it('is told of changes of its tenants and of no others', async () => {
    const { sources, commit } = await published({ acme: gilded, globex: {} });
    const { told } = used(sources.open(gold));
    await commit('globex', '2');
    await commit('acme', '2');
    expect(told).toEqual([['acme']]);
  });

  it('keeps every byte when the operator changes what it does not see, and runs his newest revision all the same', async () => {
    const { sources, label, gateway } = await published({ acme: gilded, globex: {} });
    const { source } = used(sources.open(gold));
    const before = source.get(operatorScope);
    const revision = await label('globex', { tier: 'bronze' });
    const after = source.get(operatorScope);
    expect(after?.revision).toBe(revision);
    const changes = ['Tenant', 'Gateway', 'Manifest'] as const;
    for (const kind of changes) {
      expect(after?.changedSince(typeUrlOf(kind), before as NonNullable<typeof before>)).toEqual({
        ...{ updated: [], removed: [] },
      });
    }
    const next = await gateway('another');
    expect(manifest(source).revision).toBe(next);
  });

  it('is one for equal rights, kept up to date only while somebody reads it', async () => {
    const { sources, label } = await published({ acme: gilded, globex: {} });
    const one = used(sources.open(gold));
    expect(sources.open(tenantRights([], 'tier=gold') as TenantRights)).toBe(one.source);
    one.use[Symbol.dispose]();
    expect(sources.size).toBe(0);
    await label('globex', gilded);
    expect(one.told).toEqual([]);
    const again = used(sources.open(gold));
    expect(again.tenants()).toEqual(['acme', 'globex']);
    const first = used(one.source);
    expect(first.tenants()).toEqual(['acme', 'globex']);
  });

  it('is refused when too many different rights are in use; one that nobody uses makes room', async () => {
    const { sources } = await published({ acme: {} }, 1);
    const rights = (name: string) => tenantRights([name], '') as TenantRights;
    sources.open(rights('never-used'));
    const one = used(sources.open(rights('acme')));
    expect(sources.open(rights('globex'))).toBeUndefined();
    one.use[Symbol.dispose]();
    expect(sources.open(rights('globex'))).toBeDefined();
  });
});

describe('a selector that cannot be read', () => {
  it('selects nothing: rights never grow by a mistake', async () => {
    const { sources } = await published({ acme: gilded });
    const { scopes } = used(sources.open(tenantRights([], '!!') as TenantRights));
    expect(scopes()).toEqual(['operator']);
  });
});
