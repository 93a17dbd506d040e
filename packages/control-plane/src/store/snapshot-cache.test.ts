import { digestOf, makeSnapshot } from '@signalbox/config';
import { describe, expect, it } from 'vitest';

import { SnapshotCache } from './snapshot-cache.ts';

function snapshot(scope: string, size: number) {
  const body = Buffer.from('x');
  const resources = Array.from({ length: size }, (_, i) => ({
    kind: 'Backend' as const,
    name: `b${i}`,
    body,
    digest: digestOf(body),
  }));
  return makeSnapshot(scope, 1n, resources);
}

describe('the cache of snapshots', () => {
  it('gives a snapshot back while the database is at the same version', () => {
    const cache = new SnapshotCache(10);
    const kept = snapshot('acme', 2);
    cache.put('1 at noon', kept);
    expect(cache.get('acme', '1 at noon')).toBe(kept);
    expect(cache.get('acme', '1 at one')).toBeUndefined();
    expect(cache.get('acme', undefined)).toBeUndefined();
    expect(cache.get('globex', '1 at noon')).toBeUndefined();
  });

  it('drops what was used longest ago, and keeps no more resources than it may', () => {
    const cache = new SnapshotCache(10);
    for (const scope of ['a', 'b']) cache.put('1', snapshot(scope, 4));
    cache.get('a', '1');
    cache.put('1', snapshot('c', 4));
    expect(['a', 'b', 'c'].filter((scope) => cache.get(scope, '1'))).toEqual(['a', 'c']);
    cache.put('1', snapshot('huge', 11));
    expect(cache.get('huge', '1')).toBeUndefined();
    expect(cache.get('a', '1')).toBeDefined();
  });

  it('counts a scope once, however often it changes', () => {
    const cache = new SnapshotCache(10);
    cache.put('1', snapshot('a', 5));
    for (let i = 0; i < 100; i += 1) cache.put(String(i), snapshot('b', 5));
    expect(cache.get('a', '1')).toBeDefined();
    expect(cache.get('b', '99')).toBeDefined();
  });

  it('forgets a scope whose version is not known', () => {
    const cache = new SnapshotCache(10);
    cache.put('1', snapshot('a', 5));
    cache.put(undefined, snapshot('a', 5));
    expect(cache.get('a', '1')).toBeUndefined();
  });
});
