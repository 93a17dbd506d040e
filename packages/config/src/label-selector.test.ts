import { describe, expect, it } from 'vitest';
import { parseLabelSelector } from './label-selector.ts';

const labels = { tier: 'gold', region: 'eu-1', 'example.com/team': 'rail' };

function matches(text: string): boolean {
  const selector = parseLabelSelector(text);
  if (typeof selector === 'string') throw new Error(selector);
  return selector.matches(labels);
}

describe('a label selector', () => {
  it.each([
    ['tier', true],
    ['!tier', false],
    ['cost', false],
    ['!cost', true],
    ['tier=gold', true],
    ['tier == gold', true],
    ['tier=silver', false],
    ['tier!=silver', true],
    ['tier!=gold', false],
    ['cost!=high', true],
    ['region in (eu-1, eu-2)', true],
    ['region in (us-1)', false],
    ['region notin (us-1)', true],
    ['region notin (eu-1,us-1)', false],
    ['cost notin (high)', true],
    ['cost in ()', false],
    ['example.com/team=rail', true],
    ['tier=gold, region in (eu-1,eu-2), !cost', true],
    ['tier=gold,region=us-1', false],
    ['toString', false],
  ])('%s says %s', (text, expected) => {
    expect(matches(text)).toBe(expected);
  });

  it.each(['', 'tier=gold,', 'tier>gold', 'tier in gold', 'tier in (gold', '-tier', 'a=b=c', 'tier gold', 'a,,b'])(
    'is not %o, and the answer says how to write one',
    (text) => {
      expect(parseLabelSelector(text)).toMatch(/key in \(a, b\)/);
    },
  );

  it('is bounded', () => {
    expect(parseLabelSelector('a'.repeat(1_001))).toMatch(/at most 1000 characters/);
    expect(parseLabelSelector(Array.from({ length: 33 }, (_, i) => `k${i}`).join(','))).toMatch(/32 requirements/);
  });
});
