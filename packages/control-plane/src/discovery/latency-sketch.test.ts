import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { LatencySketch } from './latency-sketch.ts';

function sketchOf(durations: readonly number[]): LatencySketch {
  const sketch = new LatencySketch();
  for (const duration of durations) sketch.add(duration);
  return sketch;
}

const durations = fc.array(fc.double({ min: 1, max: 3_600_000, noNaN: true }), { minLength: 1 });

describe('a latency sketch', () => {
  it('knows every quantile to five percent', () => {
    fc.assert(
      fc.property(durations, fc.double({ min: 0.01, max: 1, noNaN: true }), (values, share) => {
        const exact = values.toSorted((a, b) => a - b)[Math.ceil(share * values.length) - 1] ?? 0;
        expect(Math.abs(sketchOf(values).quantile(share) / exact - 1)).toBeLessThan(0.05);
      }),
    );
  });

  it('adds up to what one sketch of all would be', () => {
    fc.assert(
      fc.property(durations, durations, (one, other) => {
        const sum = sketchOf(one);
        sum.merge(sketchOf(other).toCounts());
        expect(sum.toCounts()).toEqual(sketchOf([...one, ...other]).toCounts());
      }),
    );
  });

  it('shifts what is merged', () => {
    const sketch = new LatencySketch();
    sketch.merge(sketchOf([10]).toCounts(), 90);
    expect(Math.abs(sketch.quantile(0.5) - 100)).toBeLessThan(10);
  });

  it('takes clocks that disagree for no time at all', () => {
    expect(sketchOf([-5, 0]).quantile(1)).toBe(0);
    expect(new LatencySketch().quantile(0.5)).toBe(0);
  });
});
