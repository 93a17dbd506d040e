import { describe, expect, it } from 'vitest';
import { digestOf } from './digest.ts';
import { isMassRemoval, massRemoval } from './removal-guard.ts';
import { makeSnapshot } from './snapshot.ts';

const limits = { minimum: 10, percent: 50 };

function set(names: readonly number[]) {
  const body = new Uint8Array([1]);
  const resources = names.map((name) => ({ kind: 'Backend', name: `b${name}`, body, digest: digestOf(body) }) as const);
  return makeSnapshot('acme', 1n, resources);
}

const count = (to: number, from = 0) => Array.from({ length: to - from }, (_, at) => from + at);

describe('a removal that needs a confirmation', () => {
  it('takes more than half of a set away', () => {
    expect(massRemoval(set(count(20)), set(count(9)), limits)).toEqual({ removed: 11, of: 20 });
    expect(massRemoval(set(count(20)), set(count(10)), limits)).toBeUndefined();
  });

  it('counts what is gone, not how many there are', () => {
    expect(massRemoval(set(count(20)), set(count(40, 20)), limits)).toEqual({ removed: 20, of: 20 });
  });

  it('takes away at least the minimum: small sets are emptied freely', () => {
    expect(massRemoval(set(count(9)), set([]), limits)).toBeUndefined();
    expect(massRemoval(set(count(10)), set([]), limits)).toEqual({ removed: 10, of: 10 });
  });

  it('is none at one hundred percent', () => {
    expect(isMassRemoval({ removed: 50, of: 50 }, { minimum: 1, percent: 100 })).toBe(false);
  });
});
