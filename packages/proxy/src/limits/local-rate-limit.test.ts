import type { LimitEntry } from '@signalbox/config';
import { Metrics } from '@signalbox/runtime';
import { ManualClock } from '@signalbox/runtime/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { limitHeaders, LocalRateLimit, type LimitedCall } from './local-rate-limit.ts';

function limit(callsPerMinute: number, burst: number, per: LimitEntry['per'] = [], name = 'p'): LimitEntry {
  const keys = { key: `acme/${name}@${callsPerMinute}/${burst}`, concurrencyKey: `acme/${name}` };
  return { id: `policy/${name}/limits`, ...keys, callsPerMinute, burst, concurrent: 0, per };
}

function limits(maxBuckets = 100) {
  const clock = new ManualClock();
  const metrics = new Metrics();
  const rateLimit = new LocalRateLimit({ maxBuckets, clock, metrics });
  const take = (all: readonly LimitEntry[], call: Partial<LimitedCall> = {}) =>
    rateLimit.take(all, { principal: 'a', route: 'r', tool: '', ...call });
  const value = (name: string) => Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(metrics.expose())?.[1]);
  return { clock, take, value };
}

describe('a limit', () => {
  it('lets a burst pass, then as many calls as flow in', async () => {
    const { clock, take, value } = limits();
    const one = [limit(60, 3)];
    expect([1, 2, 3].map(() => take(one))).toEqual([undefined, undefined, undefined]);
    expect(take(one)).toEqual({ limit: one[0], retryAfterS: 1 });
    await clock.advance(1_000);
    expect(take(one)).toBeUndefined();
    expect(take(one)).toBeDefined();
    await clock.advance(600_000);
    expect([1, 2, 3, 4].map(() => take(one) === undefined)).toEqual([true, true, true, false]);
    expect(value('signalbox_rate_limited_total')).toBe(3);
  });

  it('says after how many seconds there is room', async () => {
    const { clock, take } = limits();
    const slow = [limit(2, 1)];
    take(slow);
    expect(take(slow)?.retryAfterS).toBe(30);
    await clock.advance(20_500);
    expect(take(slow)?.retryAfterS).toBe(10);
    const exceeded = take(slow);
    expect(exceeded && limitHeaders(exceeded)).toEqual([
      ...['Retry-After', '10', 'X-RateLimit-Limit', '1', 'X-RateLimit-Remaining', '0', 'X-RateLimit-Reset', '10'],
    ]);
  });

  it('is shared by all, or divided by principal, route and tool', () => {
    const { take } = limits();
    const shared = [limit(1, 1)];
    expect(take(shared)).toBeUndefined();
    expect(take(shared, { principal: 'b', route: 's', tool: 't' })).toBeDefined();
    for (const per of ['principal', 'route', 'tool'] as const) {
      const divided = [limit(1, 1, [per], per)];
      expect(take(divided)).toBeUndefined();
      expect(take(divided)).toBeDefined();
      expect(take(divided, { [per]: 'other' })).toBeUndefined();
    }
  });

  it('takes nothing from the others when one of them is used up', () => {
    const { take } = limits();
    const [wide, narrow] = [limit(600, 10, [], 'wide'), limit(1, 1, [], 'narrow')];
    expect(take([wide, narrow])).toBeUndefined();
    for (let i = 0; i < 20; i += 1) expect(take([wide, narrow])?.limit).toBe(narrow);
    expect(Array.from({ length: 10 }, () => take([wide]) === undefined).filter(Boolean)).toHaveLength(9);
  });

  it('never lets more pass than burst and rate allow, whenever calls come', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 600 }),
        fc.integer({ min: 1, max: 20 }),
        fc.array(fc.integer({ min: 0, max: 3_000 }), { maxLength: 60 }),
        (callsPerMinute, burst, waits) => {
          let now = 0;
          const rateLimit = new LocalRateLimit({
            ...{ maxBuckets: 10, metrics: new Metrics() },
            clock: { monotonic: () => now },
          });
          let passed = 0;
          for (const wait of waits) {
            now += wait;
            const exceeded = rateLimit.take([limit(callsPerMinute, burst)], { principal: '', route: '', tool: '' });
            if (!exceeded) passed += 1;
            expect(passed).toBeLessThanOrEqual(burst + (now * callsPerMinute) / 60_000);
          }
        },
      ),
    );
  });
});

describe('the table of allowances', () => {
  it('forgets those that are full again before others', async () => {
    const { clock, take, value } = limits(3);
    const divided = [limit(60, 1, ['principal'])];
    take(divided, { principal: 'old' });
    await clock.advance(10_000);
    take(divided, { principal: 'b' });
    take(divided, { principal: 'c' });
    take(divided, { principal: 'd' });
    expect(take(divided, { principal: 'b' })).toBeDefined();
    expect(take(divided, { principal: 'c' })).toBeDefined();
    expect(value('signalbox_rate_limit_evictions_total')).toBe(0);
    expect(value('signalbox_rate_limit_buckets')).toBe(3);
  });

  it('never grows beyond its bound', () => {
    const { take, value } = limits(10);
    const divided = [limit(1, 1, ['principal'])];
    for (let i = 0; i < 1_000; i += 1) take(divided, { principal: `p${i}` });
    expect(value('signalbox_rate_limit_buckets')).toBe(10);
    expect(value('signalbox_rate_limit_evictions_total')).toBe(990);
  });
});
