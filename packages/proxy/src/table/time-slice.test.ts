import { describe, expect, it } from 'vitest';
import { TimeSlice } from './time-slice.ts';

function fixture() {
  let time = 0;
  const slice = new TimeSlice({ monotonic: () => time }, 2);
  return { slice, work: (ms: number) => void (time += ms), time: () => time };
}

describe('a time slice', () => {
  it('is spent when its budget has passed', () => {
    const { slice, work } = fixture();
    slice.begin();
    work(1.9);
    expect(slice.spent).toBe(false);
    work(0.1);
    expect(slice.spent).toBe(true);
  });

  it('runs steps to their end and lets others run in between, but only when the budget is spent', async () => {
    const { slice, work, time } = fixture();
    let turns = 0;
    let running = true;
    const count = () => {
      turns += 1;
      if (running) setImmediate(count);
    };
    setImmediate(count);
    slice.begin();
    const result = await slice.run(
      (function* () {
        for (let step = 0; step < 100; step += 1) {
          work(0.5);
          yield;
        }
        return 'done';
      })(),
    );
    running = false;
    expect(result).toBe('done');
    expect(time()).toBe(50);
    expect(turns).toBeGreaterThanOrEqual(24);
    expect(turns).toBeLessThanOrEqual(27);
  });

  it('passes on what a step throws', async () => {
    const { slice } = fixture();
    // oxlint-disable-next-line require-yield
    const steps = (function* (): Generator<void, void, void> {
      throw new Error('broken');
    })();
    await expect(slice.run(steps)).rejects.toThrow('broken');
  });
});
