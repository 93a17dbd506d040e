import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { notRostered, Roster, type Rostered } from './roster.ts';

function members(count: number): Rostered[] {
  return Array.from({ length: count }, () => ({ place: notRostered }));
}

describe('Roster', () => {
  it('holds what a Set would, whatever comes and goes', () => {
    const steps = fc.array(fc.record({ at: fc.nat(9), joins: fc.boolean() }), { maxLength: 200 });
    fc.assert(
      fc.property(steps, (moves) => {
        const all = members(10);
        const [roster, set] = [new Roster<Rostered>(), new Set<Rostered>()];
        for (const { at, joins } of moves) {
          const member = all[at] as Rostered;
          if (joins && !set.has(member)) {
            roster.add(member);
            set.add(member);
          }
          const left = joins ? [] : [roster.delete(member), set.delete(member)];
          expect(left[0]).toBe(left[1]);
        }
        expect(new Set(roster)).toEqual(set);
        expect(roster.size).toBe(set.size);
        for (const member of all) expect(roster.has(member)).toBe(set.has(member));
      }),
    );
  });

  it('refuses what already stands in one', () => {
    const [member] = members(1) as [Rostered];
    new Roster<Rostered>().add(member);
    expect(() => new Roster<Rostered>().add(member)).toThrow('already stands in a roster');
  });

  it('leaves a member of another roster where it is', () => {
    const [one, other] = members(2) as [Rostered, Rostered];
    const [first, second] = [new Roster<Rostered>(), new Roster<Rostered>()];
    first.add(one);
    second.add(other);
    expect(first.delete(other)).toBe(false);
    expect([first.has(one), second.has(other)]).toEqual([true, true]);
  });

  it('passes over nobody who stays while others leave', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(19), { maxLength: 20 }), (leaving) => {
        const all = members(20);
        const roster = new Roster<Rostered>();
        for (const member of all) roster.add(member);
        const told = new Set<Rostered>();
        let next = 0;
        for (const member of roster) {
          told.add(member);
          const gone = all[leaving[next] ?? -1];
          next += 1;
          if (gone) roster.delete(gone);
        }
        for (const member of roster) expect(told.has(member)).toBe(true);
      }),
    );
  });
});
