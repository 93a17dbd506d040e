import type { BackendEntry } from '@signalbox/config';
import { Metrics } from '@signalbox/runtime';
import { ManualClock, MemoryLogger } from '@signalbox/runtime/testing';
import { beforeEach, describe, expect, it } from 'vitest';
import { defaultFederationLimits } from './limits.ts';
import { MemberHealth } from './member-health.ts';

const backend = (name: string): BackendEntry => ({
  ...{
    tenant: 'acme',
    name,
    key: `acme/${name}@1`,
    kind: 'mcp',
    url: 'http://a/mcp',
    cardUrl: '',
    http: 'http1',
    transport: 'auto',
    tls: null,
  },
  connection: { connectMs: null, idleMs: null, maxConnections: null, maxPending: null },
});
const [one, two, three] = [backend('one'), backend('two'), backend('three')];

describe('the health of a member', () => {
  let clock: ManualClock;
  let metrics: Metrics;
  let health: MemberHealth;

  beforeEach(() => {
    clock = new ManualClock();
    metrics = new Metrics();
    const limits = { ...defaultFederationLimits, breakerFailures: 3, breakerMs: 1_000 };
    health = new MemberHealth({ clock, metrics, logger: new MemoryLogger() }, limits, 2);
  });

  it('is what became of real calls', () => {
    expect(health.conditionOf(one)).toBe('reachable');
    health.failed(one);
    expect([health.conditionOf(one), health.admits(one)]).toEqual(['degraded', true]);
    health.answered(one, 404);
    expect(health.conditionOf(one)).toBe('reachable');
    health.answered(one, 401);
    expect([health.conditionOf(one), health.admits(one)]).toEqual(['needs-auth', true]);
    expect(health.conditionOf(two)).toBe('reachable');
  });

  it('is told to operators, with the time of the last change', async () => {
    health.answered(one, 200);
    const [{ since } = { since: 0 }] = health.reports();
    await clock.advance(500);
    health.failed(one);
    health.failed(one);
    const at = { tenant: 'acme', backend: 'one', condition: 'degraded', failures: 2, since: since + 500 };
    expect([...health.reports()]).toEqual([at]);
  });

  it('keeps requests away after failures in a row, but for one in a while, which decides', async () => {
    for (const status of [500, 503, 502]) health.answered(one, status);
    expect([health.conditionOf(one), health.admits(one)]).toEqual(['open', false]);
    await clock.advance(1_000);
    expect([health.admits(one), health.admits(one)]).toEqual([true, false]);
    health.failed(one);
    await clock.advance(999);
    expect(health.admits(one)).toBe(false);
    await clock.advance(1);
    expect(health.admits(one)).toBe(true);
    health.answered(one, 200);
    expect([health.conditionOf(one), health.admits(one)]).toEqual(['reachable', true]);
    expect(metrics.expose()).toContain('signalbox_member_transitions_total{condition="open"} 1');
  });

  it('does not count failures that are not in a row', () => {
    for (let at = 0; at < 10; at += 1) {
      health.failed(one);
      health.failed(one);
      health.answered(one, 200);
    }
    expect(health.admits(one)).toBe(true);
  });

  it('is remembered of a bounded number of members', () => {
    for (const member of [one, two, three]) health.failed(member);
    expect([one, two, three].map((member) => health.conditionOf(member))).toEqual([
      'reachable',
      'degraded',
      'degraded',
    ]);
  });
});
