import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { NodeSchema, ReplicaSchema } from '@signalbox/proto/signalbox/admin/v1/node_service_pb.ts';
import { describe, expect, it } from 'vitest';
import { style } from '../output/style.ts';
import { renderMembers, renderNodes } from './nodes.ts';

const now = Date.UTC(2026, 10, 21, 12);
const plain = style(false);

const node = create(NodeSchema, {
  id: 'edge-1',
  gateway: 'default',
  identity: 'edge',
  version: '0.1.0',
  connected: true,
  connectedSince: timestampFromMs(now - 120_000),
  lastAckAt: timestampFromMs(now - 5_000),
  scopes: [
    { scope: 'operator', desiredRevision: 2n, appliedRevision: 2n },
    { scope: 'acme', desiredRevision: 7n, appliedRevision: 6n },
  ],
  lastNack: {
    at: timestampFromMs(now - 3_000),
    scope: 'acme',
    revision: 7n,
    refusals: [{ type: 'Route', resource: 'Route/acme/chat', message: 'too many rules' }],
    current: true,
  },
});

function list(nodes: readonly (typeof node)[], replicas: readonly MessageInitShape<typeof ReplicaSchema>[] = []) {
  return { nodes: [...nodes], replicas: replicas.map((each) => create(ReplicaSchema, each)), incomplete: '' };
}

describe('renderNodes', () => {
  it('shows what a node should run beside what it runs, a line a scope', () => {
    const lines = renderNodes(list([node]), now, plain).split('\n');
    expect(lines[1]).toMatch(/^edge-1 +default +edge +0\.1\.0 +2m +operator +2 +2 +5s ago$/);
    expect(lines[2]).toMatch(/^ +acme +7 +6$/);
  });

  it('says what a node refused and why', () => {
    const text = renderNodes(list([node]), now, plain);
    expect(text).toContain('edge-1 refused revision 7 of acme 3s ago');
    expect(text).toContain('and runs an older one because of it:\n  Route/acme/chat: too many rules\n');
  });

  it('shows since when a node is gone', () => {
    const gone = create(NodeSchema, { id: 'edge-2', lastSeen: timestampFromMs(now - 60_000) });
    expect(renderNodes(list([gone]), now, plain)).toMatch(/edge-2 .*no, seen 1m ago .*never/);
  });

  it('says what to do when there is none', () => {
    expect(renderNodes(list([]), now, plain)).toContain('signalbox proxy');
  });

  it('names the replica of each node where there are several, and those that are gone', () => {
    const here = create(NodeSchema, { ...node, replica: 'one' });
    const replicas = [
      { name: 'one', alive: true },
      { name: 'two', goneSince: timestampFromMs(now - 60_000) },
    ];
    const text = renderNodes(list([here], replicas), now, plain);
    expect(text).toMatch(/^edge-1 .* one\n/m);
    expect(text).toContain('replica two has been gone for 1m\n');
    expect(renderNodes(list([here], replicas.slice(0, 1)), now, plain)).not.toContain('REPLICA');
  });

  it('shows a node of many tenants in a few lines', () => {
    const scopes = Array.from({ length: 100 }, (_, i) => ({
      scope: `t${i}`,
      desiredRevision: 2n,
      appliedRevision: 1n,
    }));
    const many = create(NodeSchema, { id: 'edge-9', scopes, scopeCount: 5_000, behindCount: 300 });
    const lines = renderNodes(list([many]), now, plain).split('\n');
    expect(lines[11]).toContain('… and 4990 more, 290 of them behind');
  });

  it('says when nodes of other replicas are not known', () => {
    expect(renderNodes({ ...list([node]), incomplete: 'the database is away' }, now, plain)).toContain(
      'database is away\n',
    );
  });
});

describe('renderMembers', () => {
  const since = timestampFromMs(now - 90_000);
  const at = { tenant: 'acme', failures: 0, since };
  const here = create(NodeSchema, {
    ...{ id: 'edge-1', connected: true, membersLeftOut: 2 },
    members: [
      { ...at, backend: 'weather', condition: 'quarantined' },
      { ...at, backend: 'tickets', condition: 'open', failures: 5 },
      { ...at, backend: 'maps', condition: 'reachable' },
    ],
  });
  const gone = create(NodeSchema, { ...here, id: 'edge-2', connected: false });

  it('shows members that do not do well, at nodes that are there', () => {
    const text = renderMembers(list([here, gone]), { nowMs: now, all: false }, plain);
    expect(text.split('\n').slice(2)).toEqual([
      'acme/tickets  edge-1  open         1m     5 in a row',
      'acme/weather  edge-1  quarantined  1m     -',
      '… and 2 more members that nodes did not name',
      '',
    ]);
  });

  it('shows all of them when asked, and says when there is none', () => {
    expect(renderMembers(list([here]), { nowMs: now, all: true }, plain)).toMatch(/acme\/maps +edge-1 +reachable/);
    expect(renderMembers(list([]), { nowMs: now, all: true }, plain)).toContain('no member');
    expect(renderMembers(list([]), { nowMs: now, all: false }, plain)).toBe('');
  });
});
