import { encodeEntry, type ResourceEntry } from '@signalbox/xds';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ScopeCollection } from './scope-collection.ts';

const type = 'test/Leaf';

function entry(name: string, version: string, revision: bigint): ResourceEntry {
  return encodeEntry({ name, version, typeUrl: type, body: Buffer.from(version) }, revision);
}

/** The states of a collection through revisions of puts and deletes by name. */
function history(steps: readonly Readonly<Record<string, string | null>>[], maxLogged: number): ScopeCollection[] {
  const states = [ScopeCollection.initial('acme', 1n, () => new Map([[type, [entry('a', 'first', 1n)]]]))];
  for (const step of steps) {
    const revision = BigInt(states.length + 1);
    const put = Object.entries(step).flatMap(([name, version]) =>
      version === null ? [] : entry(name, version, revision),
    );
    const deleted = Object.keys(step).filter((name) => step[name] === null);
    states.push((states.at(-1) as ScopeCollection).next(revision, new Map([[type, { put, deleted }]]), maxLogged));
  }
  return states;
}

function versions(collection: ScopeCollection): Record<string, string> {
  return Object.fromEntries(Array.from(collection.all(type), ({ name, version }) => [name, version]));
}

describe('a scope at a revision', () => {
  it('knows the way from every earlier state, or says that it has forgotten it', () => {
    const step = fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd'), fc.constantFrom('1', '2', null));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), fc.integer({ min: 1, max: 30 }), (steps, maxLogged) => {
        const states = history(steps, maxLogged);
        const last = states.at(-1) as ScopeCollection;
        for (const earlier of states) {
          const delta = last.changedSince(type, earlier);
          if (!delta) continue;
          const caughtUp = versions(earlier);
          for (const name of delta.removed) delete caughtUp[name];
          for (const { name, version } of delta.updated) caughtUp[name] = version;
          expect(caughtUp).toEqual(versions(last));
        }
      }),
    );
  });

  it('remembers as many changes as it may, and no more', () => {
    const states = history([{ a: '1' }, { b: '1' }, { c: '1' }], 2);
    const last = states.at(-1) as ScopeCollection;
    const remembers = states.map((earlier) => last.changedSince(type, earlier) !== undefined);
    expect(remembers).toEqual([false, true, true, true]);
  });

  it('shares what a revision does not change, and never changes itself', () => {
    const [before, after] = history([{ a: '2' }], 10) as [ScopeCollection, ScopeCollection];
    expect([versions(before), versions(after)]).toEqual([{ a: 'first' }, { a: '2' }]);
    expect(after.changedSince('test/Other', before)).toEqual({ updated: [], removed: [] });
  });

  it('knows no way from a collection of another beginning', () => {
    const [one] = history([], 10);
    const [other] = history([], 10);
    expect(one?.changedSince(type, other as ScopeCollection)).toBeUndefined();
  });
});
