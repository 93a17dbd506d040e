import { describe, expect, it } from 'vitest';

import { storedText } from '../testing/memory-feed.ts';
import type { RememberedToken } from './remembered-tokens.ts';
import { decodeReplicaSnapshot, encodeReplicaSnapshot, type ReplicaSnapshot } from './replica-snapshot.ts';

const token: RememberedToken = {
  record: {
    ...{ id: 'a1', name: 'edge', role: 'node', selector: '', tenants: ['acme'], gateway: 'default', family: 'native' },
    ...{ createdAt: new Date(1), expiresAt: new Date(2), revokedAt: null, lastUsedAt: null },
    ...{ form: 'bearer', node: '', serials: [], groups: ['canary'] },
  },
  hash: Buffer.alloc(32, 7),
};
const resources = Array.from({ length: 500 }, (_, at) => storedText('Backend', `b${at}`, 'x'.repeat(at)));
const snapshot: ReplicaSnapshot = {
  scopes: [
    { scope: 'operator', revision: 3n, committedAtMs: 5, removalsConfirmed: 0n, resources: [] },
    { scope: 'acme', revision: 9n, committedAtMs: 6, removalsConfirmed: 4n, resources },
  ],
  staged: [
    {
      scope: 'acme',
      members: { groups: ['canary'], nodes: ['n1'], share: 7 },
      base: {
        revision: 8n,
        state: { scope: 'acme', revision: 8n, committedAtMs: 5, removalsConfirmed: 4n, resources: [] },
      },
    },
  ],
  tokens: [token],
};
const file = Buffer.concat([...encodeReplicaSnapshot(snapshot)]);

describe('the snapshot of a replica', () => {
  it('holds scopes and tokens as they were', () => {
    const read = decodeReplicaSnapshot(file);
    expect(read.tokens).toEqual([token]);
    expect(read.staged).toEqual(snapshot.staged);
    expect(read.scopes.map(({ scope, revision, removalsConfirmed }) => [scope, revision, removalsConfirmed])).toEqual([
      ['operator', 3n, 0n],
      ['acme', 9n, 4n],
    ]);
    expect(read.scopes[1]?.resources.map(({ name, digest }) => [name, digest])).toEqual(
      resources.map(({ name, digest }) => [name, digest]),
    );
  });

  it.each([
    ['cut off', file.subarray(0, -1)],
    ['changed', Buffer.concat([file.subarray(0, 40), Buffer.of(0xff), file.subarray(41)])],
    ['empty', Buffer.alloc(0)],
    ['something else', Buffer.alloc(200)],
  ])('is not trusted when it is %s', (_case, damaged) => {
    expect(() => decodeReplicaSnapshot(damaged)).toThrow(/^it/);
  });
});
