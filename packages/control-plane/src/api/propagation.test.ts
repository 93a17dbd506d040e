import { NodePropagation_State as State } from '@signalbox/proto/signalbox/admin/v1/config_service_pb.ts';
import { describe, expect, it } from 'vitest';

import type { NodeScopeStatus, NodeStatus } from '../discovery/node-directory.ts';
import { propagationOf } from './propagation.ts';

const watched = { scope: 'acme', revision: 5n, committedAtMs: 1_000 };

function node(id: string, status: Partial<NodeScopeStatus>, connected = true, scope = 'acme'): NodeStatus {
  const scopeStatus = { desired: 5n, sent: 0n, applied: 0n, appliedAtMs: undefined, refused: undefined, ...status };
  return {
    ...{ id, gateway: 'default', identity: 'nodes', userAgent: '', version: '', remoteAddress: '', connected },
    ...{ connectedSinceMs: 0, lastSeenMs: 0, lastAckMs: undefined, lastNack: undefined },
    scopes: new Map([[scope, scopeStatus]]),
  };
}

const refused = {
  atMs: 0,
  scope: 'acme',
  revision: 5n,
  refusals: [{ type: 'Route', resource: 'r', message: 'why' }],
  current: true,
};

describe('propagation of a revision', () => {
  it('says of each node how far it is', () => {
    const nodes = [
      node('a', { applied: 5n, appliedAtMs: 1_004 }),
      node('b', { applied: 6n, appliedAtMs: 2_000 }),
      node('c', { sent: 5n, applied: 4n }),
      node('d', { applied: 4n }),
      node('e', { sent: 5n, applied: 4n, refused }),
      node('f', { applied: 5n }, false),
    ];
    const { nodes: answers, done } = propagationOf(watched, nodes, 5n);
    expect(answers).toMatchObject([
      { node: 'a', state: State.APPLIED, appliedRevision: 5n, appliedAfterMs: 4 },
      { node: 'b', state: State.APPLIED, appliedRevision: 6n, appliedAfterMs: 0 },
      { node: 'c', state: State.SENT, appliedRevision: 4n },
      { node: 'd', state: State.PENDING },
      { node: 'e', state: State.REFUSED, refusals: [{ resource: 'r', message: 'why' }] },
      { node: 'f', state: State.DISCONNECTED },
    ]);
    expect(done).toBe(false);
  });

  it('is done when every connected node has applied or refused it', () => {
    const nodes = [node('a', { applied: 5n }), node('b', { refused }), node('c', {}, false)];
    expect(propagationOf(watched, nodes, 5n).done).toBe(true);
    expect(propagationOf(watched, [...nodes, node('d', { sent: 5n })], 5n).done).toBe(false);
  });

  it('does not end before the revision is offered, although nobody has it yet', () => {
    expect(propagationOf(watched, [], undefined).done).toBe(false);
    expect(propagationOf(watched, [], 4n).done).toBe(false);
    expect(propagationOf(watched, [], 5n).done).toBe(true);
  });

  it('is not about a node of other tenants', () => {
    expect(propagationOf(watched, [node('x', {}, true, 'globex')], 5n)).toMatchObject({ nodes: [], done: true });
  });

  it('does not take the refusal of an older revision for an answer', () => {
    const older = node('a', { sent: 5n, refused: { ...refused, revision: 4n } });
    expect(propagationOf(watched, [older], 5n)).toMatchObject({ nodes: [{ state: State.SENT }], done: false });
  });
});
