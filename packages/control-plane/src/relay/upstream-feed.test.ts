import {
  digestOf,
  discoveryName,
  type Kind,
  makeSnapshot,
  operatorScope,
  type Snapshot,
  typeUrlOf,
} from '@signalbox/config';
import { create, toBinary } from '@bufbuild/protobuf';
import { ManifestSchema } from '@signalbox/proto/signalbox/config/v1/manifest_pb.ts';
import { Metrics } from '@signalbox/runtime';
import { ManualClock, MemoryLogger } from '@signalbox/runtime/testing';
import type { ReceivedResource, SubscriptionChange } from '@signalbox/xds';
import { describe, expect, it } from 'vitest';
import type { ChangeListener, CommittedScope } from '../store/change-feed.ts';
import { storedText } from '../testing/memory-feed.ts';
import { UpstreamFeed } from './upstream-feed.ts';

const manifestType = typeUrlOf('Manifest');
const fence = discoveryName({ kind: 'Manifest', scope: operatorScope, name: 'caught-up' });

function fixture(known?: readonly CommittedScope[]) {
  const clock = new ManualClock();
  const metrics = new Metrics();
  const asked: SubscriptionChange[] = [];
  const feed = new UpstreamFeed({
    loadSnapshot: () => Promise.resolve(known && { scopes: known }),
    resubscribe: (changes) => void asked.push(...changes),
    limits: { scopes: 3, resources: 100, bytes: 10_000, removals: { minimum: 3, percent: 50 } },
    ...{ clock, logger: new MemoryLogger(), metrics },
  });
  const told: string[] = [];
  const listener: ChangeListener = {
    loaded: (scopes) =>
      void told.push(`loaded ${scopes.map(({ scope, revision }) => `${scope}@${revision}`).join(' ')}`),
    committed: (revisions) =>
      void told.push(
        ...revisions.map(
          ({ scope, revision, changes }) =>
            `${scope}@${revision} ${changes.map(({ name, resource }) => (resource ? name : `-${name}`)).join(' ')}`,
        ),
      ),
  };
  const started = feed.start(listener);
  const put = (set: Snapshot) =>
    feed.onResponse({ typeUrl: typeUrlOf('Backend'), resources: dataOf(set), removed: [] });
  const remove = (set: Snapshot, names: readonly string[]) =>
    feed.onResponse({
      ...{ typeUrl: typeUrlOf('Backend'), resources: [] },
      removed: names.map((name) => discoveryName({ kind: 'Backend', scope: set.scope, name })),
    });
  const close = (sets: readonly Snapshot[], { removed = [] as readonly string[], confirmed = 0n } = {}) =>
    feed.onResponse({ typeUrl: manifestType, resources: sets.map((set) => manifestOf(set, confirmed)), removed });
  return { feed, told, asked, started, put, remove, close, metrics, settled: () => clock.advance(1) };
}

const operator = makeSnapshot(operatorScope, 1n, []);
const naming = (tenant: string) => makeSnapshot(operatorScope, 1n, [storedText('Tenant', tenant, 'a tenant')]);
const acme = (revision: bigint, ...names: readonly string[]) =>
  makeSnapshot(
    'acme',
    revision,
    names.map((name) => storedText('Backend', name, `text of ${name}`)),
  );

function dataOf(set: Snapshot): readonly ReceivedResource[] {
  return Array.from(set.resources.values(), ({ kind, name, body, digest }) => ({
    ...{ name: discoveryName({ kind: kind as Kind, scope: set.scope, name }), version: digest },
    ...{ typeUrl: typeUrlOf(kind), body },
  }));
}

function manifestOf({ scope, revision, hash, resources }: Snapshot, removalsConfirmed: bigint): ReceivedResource {
  const message = { scope, revision, hash, resourceCount: resources.size, removalsConfirmed };
  const body = toBinary(ManifestSchema, create(ManifestSchema, message));
  const name = discoveryName({ kind: 'Manifest', scope, name: 'current' });
  return { name, version: digestOf(body), typeUrl: manifestType, body };
}

/** A feed that has had everything: the operator's set and acme@1 with a to f. */
async function caughtUp() {
  const relay = fixture();
  const first = acme(1n, 'a', 'b', 'c', 'd', 'e', 'f');
  await relay.put(first);
  await relay.close([operator, first], { removed: [fence] });
  await relay.started;
  relay.told.length = 0;
  return { ...relay, first };
}

describe('a relay that begins', () => {
  it('holds what was on disk by the time at which its stream may begin', async () => {
    const known = (set: Snapshot) => {
      const head = { scope: set.scope, revision: set.revision, committedAtMs: 0, removalsConfirmed: 0n };
      return { ...head, resources: [...set.resources.values()] };
    };
    const { feed } = fixture([known(naming('acme')), known(acme(1n, 'a'))]);
    await feed.loaded;
    expect([...feed.heldVersions(typeUrlOf('Backend')).keys()]).toEqual([
      discoveryName({ kind: 'Backend', scope: 'acme', name: 'a' }),
    ]);
    expect(feed.heldVersions(manifestType).size).toBe(2);
  });

  it('says of tenants on disk that its operator did not name that it holds nothing: they are sent again if they are back', async () => {
    const known = (set: Snapshot) => {
      const head = { scope: set.scope, revision: set.revision, committedAtMs: 0, removalsConfirmed: 0n };
      return { ...head, resources: [...set.resources.values()] };
    };
    const { feed, told, started, put, close } = fixture([known(operator), known(acme(1n, 'a', 'b'))]);
    await started;
    expect(feed.heldVersions(typeUrlOf('Backend')).size).toBe(0);
    await put(acme(2n, 'a'));
    await close([acme(2n, 'a')], { confirmed: 2n });
    expect(told).toEqual(['loaded operator@1 acme@1', 'acme@2 a -b']);
  });

  it('tells nothing before everything has come, then all at once, and asks no longer whether it has', async () => {
    const { feed, told, asked, started, put, close } = fixture();
    expect(feed.subscriptions(manifestType)).toEqual(['*', fence]);
    await put(acme(1n, 'a'));
    await close([acme(1n, 'a')]);
    expect(told).toEqual([]);
    await close([operator], { removed: [fence] });
    await started;
    expect(told).toEqual(['loaded acme@1 operator@1']);
    expect(asked).toEqual([{ typeUrl: manifestType, subscribe: [], unsubscribe: [fence] }]);
    expect(feed.subscriptions(manifestType)).toEqual(['*']);
  });

  it('is not content with an answer that has nothing in it', async () => {
    const { told, close, started, settled } = fixture();
    await close([], { removed: [fence] });
    await settled();
    expect(told).toEqual([]);
    await close([operator]);
    await started;
    expect(told).toEqual(['loaded operator@1']);
  });

  it('tells at once what is on disk, and says upstream that it holds it', async () => {
    const { scope, revision, resources } = acme(4n, 'a');
    const known = { scope, revision, resources: [...resources.values()], committedAtMs: 7, removalsConfirmed: 2n };
    const names = { ...known, scope: operatorScope, revision: 1n, resources: [...naming('acme').resources.values()] };
    const { feed, told, started } = fixture([names, known]);
    await started;
    expect(told).toEqual(['loaded operator@1 acme@4']);
    expect([...feed.heldVersions(typeUrlOf('Backend')).values()]).toEqual([...resources.values()].map((r) => r.digest));
    expect([...feed.heldVersions(manifestType).values()]).toContain(manifestOf(acme(4n, 'a'), 2n).version);
  });
});

describe('a relay that follows', () => {
  it('tells of a revision when its Manifest has come, with exactly what it changes', async () => {
    const { told, put, remove, close, first } = await caughtUp();
    await put(acme(2n, 'g'));
    await remove(first, ['a']);
    expect(told).toEqual([]);
    expect(await close([acme(2n, 'b', 'c', 'd', 'e', 'f', 'g')])).toEqual([]);
    expect(told).toEqual(['acme@2 g -a']);
  });

  it.each([
    ['a set that is not whole', acme(2n, 'a', 'x'), /does not match the manifest/],
    ['an older revision', acme(0n, 'a'), /older than revision 1/],
  ])('refuses %s and tells nothing', async (_what, set, reason) => {
    const { told, close } = await caughtUp();
    const faults = await close([set]);
    expect(faults.map(({ error }) => error)).toEqual([expect.stringMatching(reason)]);
    expect(told).toEqual([]);
  });

  it('passes a set that lost most of its resources on only if somebody has said that this is meant', async () => {
    const { told, remove, close, first, metrics } = await caughtUp();
    await remove(first, ['a', 'b', 'c', 'd']);
    const faults = await close([acme(2n, 'e', 'f')]);
    expect(faults[0]?.error).toMatch(/lacks 4 of the 6 resources/);
    expect(metrics.expose()).toContain('signalbox_relay_refused_total 1');
    expect(await close([acme(3n, 'e', 'f')], { confirmed: 3n })).toEqual([]);
    expect(told).toEqual(['acme@3 -a -b -c -d']);
  });

  it('keeps what is no longer sent, and takes it up again where it was', async () => {
    const { told, remove, put, close, first, feed } = await caughtUp();
    await remove(first, ['a', 'b', 'c', 'd', 'e', 'f']);
    await close([], { removed: [manifestOf(first, 0n).name] });
    expect([told, feed.heldVersions(manifestType).size]).toEqual([[], 1]);
    await put(acme(2n, 'a', 'b', 'c', 'd', 'e', 'z'));
    await close([acme(2n, 'a', 'b', 'c', 'd', 'e', 'z')]);
    expect(told).toEqual(['acme@2 a b c d e -f z']);
  });

  it('tells again of a tenant that it did not get for a while, although it is as it was', async () => {
    const { told, remove, put, close, first } = await caughtUp();
    await remove(first, ['a', 'b', 'c', 'd', 'e', 'f']);
    await close([], { removed: [manifestOf(first, 0n).name] });
    await put(first);
    await close([first]);
    expect(told).toEqual(['acme@1 ']);
    await close([first]);
    expect(told).toHaveLength(1);
  });

  it('refuses what does not have the digest of its version, and scopes beyond its bound', async () => {
    const { feed, close } = await caughtUp();
    const [resource] = dataOf(acme(2n, 'a')) as [ReceivedResource];
    const damaged = { ...resource, body: Buffer.from('damaged') };
    expect(await feed.onResponse({ typeUrl: typeUrlOf('Backend'), resources: [damaged], removed: [] })).toHaveLength(1);
    const sets = ['beta', 'gamma'].map((scope) => makeSnapshot(scope, 1n, []));
    expect((await close(sets)).map(({ error }) => error)).toEqual(['this relay holds at most 3 scopes']);
  });
});
