import type { RolloutPlan } from '@signalbox/config';
import { Metrics } from '@signalbox/runtime';
import { ManualClock, MemoryLogger } from '@signalbox/runtime/testing';
import { describe, expect, it } from 'vitest';

import type { FleetNode } from './decide.ts';
import { RolloutDriver, type TakenBack } from './driver.ts';
import { type Health, noHealth } from './health.ts';
import { HealthCollector } from './health-collector.ts';
import { isMember, nobody } from './members.ts';
import type { Rollout } from './rollout.ts';
import type { Transition } from './transition.ts';

const plan: RolloutPlan = {
  requiredBy: 'tenant',
  stages: [
    { percent: 50, groups: [], soakMs: 1_000, manual: false },
    { percent: 100, groups: [], soakMs: 0, manual: false },
  ],
  limits: { denialsPercent: 10, upstreamErrorsPercent: 0, latencyPercent: 0, minRequests: 10 },
};

function rollout(scope: string): Rollout {
  return {
    ...{ scope, revision: 8n, base: 7n, plan, state: 'running', stage: 0, members: nobody, author: 'a', reason: '' },
    ...{ stageSinceMs: undefined, settledSinceMs: undefined, startedAtMs: 0, endedAtMs: undefined, version: 1 },
  };
}

/** A database and a fleet, and drivers that know nothing of each other. Nodes run what they are to run at once. */
class World {
  readonly clock = new ManualClock(0);
  readonly logger = new MemoryLogger();
  readonly rows = new Map<string, Rollout>();
  readonly events: string[] = [];
  readonly said: Health[] = [];
  readonly nodes: FleetNode[] = ['a', 'b', 'c', 'd'].map((id) => {
    return { id, groups: [], connected: true, leftAtMs: undefined, applied: 7n, refusal: undefined, reports: true };
  });
  incomplete: string | undefined;
  outage = false;
  /** How far the database's clock is ahead of ours, in milliseconds. */
  aheadMs = 0;
  /** Runs between what a driver reads and what it writes. */
  meanwhile: () => Promise<void> = async () => undefined;
  taken: TakenBack = 'done';

  driver(): { readonly driver: RolloutDriver; readonly health: HealthCollector } {
    const health = new HealthCollector();
    const driver = new RolloutDriver({
      ...{ health, clock: this.clock, logger: this.logger, metrics: new Metrics() },
      ...{ replica: 'r', intervalMs: 100, returnMs: 35_000, isNeeded: () => true },
      store: {
        underWay: async () => {
          if (this.outage) throw Object.assign(new Error('gone'), { code: 'CONNECTION_CLOSED' });
          const underWay = [...this.rows.values()].filter(({ endedAtMs }) => endedAtMs === undefined);
          return { nowMs: this.clock.now() + this.aheadMs, rollouts: underWay };
        },
        change: async (change) => this.#change(change),
        report: async (_replica, stages) => void this.said.push(...stages.map(({ candidate }) => candidate)),
        health: async () => ({ candidate: this.said.at(-1) ?? noHealth, base: noHealth }),
        sweep: async () => undefined,
      },
      fleet: {
        follow: () => ({ [Symbol.dispose]: () => undefined }),
        refresh: async () => undefined,
        nodes: (row) => {
          if (this.incomplete !== undefined) return { incomplete: this.incomplete };
          if (row.scope === 'broken') throw new Error('no');
          return this.nodes.map((node) => (isMember(row.members, node) ? { ...node, applied: 8n } : node));
        },
      },
      takeBack: async (row, { reason }) => {
        if (this.taken === 'done') {
          this.rows.set(row.scope, { ...row, state: 'rolled-back', endedAtMs: 1, version: row.version + 1 });
          this.events.push(`${row.scope} taken back: ${reason}`);
        }
        return this.taken;
      },
    });
    return { driver, health };
  }

  async #change({ rollout: after, event }: Transition): Promise<boolean> {
    await this.meanwhile();
    if (this.rows.get(after.scope)?.version !== after.version - 1) return false;
    this.rows.set(after.scope, after);
    this.events.push(`${after.scope} ${event.event} ${event.stage}`);
    return true;
  }
}

describe('drivers of rollouts', () => {
  it('make every change once, however many there are', async () => {
    const world = new World();
    world.rows.set('acme', rollout('acme'));
    const drivers = [world.driver(), world.driver(), world.driver()];
    for (const { driver } of drivers) driver.start();
    await world.clock.advance(3_000);
    expect(world.events).toEqual([
      ...['acme stage-started 1', 'acme stage-settled 1', 'acme stage-started 2', 'acme stage-settled 2'],
      'acme completed 2',
    ]);
    for (const { driver } of drivers) await driver.stop();
    expect(world.clock.pending).toBe(0);
  });

  it('lose what they have decided when somebody else was faster', async () => {
    const world = new World();
    world.rows.set('acme', rollout('acme'));
    world.meanwhile = async () => {
      world.meanwhile = async () => undefined;
      world.rows.set('acme', { ...rollout('acme'), state: 'paused', version: 2 });
    };
    const { driver } = world.driver();
    driver.kick();
    await world.clock.advance(0);
    expect(world.rows.get('acme')).toMatchObject({ state: 'paused', version: 2 });
    expect(world.events).toEqual([]);
  });

  it('decide nothing while not all nodes are known, or without the database', async () => {
    const world = new World();
    world.rows.set('acme', rollout('acme'));
    world.incomplete = 'replica b has not been read';
    const { driver } = world.driver();
    driver.start();
    await world.clock.advance(1_000);
    expect(world.events).toEqual([]);
    world.incomplete = undefined;
    world.outage = true;
    await world.clock.advance(1_000);
    expect(world.events).toEqual([]);
    expect(world.logger.lines.filter(({ level }) => level === 'error')).toEqual([]);
    world.outage = false;
    await world.clock.advance(200);
    expect(world.events[0]).toBe('acme stage-started 1');
    await driver.stop();
  });

  it.each([3_600_000, -3_600_000])(
    'begin the time of a stage again when the clock of the database jumps by %i ms',
    async (jumpMs) => {
      const world = new World();
      const soaking = { ...plan, stages: plan.stages.map((stage) => ({ ...stage, soakMs: 2_000 })) };
      world.rows.set('acme', { ...rollout('acme'), plan: soaking });
      const { driver } = world.driver();
      driver.start();
      await world.clock.advance(1_000);
      expect(world.events).toEqual(['acme stage-started 1', 'acme stage-settled 1']);
      world.aheadMs = jumpMs;
      await world.clock.advance(1_000);
      expect(world.events.slice(2)).toEqual(['acme stage-settled 1']);
      await world.clock.advance(2_000);
      expect(world.events.slice(3, 4)).toEqual(['acme stage-started 2']);
      await driver.stop();
    },
  );

  it('go on with the others when one rollout fails them', async () => {
    const world = new World();
    for (const scope of ['broken', 'acme']) world.rows.set(scope, rollout(scope));
    const { driver } = world.driver();
    driver.kick();
    await world.clock.advance(0);
    expect(world.events).toEqual(['acme stage-started 1']);
    expect(world.logger.lines.map(({ message }) => message)).toContain('the rollout of broken cannot be moved on');
  });

  it('take it back when nodes say that they do worse', async () => {
    const world = new World();
    world.rows.set('acme', rollout('acme'));
    const { driver, health } = world.driver();
    driver.start();
    await world.clock.advance(250);
    health.add('acme', 8n, { ...noHealth, requests: 20, denials: 20 });
    health.add('acme', 9n, { ...noHealth, requests: 20 });
    await world.clock.advance(200);
    expect(world.events.at(-1)).toMatch(/^acme taken back: denials: 100 %/);
    expect(world.said.at(-1)?.requests).toBe(20);
    await driver.stop();
  });

  it('halt it when what was before is not accepted any more, and leave it to people', async () => {
    const world = new World();
    world.rows.set('acme', rollout('acme'));
    world.nodes[0] = { ...(world.nodes[0] as FleetNode), refusal: 'no' };
    world.taken = { refused: 'gateway gone' };
    const { driver } = world.driver();
    driver.start();
    await world.clock.advance(1_000);
    expect(world.rows.get('acme')).toMatchObject({
      state: 'halted',
      reason: 'node a refused it: no; it cannot be taken back: gateway gone',
    });
    expect(world.events).toEqual(['acme halted 1']);
    await driver.stop();
  });
});
