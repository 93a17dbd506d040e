import { ManualClock } from '@signalbox/runtime/testing';
import { describe, expect, it } from 'vitest';
import { Admission } from './admission.ts';

const limits = { streamsPerSecond: 100, streamBurst: 3 };

describe('admission', () => {
  it('lets a burst in, and then as many as the rate allows', async () => {
    const clock = new ManualClock();
    const admission = new Admission(limits, clock);
    expect([1, 2, 3].map(() => admission.take())).toEqual([undefined, undefined, undefined]);
    expect(admission.take()).toBeGreaterThan(0);
    await clock.advance(10);
    expect(admission.take()).toBeUndefined();
    expect(admission.take()).toBeGreaterThan(0);
  });

  it('gives each that comes too early a time of its own, at which there is room', async () => {
    const clock = new ManualClock();
    const admission = new Admission(limits, clock);
    const waits = Array.from({ length: 13 }, () => admission.take()).flatMap((wait) => wait ?? []);
    expect(waits).toEqual([10, 20, 30, 40, 50, 60, 70, 80, 90, 100]);
    for (let i = 0; i < waits.length; i += 1) {
      await clock.advance(10);
      expect(admission.take()).toBeUndefined();
    }
  });

  it('never saves up more than a burst', async () => {
    const clock = new ManualClock();
    const admission = new Admission(limits, clock);
    await clock.advance(60_000);
    expect([1, 2, 3, 4].map(() => admission.take() === undefined)).toEqual([true, true, true, false]);
  });
});
