import { ManualClock, MemoryLogger } from '@signalbox/runtime/testing';
import { describe, expect, it } from 'vitest';
import { drainRequests, requestShare } from './drain.ts';

function fixture(options: { readonly inFlight?: number } = {}) {
  const clock = new ManualClock();
  const start = clock.now();
  const steps: string[] = [];
  const note = (step: string) => void steps.push(`${clock.now() - start} ${step}`);
  const intake = {
    inFlight: options.inFlight ?? 0,
    drain: () => note('announce'),
    stopListening: () => note('accept no more'),
    close: async (deadline: AbortSignal) => {
      note('close');
      if (intake.inFlight > 0) await new Promise((resolve) => deadline.addEventListener('abort', resolve));
      note('closed');
    },
  };
  const streams = {
    size: 3,
    drain: (windowMs: number) => {
      note(`end streams within ${windowMs}`);
      return Promise.resolve();
    },
  };
  const times = { acceptMs: 5_000, spreadMs: 10_000 };
  const run = (deadline: AbortSignal) =>
    drainRequests({ intake, streams, times, clock, logger: new MemoryLogger() }, deadline);
  return { clock, steps, run };
}

describe('a drain', () => {
  it('announces itself and ends streams at once, accepts a while, lets the last ones say what they want, then closes', async () => {
    const { clock, steps, run } = fixture();
    const done = run(new AbortController().signal);
    await clock.advance(3_999);
    expect(steps).toEqual(['0 announce', '0 end streams within 10000']);
    await clock.advance(1);
    expect(steps.slice(2)).toEqual(['4000 accept no more']);
    await clock.advance(999);
    expect(steps.slice(3)).toEqual([]);
    await clock.advance(1);
    expect(await done).toBe(0);
    expect(steps.slice(3)).toEqual(['5000 close', '5000 closed']);
  });

  it('closes at the deadline although it would still accept', async () => {
    const { clock, steps, run } = fixture();
    const deadline = new AbortController();
    const done = run(deadline.signal);
    await clock.advance(1_000);
    deadline.abort(new Error('time is up'));
    await done;
    expect(steps.slice(2)).toEqual(['1000 accept no more', '1000 close', '1000 closed']);
  });

  it('says how many exchanges the deadline cut off', async () => {
    const { clock, run } = fixture({ inFlight: 2 });
    const deadline = new AbortController();
    const done = run(deadline.signal);
    await clock.advance(6_000);
    deadline.abort(new Error('time is up'));
    expect(await done).toBe(2);
  });

  it('keeps time to write down how requests ended', () => {
    expect(requestShare(30_000)).toBe(28_000);
    expect(requestShare(1_000)).toBe(800);
    expect(requestShare(0)).toBe(0);
  });
});
