import { ManualClock, MemoryLogger } from '@signalbox/runtime/testing';
import { describe, expect, it, vi } from 'vitest';
import { Stack } from './stack.ts';

function record() {
  const events: string[] = [];
  const part = (name: string, start: () => Promise<string> = () => Promise.resolve(name)) => ({
    name,
    start,
    stop: () => {
      events.push(`stop ${name}`);
      return Promise.resolve();
    },
  });
  return { events, part, stack: new Stack(new ManualClock(), new MemoryLogger()) };
}

describe('Stack', () => {
  it('stops in the reverse order of addition', async () => {
    const { events, part, stack } = record();
    await Promise.all([stack.add(part('database')), stack.add(part('api')), stack.add(part('proxy'))]);
    expect(await stack.stop(1_000)).toBe(true);
    expect(events).toEqual(['stop proxy', 'stop api', 'stop database']);
  });

  it('leaves out what did not start', async () => {
    const { events, part, stack } = record();
    await stack.add(part('database'));
    await expect(stack.add(part('api', () => Promise.reject(new Error('no'))))).rejects.toThrow('no');
    await stack.stop(1_000);
    expect(events).toEqual(['stop database']);
  });

  it('waits for what still starts and stops it then', async () => {
    const { events, part, stack } = record();
    const starting = Promise.withResolvers<string>();
    void stack.add(part('database', () => starting.promise));
    const stopped = stack.stop(1_000);
    starting.resolve('up');
    await stopped;
    expect(events).toEqual(['stop database']);
  });

  it('stops the rest when a part cannot stop', async () => {
    const { events, part, stack } = record();
    await stack.add(part('database'));
    await stack.add({ ...part('proxy'), stop: () => Promise.reject(new Error('stuck')) });
    await stack.stop(1_000);
    expect(events).toEqual(['stop database']);
  });

  it('stops once, however often it is told to', async () => {
    const { events, part, stack } = record();
    await stack.add(part('database'));
    await Promise.all([stack.stop(1_000), stack.stop(1_000)]);
    expect(events).toEqual(['stop database']);
  });

  it('tells a part that the deadline passed', async () => {
    const clock = new ManualClock();
    const stack = new Stack(clock, new MemoryLogger());
    const told: boolean[] = [];
    await stack.add({
      name: 'slow',
      start: () => Promise.resolve('up'),
      stop: async (_running, deadline) => {
        await clock.advance(1_000);
        told.push(deadline.aborted);
      },
    });
    expect(await stack.stop(1_000)).toBe(false);
    await vi.waitFor(() => expect(told).toEqual([true]));
  });

  it('does not wait for a part that never ends, and names it', async () => {
    const clock = new ManualClock();
    const logger = new MemoryLogger();
    const stack = new Stack(clock, logger);
    const { events, part } = record();
    await stack.add(part('database'));
    await stack.add({ ...part('stuck'), stop: () => new Promise<void>(() => undefined) });
    const stopped = stack.stop(1_000);
    await clock.advance(1_000);
    expect(await stopped).toBe(false);
    expect(logger.lines.find(({ message }) => message.startsWith('still running'))?.fields).toEqual({ part: 'stuck' });
    expect(events).toEqual(['stop database']);
  });
});
