import { describe, expect, it } from 'vitest';

import type { NodeScopeStatus, NodeStatus, ReplicaStatus } from './node-directory.ts';
import { type FleetState, propagationOf } from './propagation.ts';

const watched = { scope: 'acme', revision: 5n, committedAtMs: 1_000 };
const returnMs = 100;

interface GivenNode extends Partial<NodeScopeStatus> {
  readonly leftAtMs?: number;
  readonly scope?: string;
}

function node(id: string, { leftAtMs, scope = 'acme', ...status }: GivenNode = {}): NodeStatus {
  const scopeStatus = { sent: 0n, applied: 0n, appliedAfterMs: undefined, refused: undefined, ...status };
  return {
    ...{
      key: id,
      id,
      gateway: 'g',
      identity: 'i',
      groups: [],
      ...{ members: [], membersLeftOut: 0 },
      family: 'native',
      userAgent: '',
      version: '',
      remoteAddress: '',
    },
    ...{ replica: 'r1', connected: leftAtMs === undefined, connectedSinceMs: 0, leftAtMs, lastSeenMs: 0 },
    ...{ lastAckMs: undefined, lastNack: undefined },
    scope: (name) => (name === scope ? scopeStatus : undefined),
    scopes: () => [scope],
  };
}

function replica(name: string, offered: bigint | undefined, isAlive = true): ReplicaStatus {
  return {
    ...{ id: name, name, startedAtMs: 0, leaseUntilMs: 0, isAlive, isSelf: false, isSilent: false, isPartial: false },
    offered: () => offered,
  };
}

function outcome(nodes: readonly NodeStatus[], given: Partial<FleetState> = {}) {
  const fleet = { nodes, replicas: [replica('r1', 5n)], nowMs: 2_000, asOfMs: 2_000, incomplete: undefined, ...given };
  return propagationOf(watched, fleet, returnMs).outcome;
}

const refused = { atMs: 0, scope: 'acme', revision: 5n, refusals: [{ type: 'Route', resource: 'r', message: 'why' }] };

describe('propagation of a revision', () => {
  it.each([
    { what: 'one that runs it', given: { applied: 5n }, state: 'applied' },
    { what: 'one that runs a newer one', given: { applied: 6n }, state: 'applied' },
    { what: 'one that has it and has not answered', given: { sent: 5n, applied: 4n }, state: 'sent' },
    { what: 'one that does not have it', given: { sent: 4n, applied: 4n }, state: 'pending' },
    { what: 'one that refused it', given: { sent: 5n, applied: 4n, refused }, state: 'refused' },
    {
      what: 'one that refused an older one',
      given: { sent: 5n, refused: { ...refused, revision: 4n } },
      state: 'sent',
    },
    { what: 'one that left with it', given: { applied: 5n, leftAtMs: 1_500 }, state: 'disconnected' },
    { what: 'one that left before it long ago', given: { applied: 4n, leftAtMs: 500 }, state: 'disconnected' },
    {
      what: 'one that left before it a moment ago',
      given: { applied: 4n, leftAtMs: 950 },
      state: 'left-unanswered',
      at: 1_000,
    },
    {
      what: 'one that left since without an answer',
      given: { applied: 4n, leftAtMs: 1_500 },
      state: 'left-unanswered',
    },
    { what: 'one that refused it and left', given: { refused, leftAtMs: 1_500 }, state: 'refused' },
  ])('calls $what $state', ({ given, state, at = 2_000 }) => {
    const fleet = { nodes: [node('a', given)], replicas: [], nowMs: at, asOfMs: at, incomplete: undefined };
    expect(propagationOf(watched, fleet, returnMs).nodes.map((each) => each.state)).toEqual([state]);
  });

  it('is complete when every node runs it', () => {
    expect(outcome([node('a', { applied: 5n }), node('b', { applied: 6n })])).toBe('complete');
    expect(outcome([])).toBe('complete');
  });

  it('goes on while a node has not answered, however long', () => {
    expect(outcome([node('a', { applied: 5n }), node('b', { sent: 5n })])).toBe('in-progress');
    expect(outcome([node('a', { applied: 5n }), node('b')], { nowMs: 1e12 })).toBe('in-progress');
  });

  it('is rejected when a node refused it and all have answered', () => {
    expect(outcome([node('a', { refused }), node('b', { sent: 5n })])).toBe('in-progress');
    expect(outcome([node('a', { refused }), node('b', { applied: 5n })])).toBe('rejected');
  });

  it('waits for a node that left without an answer, then says that it did', () => {
    const nodes = [node('a', { applied: 5n }), node('b', { applied: 4n, leftAtMs: 1_950 })];
    expect(outcome(nodes, { nowMs: 2_000 })).toBe('in-progress');
    expect(outcome(nodes, { nowMs: 2_050 })).toBe('left-unanswered');
  });

  it('waits for a node that left shortly before the commit, and no longer when it does not return', () => {
    const nodes = [node('a', { applied: 4n, leftAtMs: 990 })];
    expect(outcome(nodes, { nowMs: 1_010 })).toBe('in-progress');
    expect(outcome(nodes, { nowMs: 1_090 })).toBe('complete');
  });

  it.each([
    { what: 'offers an older one', replicas: [replica('r1', 5n), replica('r2', 4n)], is: 'in-progress' },
    { what: 'has not said what it offers', replicas: [replica('r1', undefined)], is: 'in-progress' },
    {
      what: 'offers an older one and is gone',
      replicas: [replica('r1', 5n), replica('r2', 4n, false)],
      is: 'complete',
    },
    { what: 'offers a newer one', replicas: [replica('r1', 6n)], is: 'complete' },
  ])('is $is when a replica $what', ({ replicas, is }) => {
    expect(outcome([node('a', { applied: 5n })], { replicas })).toBe(is);
  });

  it('is not over before the other replicas were asked after the commit', () => {
    expect(outcome([], { asOfMs: 999 })).toBe('in-progress');
    expect(outcome([], { asOfMs: 1_000 })).toBe('complete');
  });

  it('waits for no relay that does not have the tenant', () => {
    const relay = { ...replica('relay', undefined), isPartial: true };
    expect(outcome([], { replicas: [replica('r1', 5n), relay] })).toBe('complete');
    expect(outcome([], { replicas: [replica('r1', 5n), { ...relay, offered: () => 4n }] })).toBe('in-progress');
  });

  it('is never over while other replicas cannot be asked', () => {
    expect(outcome([node('a', { applied: 5n })], { incomplete: 'no database' })).toBe('in-progress');
  });

  it.each([
    { what: 'was there at the commit', leaseUntilMs: 1_500, is: 'in-progress' },
    {
      what: 'went shortly before, for as long as nodes may take to return',
      leaseUntilMs: 950,
      nowMs: 1_000,
      is: 'in-progress',
    },
    { what: 'went before', leaseUntilMs: 950, is: 'complete' },
  ])('is $is when the database lost what a replica said that $what', ({ leaseUntilMs, nowMs = 2_000, is }) => {
    const lost = { ...replica('r2', undefined, false), isSilent: true, leaseUntilMs };
    expect(outcome([], { replicas: [replica('r1', 5n), lost], nowMs })).toBe(is);
  });

  it('is not about a node of other tenants', () => {
    const fleet = {
      nodes: [node('x', { scope: 'globex' })],
      replicas: [],
      nowMs: 0,
      asOfMs: 2_000,
      incomplete: undefined,
    };
    expect(propagationOf(watched, fleet, returnMs)).toMatchObject({ nodes: [], outcome: 'complete' });
  });
});
