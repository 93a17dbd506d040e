import type { RoutingTable } from '@signalbox/config';
import { ManualClock, MemoryLogger } from '@signalbox/runtime/testing';
import { describe, expect, it } from 'vitest';
import type { OpenStream } from './open-streams.ts';
import { OpenStreamsRegistry } from './open-streams-registry.ts';

const tableNamed = (hash: string): RoutingTable => ({
  hash,
  operator: null,
  tenants: new Map(),
  match: () => undefined,
});
const [first, second, third] = [tableNamed('first'), tableNamed('second'), tableNamed('third')];

/** Time that passes only while a stream is checked. */
class WorkClock extends ManualClock {
  #worked = 0;

  work(ms: number): void {
    this.#worked += ms;
  }

  override monotonic(): number {
    return super.monotonic() + this.#worked;
  }
}

class Stream implements OpenStream {
  readonly seen: string[] = [];
  readonly #onSwap: () => void;

  constructor(onSwap: () => void = () => undefined) {
    this.#onSwap = onSwap;
  }

  onSwap(previous: RoutingTable, next: RoutingTable): void {
    this.seen.push(`${previous.hash} → ${next.hash}`);
    this.#onSwap();
  }

  onDrain(): void {
    this.seen.push('drain');
  }
}

function fixture(maxStreams = 100_000) {
  const clock = new WorkClock();
  const logger = new MemoryLogger();
  const refusals: string[] = [];
  const onRefused = () => void refusals.push('refused');
  const registry = new OpenStreamsRegistry({ maxStreams, sliceMs: 2, clock, logger, onRefused });
  registry.swapped(first);
  return { clock, logger, refusals, registry };
}

describe('open streams', () => {
  it('each see a swap once, after the swap has returned', async () => {
    const { registry } = fixture();
    const streams = [new Stream(), new Stream()];
    for (const stream of streams) registry.add(stream, first);
    registry.swapped(second);
    expect(streams[0]?.seen).toEqual([]);
    await registry.settled();
    expect(streams.map((stream) => stream.seen)).toEqual([['first → second'], ['first → second']]);
  });

  it('see several quick swaps as one, from the table they saw last', async () => {
    const { registry } = fixture();
    const stream = new Stream();
    registry.add(stream, first);
    registry.swapped(second);
    registry.swapped(third);
    await registry.settled();
    expect(stream.seen).toEqual(['first → third']);
  });

  it('are checked when the table they were admitted under was superseded before they opened', async () => {
    const { registry } = fixture();
    registry.swapped(second);
    await registry.settled();
    const stream = new Stream();
    registry.add(stream, first);
    expect(stream.seen).toEqual([]);
    await registry.settled();
    expect(stream.seen).toEqual(['first → second']);
  });

  it('see nothing once they have ended', async () => {
    const { registry } = fixture();
    const stream = new Stream();
    registry.add(stream, first)?.[Symbol.dispose]();
    registry.swapped(second);
    await registry.settled();
    expect(stream.seen).toEqual([]);
    expect(registry.size).toBe(0);
  });

  it('may end each other while they are checked', async () => {
    const { registry } = fixture();
    const open: (Disposable | undefined)[] = [];
    const [one, other] = [new Stream(() => open[1]?.[Symbol.dispose]()), new Stream(() => open[0]?.[Symbol.dispose]())];
    open.push(registry.add(one, first), registry.add(other, first));
    registry.swapped(second);
    await registry.settled();
    expect([...one.seen, ...other.seen]).toEqual(['first → second']);
    expect(registry.size).toBe(1);
  });

  it('are refused beyond the bound, and admitted again when one ends', () => {
    const { registry, refusals } = fixture(2);
    const one = registry.add(new Stream(), first);
    expect(registry.add(new Stream(), first)).toBeDefined();
    expect(registry.add(new Stream(), first)).toBeUndefined();
    expect(refusals).toEqual(['refused']);
    one?.[Symbol.dispose]();
    one?.[Symbol.dispose]();
    expect(registry.size).toBe(1);
    expect(registry.add(new Stream(), first)).toBeDefined();
  });

  it('do not keep others from their check when one fails', async () => {
    const { registry, logger } = fixture();
    registry.add(
      new Stream(() => {
        throw new Error('broken');
      }),
      first,
    );
    const sound = new Stream();
    registry.add(sound, first);
    registry.swapped(second);
    await registry.settled();
    expect(sound.seen).toEqual(['first → second']);
    expect(logger.lines.map((line) => line.level)).toEqual(['error']);
  });

  it('are checked in slices: 20,000 of them never hold the loop for much longer than the budget', async () => {
    const { clock, registry } = fixture();
    let sliceStart = clock.monotonic();
    let longest = 0;
    const stream = () =>
      new Stream(() => {
        clock.work(0.05);
        longest = Math.max(longest, clock.monotonic() - sliceStart);
      });
    const streams = Array.from({ length: 20_000 }, stream);
    for (const each of streams) registry.add(each, first);
    let running = true;
    const newSlice = () => {
      sliceStart = clock.monotonic();
      if (running) setImmediate(newSlice);
    };
    setImmediate(newSlice);
    registry.swapped(second);
    await registry.settled();
    running = false;
    expect(longest).toBeLessThan(2.2);
    expect(clock.monotonic() - new ManualClock().monotonic()).toBeLessThan(2_000);
    expect(streams.every((each) => each.seen.length === 1)).toBe(true);
  });

  it('that wait longest come first when swaps are quicker than the checks', async () => {
    const { clock, registry } = fixture();
    const streams = Array.from({ length: 30 }, () => new Stream(() => clock.work(1)));
    for (const each of streams) registry.add(each, first);
    for (let swap = 0; swap < 15; swap += 1) {
      registry.swapped(tableNamed(`swap ${swap}`));
      await new Promise((resolve) => setImmediate(resolve));
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(streams.every((each) => each.seen.length >= 1)).toBe(true);
    await registry.settled();
    expect(streams.every((each) => each.seen.at(-1)?.endsWith('swap 14'))).toBe(true);
  });
});

describe('a drain', () => {
  it('tells every stream, spread over the window', async () => {
    const { clock, registry } = fixture();
    const streams = Array.from({ length: 100 }, () => new Stream());
    for (const each of streams) registry.add(each, first);
    const told = () => streams.filter((each) => each.seen.includes('drain')).length;
    const done = registry.drain(1_000, new AbortController().signal);
    const early = told();
    await clock.advance(500);
    const halfway = told();
    await clock.advance(600);
    await done;
    expect(early).toBeLessThan(10);
    expect(halfway).toBeGreaterThan(30);
    expect(halfway).toBeLessThan(70);
    expect(told()).toBe(100);
    expect(streams.every((each) => each.seen.length === 1)).toBe(true);
  });

  it('tells the rest at once when time is up', async () => {
    const { registry } = fixture();
    const streams = Array.from({ length: 100 }, () => new Stream());
    for (const each of streams) registry.add(each, first);
    const deadline = new AbortController();
    const done = registry.drain(60_000, deadline.signal);
    deadline.abort(new Error('up'));
    await done;
    expect(streams.every((each) => each.seen.includes('drain'))).toBe(true);
  });
});
