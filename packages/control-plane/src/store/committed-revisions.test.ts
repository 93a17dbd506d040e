import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { groupRevisions, type LogRow } from './committed-revisions.ts';

let seq = 0n;
function row(tenant: string, revision: bigint, name = 'a', more: Partial<LogRow> = {}): LogRow {
  seq += 1n;
  const body = Buffer.from(name);
  const stored = { kind: 'Backend', name, digest: name, body, at: new Date(5), removals_confirmed: 0n };
  return { xid: '1', seq, tenant, revision, ...stored, ...more };
}

const brief = (rows: readonly LogRow[], known: Readonly<Record<string, bigint>> = {}) => {
  const { revisions, gaps } = groupRevisions(rows, new Map(Object.entries(known)));
  const shown = revisions.map(
    ({ scope, revision, changes }) => `${scope}${revision}:${changes.map(({ name }) => name).join('')}`,
  );
  return { shown, gaps };
};

describe('rows of the log', () => {
  it('become whole revisions in the order of their numbers, not of their transactions', () => {
    const rows = [row('t', 2n, 'b'), row('u', 1n), row('t', 1n, 'a'), row('t', 2n, 'c')];
    expect(brief(rows)).toEqual({ shown: ['t1:a', 't2:bc', 'u1:a'], gaps: [] });
  });

  it('that were read before are dropped', () => {
    expect(brief([row('t', 1n), row('t', 2n), row('t', 3n)], { t: 2n })).toEqual({ shown: ['t3:a'], gaps: [] });
  });

  it('with a revision missing are not applied: the scope has to be read anew', () => {
    expect(brief([row('t', 3n), row('u', 1n)], { t: 1n })).toEqual({ shown: ['u1:a'], gaps: ['t'] });
    expect(brief([row('t', 1n), row('t', 3n)])).toEqual({ shown: [], gaps: ['t'] });
  });

  it('without content are deletions', () => {
    const { revisions } = groupRevisions([row('t', 1n, 'a', { digest: null, body: null })], new Map());
    expect(revisions).toEqual([
      {
        ...{ scope: 't', revision: 1n, committedAtMs: 5, removalsConfirmed: 0n },
        changes: [{ kind: 'Backend', name: 'a', resource: null }],
      },
    ]);
  });

  it('of a kind that this version does not know are an error, not a loss', () => {
    expect(() => brief([row('t', 1n, 'a', { kind: 'Newer' })])).toThrow('unknown kind "Newer"');
  });

  it('in any order and with any overlap give each revision once', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 5 }),
        fc.integer({ min: 1, max: 6 }),
        fc.infiniteStream(fc.nat()),
        (seen, count, order) => {
          const rows = Array.from({ length: seen + count }, (_, i) => row('t', BigInt(i + 1)));
          const shuffled = rows
            .map((one) => ({ one, key: order.next().value as number }))
            .sort((a, b) => a.key - b.key)
            .map(({ one }) => one);
          const { revisions } = groupRevisions(shuffled, new Map([['t', BigInt(seen)]]));
          expect(revisions.map(({ revision }) => Number(revision))).toEqual(
            Array.from({ length: count }, (_, i) => seen + i + 1),
          );
        },
      ),
    );
  });
});
