import { create } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { NodeSchema } from '@signalbox/proto/signalbox/admin/v1/node_service_pb.ts';
import { describe, expect, it } from 'vitest';
import { style } from '../output/style.ts';
import { renderNodes } from './nodes.ts';

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

describe('renderNodes', () => {
  it('shows what a node should run beside what it runs, a line a scope', () => {
    const lines = renderNodes([node], now, plain).split('\n');
    expect(lines[1]).toMatch(/^edge-1 +default +edge +0\.1\.0 +2m +operator +2 +2 +5s ago$/);
    expect(lines[2]).toMatch(/^ +acme +7 +6$/);
  });

  it('says what a node refused and why', () => {
    const text = renderNodes([node], now, plain);
    expect(text).toContain('edge-1 refused revision 7 of acme 3s ago');
    expect(text).toContain('and runs an older one because of it:\n  Route/acme/chat: too many rules\n');
  });

  it('shows since when a node is gone', () => {
    const gone = create(NodeSchema, { id: 'edge-2', lastSeen: timestampFromMs(now - 60_000) });
    expect(renderNodes([gone], now, plain)).toMatch(/edge-2 .*no, seen 1m ago .*never/);
  });

  it('says what to do when there is none', () => {
    expect(renderNodes([], now, plain)).toContain('signalbox proxy');
  });
});
