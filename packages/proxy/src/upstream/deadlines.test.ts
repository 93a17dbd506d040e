import { ManualClock } from '@signalbox/runtime/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Deadlines, disarmed, type Expiring } from './deadlines.ts';

class Item implements Expiring {
  deadlineTick = disarmed;
  deadlinePrevious: Expiring | undefined = undefined;
  deadlineNext: Expiring | undefined = undefined;
  readonly name: string;
  readonly #onDeadline: (item: Item) => void;

  constructor(name: string, onDeadline: (item: Item) => void) {
    this.name = name;
    this.#onDeadline = onDeadline;
  }

  onDeadline(): void {
    this.#onDeadline(this);
  }
}

function setUp() {
  const clock = new ManualClock();
  const fired: [string, number][] = [];
  const begin = clock.monotonic();
  const item = (name: string) => new Item(name, () => void fired.push([name, clock.monotonic() - begin]));
  return { clock, deadlines: new Deadlines(clock, 50), fired, item };
}

describe('deadlines', () => {
  it('are met at most two ticks late and never early', async () => {
    const times = fc.array(fc.integer({ min: 0, max: 120_000 }), { minLength: 1, maxLength: 30 });
    await fc.assert(
      fc.asyncProperty(times, async (delays) => {
        const { clock, deadlines, fired, item } = setUp();
        delays.forEach((delay, i) => deadlines.arm(item(String(i)), delay));
        await clock.advance(121_000);
        expect(fired).toHaveLength(delays.length);
        for (const [name, at] of fired) {
          const late = at - (delays[Number(name)] as number);
          expect(late >= 0 && late <= 100).toBe(true);
        }
      }),
      { numRuns: 5 },
    );
  });

  it('do not fire once disarmed, and fire at the last time set', async () => {
    const { clock, deadlines, fired, item } = setUp();
    const [a, b, c] = [item('a'), item('b'), item('c')];
    for (const each of [a, b, c]) deadlines.arm(each, 100);
    deadlines.disarm(b);
    deadlines.disarm(b);
    deadlines.arm(c, 1_000);
    await clock.advance(500);
    expect(fired.map(([name]) => name)).toEqual(['a']);
    await clock.advance(700);
    expect(fired.map(([name]) => name)).toEqual(['a', 'c']);
  });

  it('may disarm and arm one another when they fire', async () => {
    const { clock, deadlines, fired } = setUp();
    const other: Item = new Item('other', () => void fired.push(['other', 0]));
    const first: Item = new Item('first', () => {
      fired.push(['first', 0]);
      deadlines.disarm(other);
      if (fired.length < 3) deadlines.arm(first, 10);
    });
    deadlines.arm(other, 10);
    deadlines.arm(first, 10);
    await clock.advance(2_000);
    expect(fired.map(([name]) => name)).toEqual(['first', 'first', 'first']);
  });

  it('are all met after the loop stood still for longer than the wheel turns', async () => {
    let now = 0;
    let tick: () => void = () => undefined;
    const stopped = { [Symbol.dispose]: () => undefined };
    const clock = Object.assign(new ManualClock(), {
      monotonic: () => now,
      interval: (_: number, callback: () => void) => {
        tick = callback;
        return stopped;
      },
    });
    const deadlines = new Deadlines(clock, 50);
    const fired: string[] = [];
    for (let i = 0; i < 100; i += 1) deadlines.arm(new Item(String(i), ({ name }) => void fired.push(name)), i * 700);
    now = 3_600_000;
    tick();
    expect(fired).toHaveLength(100);
  });

  it('keep no timer while nothing is armed', async () => {
    const { clock, deadlines, item } = setUp();
    expect(clock.pending).toBe(0);
    deadlines.arm(item('a'), 10);
    const b = item('b');
    deadlines.arm(b, 10_000);
    expect([clock.pending, deadlines.armed]).toEqual([1, 2]);
    deadlines.disarm(b);
    await clock.advance(200);
    expect([clock.pending, deadlines.armed]).toEqual([0, 0]);
  });
});
