import { expect, it } from 'vitest';
import { age } from './age.ts';

it.each([
  [0, '0s'],
  [59_999, '59s'],
  [60_000, '1m'],
  [3_600_000, '1h'],
  [90_000_000, '1d'],
  [-5, '0s'],
])('tells %i ms as %s', (elapsed, text) => {
  expect(age(1_000_000_000 + elapsed, 1_000_000_000)).toBe(text);
});
