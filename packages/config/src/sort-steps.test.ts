import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sortSteps } from './sort-steps.ts';
import { drain } from './steps.ts';

describe('sorting in steps', () => {
  it('gives what sorting at once gives, in a stable order', () => {
    const anyList = fc.array(fc.tuple(fc.string({ maxLength: 2 }), fc.nat()), { maxLength: 500 });
    fc.assert(
      fc.property(anyList, (list) => {
        const expected = list.toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
        expect(drain(sortSteps(list, ([key]) => key))).toEqual(expected);
      }),
    );
  });

  it('pauses all the time', () => {
    const list = Array.from({ length: 10_000 }, (_, at) => String((at * 7919) % 10_007));
    expect([...sortSteps(list, (text) => text)].length).toBeGreaterThan(300);
  });
});
