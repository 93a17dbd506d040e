import { NodePropagation_State as State } from '@signalbox/proto/signalbox/admin/v1/config_service_pb.ts';
import { describe, expect, it } from 'vitest';

import type { NodeNack, NodeScopeStatus, NodeStatus } from '../discovery/node-directory.ts';
import { propagationOf } from './propagation.ts';

const watched = { scope: 'acme', revision: 5n, committedAtMs: 1_000 };

const untouched: NodeScopeStatus = { desired: 5n, sent: 0n, applied: 0n, appliedAtMs: undefined, refused: undefined };

function nack(scope: string, revision: bigint): NodeNack {
  const refusals = [{ type: 'Route', resource: 'r', message: `${scope} is refused` }];
  return { atMs: 0, scope, revision, current: true, refusals };
}

function node(acme: Partial<NodeScopeStatus>, given: Partial<NodeStatus> = {}): NodeStatus {
  return {
    ...{ id: 'node-1', gateway: 'edge', identity: 'nodes', userAgent: 'signalbox', version: '1', remoteAddress: '' },
    ...{ connected: true, connectedSinceMs: 0, lastSeenMs: 0, lastAckMs: undefined, lastNack: undefined },
    scopes: new Map([['acme', { ...untouched, ...acme }]]),
    ...given,
  };
}

describe('propagation', () => {
  it.each([
    { what: 'was not sent the revision', status: {}, state: State.PENDING, done: false },
    { what: 'was sent it', status: { sent: 5n }, state: State.SENT, done: false },
    { what: 'runs an older one', status: { sent: 5n, applied: 4n }, state: State.SENT, done: false },
    { what: 'runs it', status: { sent: 5n, applied: 5n }, state: State.APPLIED, done: true },
    { what: 'runs a newer one', status: { sent: 7n, applied: 7n }, state: State.APPLIED, done: true },
    { what: 'refused it', status: { sent: 5n, refused: nack('acme', 5n) }, state: State.REFUSED, done: true },
    { what: 'refused an older one', status: { sent: 5n, refused: nack('acme', 4n) }, state: State.SENT, done: false },
  ])('of a node that $what', ({ status, state, done }) => {
    const propagation = propagationOf(watched, [node(status)], 5n);
    expect([propagation.nodes?.[0]?.state, propagation.done]).toEqual([state, done]);
  });

  it('knows a refusal of the scope although the node refused another scope later', () => {
    const refusing = node({ sent: 5n, refused: nack('acme', 5n) }, { lastNack: nack('globex', 9n) });
    expect(propagationOf(watched, [refusing], 5n)).toMatchObject({
      nodes: [{ state: State.REFUSED, refusals: [{ message: 'acme is refused' }] }],
      done: true,
    });
  });

  it('waits for every connected node, and not for one that left', () => {
    const applied = node({ sent: 5n, applied: 5n });
    const gone = node({}, { id: 'node-2', connected: false });
    expect(propagationOf(watched, [applied, gone], 5n).done).toBe(true);
    expect(propagationOf(watched, [applied, node({}, { id: 'node-3' })], 5n).done).toBe(false);
  });

  it('is not done before the revision is offered to nodes', () => {
    expect(propagationOf(watched, [], undefined).done).toBe(false);
    expect(propagationOf(watched, [], 4n).done).toBe(false);
    expect(propagationOf(watched, [], 5n).done).toBe(true);
  });
});
