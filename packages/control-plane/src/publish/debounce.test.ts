import { ManualClock } from '@signalbox/runtime/testing';
import { describe, expect, it } from 'vitest';
import { Debounce } from './debounce.ts';

function debounced() {
  const clock = new ManualClock(0);
  const runs: number[] = [];
  const debounce = new Debounce({ quietMs: 5, maxMs: 50 }, clock, () => runs.push(clock.now()));
  return { clock, runs, debounce };
}

describe('debouncing', () => {
  it('does not delay a call that stands alone', async () => {
    const { clock, runs, debounce } = debounced();
    debounce.call();
    await clock.advance(5);
    debounce.call();
    await clock.advance(100);
    expect(runs).toEqual([0, 5]);
  });

  it('folds a burst into its first call and one when it is over', async () => {
    const { clock, runs, debounce } = debounced();
    for (let i = 0; i < 10; i += 1) {
      debounce.call();
      await clock.advance(2);
    }
    await clock.advance(100);
    expect(runs).toEqual([0, 23]);
  });

  it('lets nothing wait longer than the maximum, however long the burst', async () => {
    const { clock, runs, debounce } = debounced();
    for (let i = 0; i < 100; i += 1) {
      debounce.call();
      await clock.advance(1);
    }
    await clock.advance(100);
    expect(runs.slice(0, 3)).toEqual([0, 51, 101]);
    expect(runs).toHaveLength(3);
  });

  it('forgets what waits when it is cancelled', async () => {
    const { clock, runs, debounce } = debounced();
    debounce.call();
    debounce.call();
    debounce.cancel();
    await clock.advance(100);
    expect(runs).toEqual([0]);
    expect(clock.pending).toBe(0);
  });
});
