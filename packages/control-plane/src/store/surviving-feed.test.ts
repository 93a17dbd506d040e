import { Metrics } from '@signalbox/runtime';
import { ManualClock, MemoryLogger, SeededRandom } from '@signalbox/runtime/testing';
import { describe, expect, it } from 'vitest';

import type { ChangeListener } from './change-feed.ts';
import type { FoundSnapshot } from './snapshot-file.ts';
import { SurvivingFeed } from './surviving-feed.ts';

const refused = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
const scope = { scope: 'acme', revision: 3n, committedAtMs: 0, removalsConfirmed: 0n, resources: [] };

function fixture(snapshot?: Omit<FoundSnapshot, 'asOfMs'>) {
  const clock = new ManualClock();
  const metrics = new Metrics();
  const database: { error: unknown } = { error: refused };
  const told: string[] = [];
  const tail = {
    failing: false,
    readAtMs: 0,
    start: async () => void told.push('started'),
    resume: async (_listener: ChangeListener, known: ReadonlyMap<string, bigint>) =>
      void told.push(`resumed after ${[...known].map(String).join(' ')}`),
    kick: () => undefined,
    stop: async () => void told.push('stopped'),
  };
  const feed = new SurvivingFeed({
    ...{ tail, clock, metrics, random: new SeededRandom(1), logger: new MemoryLogger() },
    prepare: () => (database.error === undefined ? Promise.resolve() : Promise.reject(database.error as Error)),
    loadSnapshot: async () => snapshot && { ...snapshot, asOfMs: clock.now() - 60_000 },
  });
  const listener: ChangeListener = {
    loaded: (scopes) => void told.push(`loaded ${scopes.map((each) => each.scope).join(' ')}`),
    committed: () => undefined,
  };
  const staleness = () => /^signalbox_config_staleness_seconds (.*)$/m.exec(metrics.expose())?.[1];
  return { feed, listener, told, clock, database, tail, staleness };
}

describe('a replica whose database is down', () => {
  it('starts from its snapshot, says how old it is, and catches up when the database is back', async () => {
    const { feed, listener, told, clock, database, staleness } = fixture({ scopes: [scope], staged: [], tokens: [] });
    await feed.start(listener);
    expect(told).toEqual(['loaded acme']);
    expect(staleness()).toBe('60');
    await clock.advance(20_000);
    expect(staleness()).toBe('80');
    database.error = undefined;
    await clock.advance(10_000);
    expect(told).toEqual(['loaded acme', 'resumed after acme,3']);
    expect(staleness()).toBe('0');
    await feed.stop();
  });

  it('does not start without a snapshot', async () => {
    const { feed, listener, told } = fixture();
    await expect(feed.start(listener)).rejects.toBe(refused);
    expect(told).toEqual([]);
  });

  it('does not start from a snapshot when the database answers, but cannot be used', async () => {
    const { feed, listener, database } = fixture({ scopes: [scope], staged: [], tokens: [] });
    database.error = new Error('migration 0001 has changed');
    await expect(feed.start(listener)).rejects.toThrow('has changed');
  });

  it('stops while it waits', async () => {
    const { feed, listener, told } = fixture({ scopes: [scope], staged: [], tokens: [] });
    await feed.start(listener);
    await feed.stop();
    expect(told).toEqual(['loaded acme', 'stopped']);
  });
});

describe('a replica that has lost its database', () => {
  it('counts from when it was last read', async () => {
    const { feed, listener, clock, database, tail, staleness } = fixture();
    database.error = undefined;
    await feed.start(listener);
    expect(staleness()).toBe('0');
    Object.assign(tail, { failing: true, readAtMs: clock.monotonic() });
    await clock.advance(5_000);
    expect(staleness()).toBe('5');
    await feed.stop();
  });
});
