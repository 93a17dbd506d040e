import { describe, expect, it } from 'vitest';
import { ChangeSet } from './change-set.ts';
import type { Collection } from './family.ts';
import { StreamPosition } from './stream-position.ts';
import { leafType, MemorySource } from './testing/memory-source.ts';

/** A source whose newest collections a test reads by hand, as a server does. */
function world() {
  const source = new MemorySource();
  const newest = new Map<string, Collection>();
  const change = (id: string, write: () => void): ChangeSet => {
    write();
    const to = source.get(id);
    const set = new ChangeSet(new Map([[id, { from: newest.get(id), to }]]));
    if (to) newest.set(id, to);
    else newest.delete(id);
    return set;
  };
  const commit = (id: string, text: string) => change(id, () => source.commit(id, { leaves: { a: text } }));
  return { newest, commit, drop: (id: string) => change(id, () => source.drop(id)) };
}

describe('a stream position', () => {
  it('stays where it is until it advances', () => {
    const { newest, commit, drop } = world();
    commit('acme', '1');
    commit('globex', '1');
    const position = new StreamPosition(newest, 'all');
    position.fallBehind(commit('acme', '2'));
    position.fallBehind(drop('globex'));
    position.fallBehind(commit('initech', '1'));
    expect([...position.ids()].sort()).toEqual(['acme', 'globex']);
    expect(position.get('acme')?.revision).toBe(1n);
    position.advance();
    expect([...position.ids()].sort()).toEqual(['acme', 'initech']);
    expect(position.get('acme')?.revision).toBe(2n);
    expect(position.isBehind).toBe(false);
  });

  it('folds several changes into one step from where it stands', () => {
    const { newest, commit } = world();
    commit('acme', '1');
    const position = new StreamPosition(newest, 'all');
    for (const text of ['2', '3', '4']) position.fallBehind(commit('acme', text));
    const step = position.advance().changes.get('acme');
    expect([step?.from?.revision, step?.to?.revision]).toEqual([1n, 4n]);
  });

  it('shares one change set, and so its bytes, with streams that move alike', () => {
    const { newest, commit } = world();
    const positions = ['all' as const, new Set(['acme']), new Set(['acme', 'globex'])].map(
      (visible) => new StreamPosition(newest, visible),
    );
    const change = commit('acme', '1');
    for (const position of positions) position.fallBehind(change);
    const deltas = positions.map((position) => position.advance().delta(leafType));
    expect(new Set(deltas).size).toBe(1);
  });

  it('does not see other collections, nor fall behind with them', () => {
    const { newest, commit } = world();
    const position = new StreamPosition(newest, new Set(['acme']));
    position.fallBehind(commit('globex', '1'));
    expect([position.isBehind, position.get('globex'), [...position.ids()]]).toEqual([false, undefined, []]);
  });

  it('finds nothing to do when a collection came and went', () => {
    const { newest, commit, drop } = world();
    const position = new StreamPosition(newest, 'all');
    position.fallBehind(commit('acme', '1'));
    position.fallBehind(drop('acme'));
    expect(position.advance().changes.size).toBe(0);
  });
});
