import { fromBinary } from '@bufbuild/protobuf';
import { setHash, typeUrlOf } from '@signalbox/config';
import { DeltaDiscoveryResponseSchema } from '@signalbox/proto/envoy/service/discovery/v3/discovery_pb.ts';
import { type Manifest, ManifestSchema } from '@signalbox/proto/signalbox/config/v1/manifest_pb.ts';
import { ManualClock, MemoryLogger } from '@signalbox/runtime/testing';
import type { StreamInfo } from '@signalbox/xds';
import { describe, expect, it } from 'vitest';
import type { CommittedScope, StagedScope } from '../store/change-feed.ts';
import { MemoryFeed, storedText } from '../testing/memory-feed.ts';
import { Publisher } from './publisher.ts';

function publishing() {
  const feed = new MemoryFeed();
  const clock = new ManualClock(0);
  const logger = new MemoryLogger();
  const publisher = new Publisher({
    ...{ feed, clock, logger },
    debounce: { quietMs: 5, maxMs: 50 },
    maxRememberedChanges: 100,
  });
  const changes: string[][] = [];
  publisher.onChange((ids) => {
    changes.push(ids.map((id) => `${id}@${publisher.get(id)?.revision ?? 'gone'}`));
  });
  return { feed, clock, logger, publisher, changes };
}

function manifestOf(publisher: Publisher, scope: string): Manifest {
  const [entry] = [...(publisher.get(scope)?.all(typeUrlOf('Manifest')) ?? [])];
  const { resources } = fromBinary(DeltaDiscoveryResponseSchema, entry?.encoded ?? Buffer.alloc(0));
  return fromBinary(ManifestSchema, resources[0]?.resource?.value ?? Buffer.alloc(0));
}

describe('the publisher', () => {
  it('is not ready until everything was read, and then has it all', async () => {
    const { feed, publisher, changes } = publishing();
    feed.addTenant('acme');
    feed.commit('acme', { 'Backend/b': '1' });
    expect([publisher.ready, publisher.get('acme')]).toEqual([false, undefined]);
    await publisher.start();
    expect(publisher.ready).toBe(true);
    expect(changes).toEqual([['operator@1', 'acme@1']]);
  });

  it('publishes an operator’s scope in which nothing was committed', async () => {
    const { publisher } = publishing();
    await publisher.start();
    expect(manifestOf(publisher, 'operator')).toMatchObject({ revision: 0n, resourceCount: 0, hash: setHash([]) });
  });

  it('closes each revision with the hash of the whole set', async () => {
    const { feed, clock, publisher } = publishing();
    feed.addTenant('acme');
    await publisher.start();
    feed.commit('acme', { 'Backend/b': '1', 'Route/r': '1' });
    await clock.advance(10);
    feed.commit('acme', { 'Route/r': null, 'Backend/b': '2' });
    await clock.advance(10);
    const hash = setHash([storedText('Backend', 'b', '2')]);
    expect(manifestOf(publisher, 'acme')).toMatchObject({ scope: 'acme', revision: 2n, resourceCount: 1, hash });
  });

  it('publishes a commit that stands alone at once, and folds a burst of one scope', async () => {
    const { feed, clock, publisher, changes } = publishing();
    feed.addTenant('acme');
    feed.addTenant('globex');
    await publisher.start();
    changes.length = 0;
    feed.commit('acme', { 'Backend/b': '1' });
    expect(changes).toEqual([['acme@1']]);
    for (const text of ['2', '3', '4']) feed.commit('acme', { 'Backend/b': text });
    feed.commit('globex', { 'Backend/z': '1' });
    expect(changes.slice(1)).toEqual([['globex@1']]);
    await clock.advance(5);
    expect(changes.slice(2)).toEqual([['acme@4']]);
  });

  it('shows nothing of a tenant that is gone to one that comes under its name, before that has a revision', async () => {
    const { feed, clock, publisher, changes } = publishing();
    feed.addTenant('acme');
    feed.commit('acme', { 'Backend/b': '1' });
    await publisher.start();
    // As a relay hears of it: what is gone is sent no more, and no revision says that it was emptied.
    feed.commit('operator', { 'Tenant/acme': null });
    await clock.advance(10);
    changes.length = 0;
    feed.addTenant('acme');
    await clock.advance(10);
    expect(changes).toEqual([['operator@3', 'acme@0']]);
    expect(manifestOf(publisher, 'acme')).toMatchObject({ revision: 0n, resourceCount: 0 });
    expect(publisher.snapshot('acme')?.resources.size).toBe(0);
    feed.commit('acme', { 'Backend/b': null, 'Backend/c': '1' });
    await clock.advance(10);
    expect(manifestOf(publisher, 'acme')).toMatchObject({
      revision: 2n,
      hash: setHash([storedText('Backend', 'c', '1')]),
    });
  });

  it('shows a tenant that was out of sight as it was when it is told that it is back', async () => {
    const { feed, clock, publisher } = publishing();
    feed.addTenant('acme');
    feed.commit('acme', { 'Backend/b': '1' });
    await publisher.start();
    feed.commit('operator', { 'Tenant/acme': null });
    await clock.advance(10);
    const back = { scope: 'acme', revision: 1n, committedAtMs: 0, removalsConfirmed: 0n, changes: [] };
    feed.deliver([feed.prepare('operator', { 'Tenant/acme': 'a tenant' }), back]);
    await clock.advance(10);
    expect(manifestOf(publisher, 'acme')).toMatchObject({ revision: 1n, resourceCount: 1 });
  });

  it('shows nothing of such a tenant after a start from what was kept, either', async () => {
    const { feed, clock, publisher } = publishing();
    feed.addTenant('acme');
    feed.commit('acme', { 'Backend/b': '1' });
    feed.commit('operator', { 'Tenant/acme': null });
    await publisher.start();
    feed.addTenant('acme');
    await clock.advance(10);
    expect(manifestOf(publisher, 'acme')).toMatchObject({ revision: 0n, resourceCount: 0 });
  });

  it('sends at most one response per debounce interval and one more, the last with the final state [56]', async () => {
    const { feed, clock, publisher, changes } = publishing();
    feed.addTenant('acme');
    await publisher.start();
    changes.length = 0;
    for (let i = 0; i < 1_000; i += 1) {
      feed.commit('acme', { 'Backend/b': String(i) });
      if (i % 10 === 9) await clock.advance(1);
    }
    await clock.advance(100);
    expect(changes.length).toBeLessThanOrEqual(100 / 5 + 1);
    expect(changes.at(-1)).toEqual(['acme@1000']);
  });

  it('lets a tenant appear and go with its resource in the operator’s scope', async () => {
    const { feed, clock, publisher, changes } = publishing();
    await publisher.start();
    feed.commit('acme', { 'Backend/b': '1' });
    await clock.advance(10);
    expect(publisher.get('acme')).toBeUndefined();
    feed.addTenant('acme');
    await clock.advance(10);
    expect(changes.at(-1)).toEqual(['operator@1', 'acme@1']);
    feed.commit('operator', { 'Tenant/acme': null });
    await clock.advance(10);
    expect(changes.at(-1)).toEqual(['operator@2', 'acme@gone']);
    expect([...publisher.ids()]).toEqual(['operator']);
  });

  it('shows a tenant before its first revision as empty, so that nobody takes a replica that lags for one that removes', async () => {
    const { feed, clock, publisher, changes } = publishing();
    await publisher.start();
    feed.deliver([feed.prepare('operator', { 'Tenant/acme': '1' })]);
    await clock.advance(10);
    expect([...publisher.ids()]).toContain('acme');
    expect([...(publisher.get('acme')?.all(typeUrlOf('Backend')) ?? [])]).toEqual([]);
    feed.deliver([feed.prepare('acme', { 'Backend/b': '1' })]);
    await clock.advance(10);
    expect(changes.flat()).toEqual(['operator@0', 'operator@1', 'acme@0', 'acme@1']);
  });

  it('changes nothing when it hears of a revision again', async () => {
    const { feed, clock, publisher, changes } = publishing();
    feed.addTenant('acme');
    await publisher.start();
    const revision = feed.prepare('acme', { 'Backend/b': '1' });
    feed.deliver([revision]);
    feed.deliver([revision]);
    await clock.advance(100);
    expect(changes.slice(1)).toEqual([['acme@1']]);
  });

  it('takes several revisions that the feed read as one, and says so', async () => {
    const { feed, clock, publisher, logger } = publishing();
    feed.addTenant('acme');
    feed.commit('acme', { 'Backend/b': '1' });
    await publisher.start();
    feed.prepare('acme', { 'Backend/b': '2' });
    feed.deliver([feed.prepare('acme', { 'Backend/b': '3' })]);
    await clock.advance(10);
    expect(publisher.get('acme')?.revision).toBe(3n);
    expect(logger.lines.map(({ message }) => message)).toEqual(['several revisions were read as one']);
  });

  it('publishes nothing after it has stopped', async () => {
    const { feed, clock, publisher, changes } = publishing();
    feed.addTenant('acme');
    await publisher.start();
    feed.commit('acme', { 'Backend/b': '1' });
    feed.commit('acme', { 'Backend/b': '2' });
    await publisher.stop();
    const count = changes.length;
    await clock.advance(100);
    expect(changes).toHaveLength(count);
    expect(clock.pending).toBe(0);
  });
});

describe('a revision that is rolled out', () => {
  const members = (...nodes: string[]) => ({ groups: ['canary'], nodes, share: 0 });
  const stream = (id: string, groups: readonly string[] = []) =>
    ({ node: { id }, identity: { credentialId: '', name: '', groups } }) as unknown as StreamInfo;
  const stagedAt = (revision: bigint, ...nodes: string[]): StagedScope => ({
    ...{ scope: 'acme', members: members(...nodes) },
    base: { revision, state: undefined },
  });
  const revisionsFor = ({ publisher }: ReturnType<typeof publishing>, ...ids: string[]) =>
    ids.map((id) => (publisher.staged('acme')?.stateFor(stream(id)) ?? publisher.get('acme'))?.revision);

  async function withFirstRevision() {
    const world = publishing();
    world.feed.addTenant('acme');
    await world.publisher.start();
    world.feed.commit('acme', { 'Backend/b': '1' });
    await world.clock.advance(10);
    return world;
  }

  it('is published together with the one before, and with who gets which', async () => {
    const world = await withFirstRevision();
    world.feed.deliver([world.feed.prepare('acme', { 'Backend/b': '2' })], [stagedAt(1n, 'first')]);
    expect(revisionsFor(world, 'first', 'second')).toEqual([2n, 1n]);
    expect(world.publisher.staged('acme')?.stateFor(stream('x', ['canary'])).revision).toBe(2n);
    expect(manifestOf(world.publisher, 'acme').revision).toBe(2n);
  });

  it('is shown to nobody while the one before still waits to be published', async () => {
    const world = await withFirstRevision();
    world.feed.commit('acme', { 'Backend/b': '2' });
    world.feed.commit('acme', { 'Backend/b': '3' });
    expect(world.feed.isHeld('acme', 3n)).toBe(true);
    world.feed.deliver([world.feed.prepare('acme', { 'Backend/b': '4' })], [stagedAt(3n, 'first')]);
    await world.clock.advance(100);
    expect(revisionsFor(world, 'first', 'second')).toEqual([4n, 3n]);
  });

  it('reaches others by a word about them alone, and all when there is no rollout any more', async () => {
    const world = await withFirstRevision();
    world.feed.deliver([world.feed.prepare('acme', { 'Backend/b': '2' })], [stagedAt(1n, 'first')]);
    world.feed.deliver([], [stagedAt(1n, 'first', 'second')]);
    await world.clock.advance(10);
    expect(revisionsFor(world, 'first', 'second', 'third')).toEqual([2n, 2n, 1n]);
    world.changes.length = 0;
    world.feed.deliver([], [stagedAt(1n, 'first', 'second')]);
    await world.clock.advance(10);
    expect(world.changes).toEqual([]);
    world.feed.deliver([], []);
    await world.clock.advance(10);
    expect(revisionsFor(world, 'third')).toEqual([2n]);
  });

  it('leaves what most nodes have as it is when another one takes its place', async () => {
    const world = await withFirstRevision();
    world.feed.deliver([world.feed.prepare('acme', { 'Backend/b': '2' })], [stagedAt(1n, 'first')]);
    const before = world.publisher.staged('acme')?.stateFor(stream('second'));
    world.feed.deliver([world.feed.prepare('acme', { 'Backend/b': '3' })], [stagedAt(1n, 'first')]);
    await world.clock.advance(10);
    expect(revisionsFor(world, 'first', 'second')).toEqual([3n, 1n]);
    expect(world.publisher.staged('acme')?.stateFor(stream('second'))).toBe(before);
  });

  it('is kept apart by a replica that begins anew, and by one that has read several revisions as one', async () => {
    const base = { ...(await withFirstRevision()).publisher.committed().scopes.at(-1) } as CommittedScope;
    const world = await withFirstRevision();
    world.feed.prepare('acme', { 'Backend/b': '2' });
    expect(world.feed.isHeld('acme', 2n)).toBe(false);
    const state = { ...base, revision: 2n, resources: [storedText('Backend', 'b', '2')] };
    const staged = { ...stagedAt(2n, 'first'), base: { revision: 2n, state } };
    world.feed.deliver([world.feed.prepare('acme', { 'Backend/b': '3' })], [staged]);
    await world.clock.advance(10);
    expect(revisionsFor(world, 'first', 'second')).toEqual([3n, 2n]);

    const { scopes, staged: kept } = world.publisher.committed();
    const again = publishing();
    again.feed.start = async (listener) => listener.loaded(scopes, kept);
    await again.publisher.start();
    expect(revisionsFor(again, 'first', 'second')).toEqual([3n, 2n]);
  });
});
