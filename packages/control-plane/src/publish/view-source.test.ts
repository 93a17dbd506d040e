import { typeUrlOf } from '@signalbox/config';
import { ManualClock, MemoryLogger } from '@signalbox/runtime/testing';
import type { StreamInfo } from '@signalbox/xds';
import { describe, expect, it } from 'vitest';
import type { ConfigurationView, Projection } from '../projections/projection.ts';
import { MemoryFeed } from '../testing/memory-feed.ts';
import { Publisher } from './publisher.ts';
import { TenantDirectory } from './tenant-directory.ts';
import { tenantRights } from './tenant-rights.ts';
import { ViewSource } from './view-source.ts';

const type = 'test/Backends';

/** One resource for each backend of the view, named after tenant and backend. */
class CountingProjection implements Projection {
  readonly family = { name: 'test', types: [{ typeUrl: type, closesRound: false }] };
  readonly variants: string[] = [];
  projected = 0;

  *project({ tenants, variant }: ConfigurationView) {
    this.projected += 1;
    this.variants.push(variant);
    for (const [tenant, { resources }] of tenants) {
      for (const { kind, name, body } of resources.values()) {
        if (typeUrlOf(kind) === typeUrlOf('Backend')) yield { typeUrl: type, name: `${tenant}.${name}`, body };
      }
    }
  }
}

async function start(maxViews = 10) {
  const feed = new MemoryFeed();
  const clock = new ManualClock();
  const debounce = { quietMs: 5, maxMs: 50 };
  const publisher = new Publisher({ feed, clock, logger: new MemoryLogger(), debounce, maxRememberedChanges: 100 });
  for (const tenant of ['acme', 'globex']) feed.addTenant(tenant);
  feed.commit('acme', { 'Backend/a': '1' });
  feed.commit('globex', { 'Backend/z': '1' });
  await publisher.start();
  const projection = new CountingProjection();
  const views = new ViewSource({
    projection,
    published: publisher,
    directory: new TenantDirectory(publisher),
    clock,
    debounce,
    maxViews,
  });
  const changed: string[] = [];
  views.onChange((ids) => void changed.push(...ids));
  const names = (id: string | undefined) => Array.from(views.get(id ?? '')?.all(type) ?? [], ({ name }) => name);
  return { feed, clock, projection, views, changed, names };
}

describe('views of a projection', () => {
  it('hold the tenants of a credential, and nothing of others', async () => {
    const { views, names } = await start();
    expect(names(views.open('edge', tenantRights(['acme'], '')))).toEqual(['acme.a']);
    expect(names(views.open('edge', null))).toEqual(['acme.a', 'globex.z']);
    expect(names(views.open('edge', tenantRights(['nobody'], '')))).toEqual([]);
  });

  it('are shared by credentials that see the same', async () => {
    const { views, projection } = await start();
    const one = views.open('edge', tenantRights(['acme', 'globex'], ''));
    expect(views.open('edge', tenantRights(['globex', 'acme'], ''))).toBe(one);
    expect(views.open('core', tenantRights(['globex', 'acme'], ''))).not.toBe(one);
    expect(projection.projected).toBe(2);
  });

  it('are another one for subscribers that are too old for the usual form', async () => {
    const { views, projection } = await start();
    const usual = views.open('edge', null);
    const older = views.open('edge', null, 'older');
    expect(older).not.toBe(usual);
    expect(views.open('edge', null, 'older')).toBe(older);
    expect(projection.variants).toEqual(['', 'older']);
  });

  it('say which revisions of which scopes are in them', async () => {
    const { views, feed } = await start();
    const id = views.open('edge', tenantRights(['acme'], '')) ?? '';
    views.hold([id]);
    feed.commit('acme', { 'Backend/a': '2' });
    expect([...(views.get(id)?.covers ?? [])]).toEqual([
      ['operator', 2n],
      ['acme', 2n],
    ]);
  });

  it('keep what has not changed as the same entries', async () => {
    const { views, feed } = await start();
    const id = views.open('edge', null) ?? '';
    views.hold([id]);
    const before = views.get(id)?.get(type, 'globex.z');
    feed.commit('acme', { 'Backend/a': '2' });
    expect(views.get(id)?.get(type, 'globex.z')).toBe(before);
    expect(views.get(id)?.get(type, 'acme.a')?.version).not.toBe(before?.version);
  });

  it('are not touched by tenants that are not in them', async () => {
    const { views, feed, changed } = await start();
    const id = views.open('edge', tenantRights(['acme'], '')) ?? '';
    views.hold([id]);
    changed.length = 0;
    feed.commit('globex', { 'Backend/z': '2' });
    expect(changed).toEqual([]);
  });

  it('are kept up to date while somebody reads them, and otherwise when somebody comes', async () => {
    const { views, feed, projection, names } = await start();
    const id = views.open('edge', null) ?? '';
    feed.commit('acme', { 'Backend/b': '1' });
    expect([projection.projected, names(id)]).toEqual([1, ['acme.a', 'globex.z']]);
    expect(names(views.open('edge', null))).toEqual(['acme.a', 'acme.b', 'globex.z']);
    views.hold([id]);
    views.release([id]);
    feed.commit('acme', { 'Backend/c': '1' });
    expect(projection.projected).toBe(2);
  });

  it('make room for others when nobody reads them, and refuse more than there may be', async () => {
    const { views, clock } = await start(2);
    const [first, second] = [views.open('one', null) ?? '', views.open('two', null) ?? ''];
    views.hold([second]);
    await clock.advance(2_000);
    expect(views.open('three', null)).toBeDefined();
    expect(views.get(first)).toBeUndefined();
    views.hold([...views.ids()]);
    expect(views.open('four', null)).toBeUndefined();
    expect(views.get(second)).toBeDefined();
  });

  it('are not taken away from a stream that is just being let in: it would be told that there is nothing', async () => {
    const { views, clock } = await start(1);
    const first = views.open('one', null) ?? '';
    expect(views.open('two', null)).toBeUndefined();
    views.hold([first]);
    await clock.advance(2_000);
    views.release([first]);
    expect(views.get(first)).toBeDefined();
    expect(views.open('one', null)).toBe(first);
    expect(views.open('two', null)).toBeUndefined();
    await clock.advance(2_000);
    expect(views.open('two', null)).toBeDefined();
  });

  it('fold a burst of changes', async () => {
    const { views, feed, projection, clock } = await start();
    views.hold([views.open('edge', null) ?? '']);
    await clock.advance(100);
    const before = projection.projected;
    for (let i = 0; i < 20; i += 1) {
      feed.commit(i % 2 === 0 ? 'acme' : 'globex', { 'Backend/a': `burst ${i}` });
    }
    await clock.advance(100);
    expect(projection.projected - before).toBeLessThan(5);
  });

  it('show a tenant at its newest revision to those whom it has reached, and as it was to the others', async () => {
    const { views, feed, clock } = await start();
    const id = views.open('edge', null) ?? '';
    views.hold([id]);
    const committed = feed.prepare('acme', { 'Backend/b': '1' });
    const members = { groups: [], nodes: ['first'], share: 0 };
    const staged = { scope: 'acme', members, base: { revision: 1n, state: undefined } };
    feed.deliver([committed], [staged]);
    const held = (node: string) => {
      const state = views.staged(id)?.stateFor({ node: { id: node }, identity: {} } as StreamInfo) ?? views.get(id);
      return [Array.from(state?.all(type) ?? [], ({ name }) => name), state?.covers?.get('acme')];
    };
    expect(held('first')).toEqual([['acme.a', 'acme.b', 'globex.z'], 2n]);
    expect(held('second')).toEqual([['acme.a', 'globex.z'], 1n]);
    feed.deliver([], []);
    await clock.advance(100);
    expect(held('second')).toEqual([['acme.a', 'acme.b', 'globex.z'], 2n]);
  });
});
