import { Database, TokenStore } from '@signalbox/control-plane/testing';
import { Metrics, systemRandom } from '@signalbox/runtime';
import { ManualClock, MemoryLogger } from '@signalbox/runtime/testing';
import { createMigratedDatabase, until } from '@signalbox/test-harness';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';

import { change, createTenants, databaseOptions, openReplica, write } from './store-fixture.ts';

let url: string;
let database: Database;

beforeAll(async () => {
  url = await createMigratedDatabase(inject('pgUrl'));
  database = new Database({ url, ...databaseOptions });
});
afterAll(() => database.close());

const cacheMs = 1_000;

function tokens(clock = new ManualClock(), on = database, maxTokens = 1_000) {
  const parts = { clock, random: systemRandom, logger: new MemoryLogger() };
  return new TokenStore({ ...parts, metrics: new Metrics(), database: on, cacheMs, cacheSize: 100, maxTokens });
}

const developer = {
  name: 'ci',
  role: 'developer',
  tenants: ['acme'],
  gateway: '',
  family: '',
  ttlSeconds: undefined,
} as const;
const node = {
  name: 'edge',
  role: 'node',
  tenants: ['acme'],
  gateway: 'default',
  family: 'native',
  ttlSeconds: undefined,
} as const;

describe('the first start', () => {
  it('makes one operator token, however many replicas start, and never another', async () => {
    const fresh = new Database({ url: await createMigratedDatabase(inject('pgUrl')), ...databaseOptions });
    const made = await Promise.all([1, 2, 3].map(() => tokens(undefined, fresh).createFirst()));
    const [credential, ...others] = made.filter((one) => one !== undefined);
    expect(others).toEqual([]);
    expect(await tokens(undefined, fresh).createFirst()).toBeUndefined();
    const record = await tokens(undefined, fresh).identify(credential?.reveal() ?? '');
    expect(record).toMatchObject({ name: 'operator', role: 'operator', tenants: [] });
    await fresh.close();
  });
});

describe('a token', () => {
  it('is known by its credential, of which only a hash is stored', async () => {
    const store = tokens();
    const { record, credential } = await store.create('operator', developer);
    expect(await store.identify(credential.reveal())).toMatchObject({
      id: record.id,
      role: 'developer',
      tenants: ['acme'],
    });
    const dump = await database.read('operator', ({ sql }) => sql`select token::text from signalbox.token`);
    const [, , secret] = credential.reveal().split('_');
    expect(JSON.stringify(dump)).not.toContain(secret);
  });

  it('with one wrong character is unknown, even with a right checksum', async () => {
    const store = tokens();
    const { credential } = await store.create('operator', developer);
    const { credential: other } = await store.create('operator', developer);
    const [prefix, id] = credential.reveal().split('_');
    const forged = other
      .reveal()
      .split('_')
      .with(0, prefix ?? '')
      .with(1, id ?? '')
      .join('_');
    expect(await store.identify(forged)).toBeUndefined();
    const [right, wrongEnd] = [credential.reveal(), credential.reveal().endsWith('x') ? 'y' : 'x'];
    expect(await store.identify(right.slice(0, -1) + wrongEnd)).toBeUndefined();
    expect(await store.identify('')).toBeUndefined();
  });

  it('stops working when it expires', async () => {
    const clock = new ManualClock();
    const store = tokens(clock);
    const { credential } = await store.create('operator', { ...developer, ttlSeconds: 10 });
    await clock.advance(9_999);
    expect(await store.identify(credential.reveal())).toBeDefined();
    await clock.advance(1);
    expect(await store.identify(credential.reveal())).toBeUndefined();
  });

  it('stops working at once where it is revoked, and on another replica when the cached answer ends', async () => {
    const clock = new ManualClock();
    const here = tokens(clock);
    const there = tokens(clock);
    const { record, credential } = await here.create('operator', developer);
    expect(await there.identify(credential.reveal())).toBeDefined();
    expect(await here.revoke('operator', record.id)).toBe(true);
    expect(await here.identify(credential.reveal())).toBeUndefined();
    await clock.advance(cacheMs);
    expect(await there.identify(credential.reveal())).toBeUndefined();
  });

  it('works on another replica as soon as it is made', async () => {
    const clock = new ManualClock();
    const there = tokens(clock);
    for (let n = 0; n < 3; n += 1) {
      const { credential } = await tokens(clock).create('operator', developer);
      expect(await there.identify(credential.reveal())).toBeDefined();
    }
  });

  it('is checked again together with all others, by one transaction', async () => {
    const clock = new ManualClock();
    let reads = 0;
    const counted = new Proxy(database, {
      get(target, name) {
        if (name === 'read') reads += 1;
        const member: unknown = Reflect.get(target, name);
        return typeof member === 'function' ? (member.bind(target) as unknown) : member;
      },
    });
    const store = tokens(clock, counted);
    const credentials: string[] = [];
    for (let n = 0; n < 20; n += 1) credentials.push((await store.create('operator', developer)).credential.reveal());
    const identifyAll = () => Promise.all(credentials.map((credential) => store.identify(credential)));
    await identifyAll();
    for (let round = 0; round < 3; round += 1) {
      await clock.advance(cacheMs);
      reads = 0;
      expect((await identifyAll()).every((record) => record !== undefined)).toBe(true);
      expect(reads).toBe(1);
    }
  });

  it('shows when it was used, to the minute', async () => {
    const clock = new ManualClock();
    const store = tokens(clock);
    const { record, credential } = await store.create('operator', developer);
    const lastUse = async () =>
      (await store.list('operator')).find(({ id }) => id === record.id)?.lastUsedAt?.getTime();
    expect(await lastUse()).toBeUndefined();
    // Uses are written down together, a second later.
    const use = async () => {
      await store.identify(credential.reveal());
      await clock.advance(1_000);
      return clock.now();
    };
    const first = await use();
    await until('the use to be noted', async () => ((await lastUse()) === first ? true : undefined));
    await clock.advance(30_000);
    await use();
    expect(await lastUse()).toBe(first);
    await clock.advance(30_000);
    const second = await use();
    await until('another use to be noted', async () => ((await lastUse()) === second ? true : undefined));
  });

  it('of a node says which gateway, family and tenants it may have; any other is no node', async () => {
    const store = tokens();
    const edge = await store.create('operator', node);
    const every = await store.create('operator', { ...node, tenants: [] });
    const person = await store.create('operator', developer);
    expect(await store.authenticate(edge.credential.reveal())).toMatchObject({
      ...{ tokenId: edge.record.id, name: 'edge', gateway: 'default', family: 'native' },
      ...{ node: undefined, tenants: { names: new Set(['acme']), selector: undefined }, isRelay: false },
    });
    expect(await store.authenticate(every.credential.reveal())).toMatchObject({ tenants: null });
    expect(await store.authenticate(person.credential.reveal())).toBeUndefined();
  });

  it('is not made beyond the limit', async () => {
    await expect(tokens(undefined, database, 1).create('operator', developer)).rejects.toThrow('SIGNALBOX_TOKENS_MAX');
  });
});

describe('tokens of a tenant', () => {
  it('are seen and revoked by its admin, and no others', async () => {
    const store = tokens();
    const mine = await store.create('mine', { ...developer, tenants: ['mine'] });
    const shared = await store.create('operator', { ...developer, tenants: ['mine', 'theirs'] });
    const theirs = await store.create('theirs', { ...developer, tenants: ['theirs'] });
    expect((await store.list('mine')).map(({ id }) => id)).toEqual([mine.record.id]);
    expect(await store.revoke('mine', theirs.record.id)).toBe(false);
    expect(await store.revoke('mine', shared.record.id)).toBe(false);
    expect(await store.revoke('mine', mine.record.id)).toBe(true);
    const grows = await store.create('operator', { ...node, tenants: ['mine'], selector: 'tier=gold' });
    expect(await store.revoke('mine', grows.record.id)).toBe(false);
  });

  it('cannot be made for another tenant', async () => {
    await expect(tokens().create('mine', { ...developer, tenants: ['theirs'] })).rejects.toThrow('row-level security');
    await expect(tokens().create('mine', { ...developer, tenants: [] })).rejects.toThrow('row-level security');
  });

  it('end with the tenant, so that they do not reach the next one of that name', async () => {
    await using replica = openReplica({ url });
    const store = tokens();
    await createTenants(replica.store, 'gone', 'stays');
    const only = await store.create('operator', { ...node, tenants: ['gone'] });
    const both = await store.create('operator', { ...node, tenants: ['gone', 'stays'] });
    const every = await store.create('operator', { ...node, tenants: [] });
    const labelled = await store.create('operator', { ...node, tenants: ['gone'], selector: 'tier=gold' });
    await replica.store.write(write('operator', change({ delete: { kind: 'Tenant', name: 'gone' } })));
    expect(await store.authenticate(only.credential.reveal())).toBeUndefined();
    expect(await store.authenticate(both.credential.reveal())).toMatchObject({
      tenants: { names: new Set(['stays']) },
    });
    expect(await store.authenticate(labelled.credential.reveal())).toMatchObject({
      tenants: { names: new Set(), selector: { text: 'tier=gold' } },
    });
    expect(await store.authenticate(every.credential.reveal())).toMatchObject({ tenants: null });
  });
});
