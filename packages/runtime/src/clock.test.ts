import { describe, expect, it } from 'vitest';
import { systemClock } from './clock.ts';
import { ManualClock } from './testing/index.ts';

describe.each([
  ['systemClock', () => ({ clock: systemClock, pass: () => Promise.resolve() })],
  [
    'ManualClock',
    () => {
      const clock = new ManualClock();
      return { clock, pass: () => clock.advance(20) };
    },
  ],
])('%s', (_name, make) => {
  it('wakes a sleeper after its delay', async () => {
    const { clock, pass } = make();
    const before = clock.monotonic();
    const sleep = clock.sleep(5);
    await pass();
    await sleep;
    expect(clock.monotonic() - before).toBeGreaterThanOrEqual(4);
  });

  it('rejects a sleep whose signal aborts, with the reason', async () => {
    const { clock } = make();
    const stop = new AbortController();
    const sleep = clock.sleep(60_000, stop.signal);
    stop.abort(new Error('leaving'));
    await expect(sleep).rejects.toThrow('leaving');
    await expect(clock.sleep(1, stop.signal)).rejects.toThrow('leaving');
  });

  it('does not call back a disposed timer', async () => {
    const { clock, pass } = make();
    let called = false;
    clock.timer(1, () => (called = true))[Symbol.dispose]();
    const sleep = clock.sleep(5);
    await pass();
    await sleep;
    expect(called).toBe(false);
  });
});
