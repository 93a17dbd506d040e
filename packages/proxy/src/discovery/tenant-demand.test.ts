import { Metrics } from '@signalbox/runtime';
import { ManualClock, MemoryLogger } from '@signalbox/runtime/testing';
import { describe, expect, it } from 'vitest';
import { TenantDemand, type TenantDemandLimits } from './tenant-demand.ts';

const usual: TenantDemandLimits = { tenants: 3, waiting: 4, waitMs: 1_000, idleMs: 60_000, retryMs: 5_000 };

function fixture(limits: Partial<TenantDemandLimits> = {}) {
  const clock = new ManualClock(0);
  const metrics = new Metrics();
  const demand = new TenantDemand({ limits: { ...usual, ...limits }, clock, metrics, logger: new MemoryLogger() });
  const asked: string[] = [];
  demand.connect({
    onDemand: (wanted, unwanted) =>
      void asked.push(...wanted.map((name) => `+${name}`), ...unwanted.map((name) => `-${name}`)),
  });
  const load = async (tenant: string) => {
    const outcome = demand.want(tenant);
    demand.arrived(tenant);
    return outcome;
  };
  const outcomes = (outcome: string) =>
    Number(new RegExp(`tenant_loads_total\\{outcome="${outcome}"\\} (\\d+)`).exec(metrics.expose())?.[1]);
  return { demand, clock, asked, load, outcomes };
}

describe('a tenant that is asked for', () => {
  it('is subscribed once however many wait, and all of them go on when it is served', async () => {
    const { demand, asked, outcomes } = fixture();
    const all = [demand.want('acme'), demand.want('acme'), demand.want('acme')];
    demand.arrived('acme');
    expect(await Promise.all(all)).toEqual(['loaded', 'loaded', 'loaded']);
    expect(asked).toEqual(['+acme']);
    expect(await demand.want('acme')).toBe('loaded');
    expect(outcomes('loaded')).toBe(4);
  });

  it.each(['absent', 'refused'] as const)('is not asked for again for a while when it is %s', async (why) => {
    const { demand, clock, asked } = fixture();
    const first = demand.want('acme');
    demand.failed('acme', why);
    expect([await first, await demand.want('acme')]).toEqual([why, why]);
    expect(asked).toEqual(['+acme', '-acme']);
    await clock.advance(usual.retryMs);
    void demand.want('acme');
    expect(asked).toEqual(['+acme', '-acme', '+acme']);
  });

  it('is late after the deadline; it stays subscribed, and what comes later is there for the next request', async () => {
    const { demand, clock, asked } = fixture();
    const early = demand.want('acme');
    await clock.advance(usual.waitMs);
    expect([await early, await demand.want('acme')]).toEqual(['late', 'late']);
    demand.arrived('acme');
    expect(await demand.want('acme')).toBe('loaded');
    expect(asked).toEqual(['+acme']);
  });

  it('is asked for a second time when what came is not whole, and no third time', () => {
    const { demand, asked } = fixture();
    void demand.want('acme');
    expect([demand.repeat('acme'), demand.repeat('acme')]).toEqual([true, false]);
    expect(asked).toEqual(['+acme', '+acme']);
  });

  it('is given up when it exists no more', async () => {
    const { demand, load, asked } = fixture();
    await load('acme');
    demand.gone('acme');
    demand.gone('acme');
    expect(asked).toEqual(['+acme', '-acme']);
    expect(await demand.want('acme')).toBe('absent');
  });
});

describe('what is held', () => {
  it('goes when nothing has used it for a while, and not before', async () => {
    const { clock, asked, load } = fixture();
    await load('acme');
    await clock.advance(usual.idleMs - 1);
    expect(asked).toEqual(['+acme']);
    await clock.advance(usual.idleMs / 10);
    expect(asked).toEqual(['+acme', '-acme']);
  });

  it('stays as long as a request or stream is open, however long that is', async () => {
    const { demand, clock, asked, load } = fixture();
    await load('acme');
    demand.use('acme');
    await clock.advance(10 * usual.idleMs);
    expect(asked).toEqual(['+acme']);
    demand.release('acme');
    await clock.advance(2 * usual.idleMs);
    expect(asked).toEqual(['+acme', '-acme']);
  });

  it('is wanted again when it is used in the moment of being given up', async () => {
    const { demand, clock, asked, load } = fixture();
    await load('acme');
    await clock.advance(2 * usual.idleMs);
    demand.use('acme');
    expect([asked, demand.wants('acme')]).toEqual([['+acme', '-acme', '+acme'], true]);
  });

  it('makes room for another, the one that was not used for longest first', async () => {
    const { demand, clock, asked, load } = fixture();
    for (const tenant of ['a', 'b', 'c']) {
      await load(tenant);
      await clock.advance(usual.waitMs);
    }
    demand.use('a');
    demand.release('a');
    await clock.advance(usual.waitMs);
    await load('d');
    expect(asked.slice(3)).toEqual(['-b', '+d']);
  });

  it('makes no room while all of it is in use, or has just come', async () => {
    const { demand, clock, asked, load, outcomes } = fixture();
    for (const tenant of ['a', 'b', 'c']) await load(tenant);
    expect(await demand.want('d')).toBe('busy');
    for (const tenant of ['a', 'b', 'c']) demand.use(tenant);
    await clock.advance(usual.idleMs);
    expect(await demand.want('d')).toBe('busy');
    expect([asked.length, outcomes('busy')]).toEqual([3, 2]);
  });

  it('begins with what was held before a restart', async () => {
    const { demand, asked } = fixture();
    demand.restored(['acme', 'globex']);
    expect([[...demand.wanted()], await demand.want('acme'), asked]).toEqual([['acme', 'globex'], 'loaded', []]);
  });
});

describe('requests that wait', () => {
  it('are bounded in number', async () => {
    const { demand } = fixture({ waiting: 2 });
    void demand.want('acme');
    void demand.want('globex');
    expect(await demand.want('acme')).toBe('busy');
    demand.arrived('globex');
    const again = demand.want('acme');
    demand.arrived('acme');
    expect(await again).toBe('loaded');
  });

  it('are answered when the node stops', async () => {
    const { demand } = fixture();
    const waiting = demand.want('acme');
    demand.stop();
    expect(await waiting).toBe('late');
  });
});
