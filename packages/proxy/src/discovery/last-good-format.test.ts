import { createSecretKey } from 'node:crypto';
import { makeSnapshot, type StoredResource } from '@signalbox/config';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { tenantSet } from '../testing/config-sets.ts';
import { decodeLastGood, encodeLastGood, type LastGoodSet, type Protection } from './last-good-format.ts';

const set: LastGoodSet = { snapshot: tenantSet('acme', 12n, { routes: ['a', 'b'] }), manifestVersion: 'v12' };
const key = createSecretKey(Buffer.alloc(32, 1));
const plain: Protection = { key: undefined, nonce: () => Buffer.alloc(12) };
const sealed: Protection = { key, nonce: () => Buffer.alloc(12, 9) };

const fileOf = (from: LastGoodSet, protection: Protection) => Buffer.concat([...encodeLastGood(from, protection)]);

describe.each([
  { name: 'plain', protection: plain },
  { name: 'sealed', protection: sealed },
])('a $name file of a set', ({ protection }) => {
  it('gives back exactly the set', () => {
    expect(decodeLastGood(fileOf(set, protection), protection.key)).toEqual(set);
  });

  it('gives back an empty set, and one of many chunks', () => {
    const empty = { snapshot: makeSnapshot('acme', 1n, []), manifestVersion: '' };
    expect(decodeLastGood(fileOf(empty, protection), protection.key)).toEqual(empty);
    const names = Array.from({ length: 2_000 }, (_, at) => `route-${at}`);
    const large = { snapshot: tenantSet('acme', 1n, { routes: names }), manifestVersion: 'v' };
    expect([...encodeLastGood(large, protection)].length).toBeGreaterThan(3);
    const decoded = decodeLastGood(fileOf(large, protection), protection.key);
    expect('snapshot' in decoded && decoded.snapshot.hash).toBe(large.snapshot.hash);
  });

  it('is not trusted when any of its bits was changed', () => {
    const file = fileOf(set, protection);
    fc.assert(
      fc.property(fc.nat(file.length - 1), fc.nat(7), (at, bit) => {
        const changed = Buffer.from(file);
        changed[at] = (changed[at] as number) ^ (1 << bit);
        expect(decodeLastGood(changed, protection.key)).toHaveProperty('damage');
      }),
      { numRuns: 500 },
    );
  });

  it('is not trusted when it was cut off or has something after its end', () => {
    const file = fileOf(set, protection);
    fc.assert(
      fc.property(
        fc.nat(file.length - 1),
        (length) => 'damage' in decodeLastGood(file.subarray(0, length), protection.key),
      ),
      { numRuns: 200 },
    );
    expect(decodeLastGood(Buffer.concat([file, Buffer.of(0)]), protection.key)).toHaveProperty('damage');
  });
});

describe('a file of a set', () => {
  it('shows nothing of what is in it when it is sealed', () => {
    expect(fileOf(set, plain).includes('/acme/a')).toBe(true);
    expect(fileOf(set, sealed).includes('/acme/a')).toBe(false);
  });

  it('opens with its own key only', () => {
    const otherKey = createSecretKey(Buffer.alloc(32, 2));
    expect(decodeLastGood(fileOf(set, sealed), otherKey)).toHaveProperty('damage');
    expect(decodeLastGood(fileOf(set, sealed), undefined)).toHaveProperty('damage');
  });

  it('must be sealed when there is a key, so that nobody can put a plain one in its place', () => {
    expect(decodeLastGood(fileOf(set, plain), key)).toHaveProperty('damage');
  });

  it('is not trusted when its resources do not have the hash that it names', () => {
    const resources = new Map<string, StoredResource>(set.snapshot.resources);
    resources.delete('Route/b');
    const torn = { ...set, snapshot: { ...set.snapshot, resources } };
    expect(decodeLastGood(fileOf(torn, plain), undefined)).toHaveProperty('damage');
  });
});
