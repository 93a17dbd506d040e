import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { diffSnapshots } from './diff.ts';
import type { Kind } from './kind.ts';
import { applyChanges, makeSnapshot, setHash, type SnapshotChange, type StoredResource } from './snapshot.ts';

const resource = fc.record({
  kind: fc.constantFrom<Kind>('Backend', 'Route'),
  name: fc.constantFrom('a', 'b', 'c', 'a-b'),
  body: fc.constant(new Uint8Array()),
  digest: fc.constantFrom('1', '2'),
});
const resources = fc.array(resource, { maxLength: 12 });
const changes = fc.array(
  fc.oneof(
    resource.map((put): SnapshotChange => ({ put })),
    resource.map(({ kind, name }): SnapshotChange => ({ delete: { kind, name } })),
  ),
);

describe('a snapshot', () => {
  it('has the same hash and order whatever the order of its resources', () => {
    const unique = fc.uniqueArray(resource, { selector: ({ kind, name }) => `${kind}/${name}` });
    fc.assert(
      fc.property(unique, (given) => {
        const [one, other] = [makeSnapshot('acme', 1n, given), makeSnapshot('acme', 1n, given.toReversed())];
        expect(other).toEqual(one);
        expect([...other.resources.keys()]).toEqual([...one.resources.keys()].sort());
        expect(setHash(given)).toBe(one.hash);
      }),
    );
  });

  it('has another hash with any other content, and the same at another revision', () => {
    const a = { kind: 'Route', name: 'a', body: new Uint8Array(), digest: '1' } as const;
    const sets: StoredResource[][] = [
      [],
      [a],
      [{ ...a, digest: '2' }],
      [{ ...a, name: 'b' }],
      [{ ...a, kind: 'Backend' }],
    ];
    expect(new Set(sets.map((set) => makeSnapshot('acme', 1n, set).hash)).size).toBe(sets.length);
    expect(makeSnapshot('acme', 2n, [a]).hash).toBe(makeSnapshot('acme', 1n, [a]).hash);
  });

  it('with changes applied is the one made of what results, and the first stays as it was', () => {
    fc.assert(
      fc.property(resources, changes, (given, changed) => {
        const before = makeSnapshot('acme', 1n, given);
        const kept = [...before.resources];
        const expected = new Map(before.resources);
        for (const change of changed) {
          if ('put' in change) expected.set(`${change.put.kind}/${change.put.name}`, change.put);
          else expected.delete(`${change.delete.kind}/${change.delete.name}`);
        }
        const after = applyChanges(before, 2n, changed);
        expect(after).toEqual(makeSnapshot('acme', 2n, expected.values()));
        expect([...after.resources.keys()]).toEqual([...expected.keys()].sort());
        expect([...before.resources]).toEqual(kept);
      }),
    );
  });
});

describe('the difference of two snapshots', () => {
  it('is what leads from one to the other', () => {
    fc.assert(
      fc.property(resources, resources, (left, right) => {
        const [before, after] = [makeSnapshot('acme', 1n, left), makeSnapshot('acme', 2n, right)];
        const applied = diffSnapshots(before, after).map((change): SnapshotChange =>
          change.op === 'delete' ? { delete: change } : { put: change.after },
        );
        expect(applyChanges(before, 2n, applied)).toEqual(after);
      }),
    );
  });

  it('names creates, updates and deletes in the order of kind and name', () => {
    const make = (...items: string[]): StoredResource[] =>
      items.map((item) => ({ kind: 'Route', name: item.slice(0, 1), body: new Uint8Array(), digest: item }));
    const found = diffSnapshots(
      makeSnapshot('acme', 1n, make('b1', 'c1', 'd1')),
      makeSnapshot('acme', 2n, make('a1', 'b2', 'd1')),
    );
    expect(found.map(({ op, name }) => `${op} ${name}`)).toEqual(['create a', 'update b', 'delete c']);
  });
});
