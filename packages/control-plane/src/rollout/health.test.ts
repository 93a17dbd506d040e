import { describe, expect, it } from 'vitest';
import { addHealth, type Health, latencyAt, latencyBound, noHealth, worsening } from './health.ts';

const limits = { denialsPercent: 5, upstreamErrorsPercent: 2, latencyPercent: 150, minRequests: 20 };
const health = (requests: number, given: Partial<Health> = {}): Health => ({ ...noHealth, requests, ...given });
/** All requests took about so long. */
const around = (ms: number, requests: number): Health => {
  const bucket = Array.from({ length: 80 }, (_, i) => i).find((i) => latencyBound(i) >= ms) ?? 0;
  return health(requests, { latency: Array.from({ length: bucket + 1 }, (_, i) => (i === bucket ? requests : 0)) });
};

describe('nodes with a revision', () => {
  it.each<[string, Health, Health, RegExp | undefined]>([
    ['that do as well as the others', health(100, { denials: 10 }), health(1_000, { denials: 100 }), undefined],
    ['that deny a little more', health(100, { denials: 14 }), health(1_000, { denials: 100 }), undefined],
    [
      'that deny too much more',
      health(100, { denials: 16 }),
      health(1_000, { denials: 100 }),
      /denials: 16.0 %, 10.0 %/,
    ],
    ['whose upstreams fail', health(100, { upstreamErrors: 3 }), health(1_000), /upstream errors: 3.0 %, 0.0 %/],
    ['with nothing to compare', health(100, { denials: 6 }), health(3), /nothing to compare/],
    ['with too few requests', health(19, { denials: 19 }), health(1_000), undefined],
    ['that are slower', around(20, 100), around(10, 100), /latency: p99/],
    ['that are as fast', around(10, 100), around(10, 100), undefined],
    ['that are slow with nothing to compare', around(900, 100), health(0), undefined],
  ])('%s', (_what, candidate, base, expected) => {
    const found = worsening(limits, candidate, base);
    expect(found ?? 'nothing').toMatch(expected ?? /^nothing$/);
  });

  it('are judged by what was asked for, and by nothing else', () => {
    const nothing = { denialsPercent: 0, upstreamErrorsPercent: 0, latencyPercent: 0, minRequests: 1 };
    const bad = health(100, { denials: 100, upstreamErrors: 100 });
    expect(worsening(nothing, bad, health(100))).toBeUndefined();
    expect(worsening({ ...limits, upstreamErrorsPercent: 0 }, bad, health(100))).not.toMatch(/upstream/);
  });
});

describe('a latency', () => {
  it('is known to less than a fifth', () => {
    for (const ms of [0.2, 1, 7, 50, 333, 12_000]) {
      const found = latencyAt(around(ms, 1_000), 0.99) ?? 0;
      expect(Math.abs(found - ms) / ms).toBeLessThan(0.2);
    }
  });

  it('of several nodes is that of all their requests', () => {
    const sum = addHealth(around(1, 98), around(100, 2));
    expect(sum.requests).toBe(100);
    expect(latencyAt(sum, 0.99)).toBeGreaterThan(80);
    expect(latencyAt(sum, 0.5)).toBeLessThan(1.2);
    expect(latencyAt(noHealth, 0.99)).toBeUndefined();
  });
});
