import { describe, expect, it } from 'vitest';
import { Lifecycle, type Part } from './lifecycle.ts';
import { ManualClock, MemoryLogger } from './testing/index.ts';

describe('Lifecycle', () => {
  it('starts in order and stops in reverse', async () => {
    const calls: string[] = [];
    const part = (name: string): Part => ({
      name,
      start: () => void calls.push(`start ${name}`),
      stop: () => void calls.push(`stop ${name}`),
    });
    const lifecycle = new Lifecycle([part('a'), part('b')], new ManualClock(), new MemoryLogger());
    await lifecycle.start();
    expect(await lifecycle.stop(1_000)).toBe(true);
    expect(calls).toEqual(['start a', 'start b', 'stop b', 'stop a']);
  });

  it('stops what had started when a later part fails, and throws the failure', async () => {
    const calls: string[] = [];
    const parts: Part[] = [
      { name: 'a', stop: () => void calls.push('stop a') },
      { name: 'b', start: () => Promise.reject(new Error('no port')), stop: () => void calls.push('stop b') },
    ];
    const lifecycle = new Lifecycle(parts, new ManualClock(), new MemoryLogger());
    await expect(lifecycle.start()).rejects.toThrow('no port');
    expect(calls).toEqual(['stop a']);
  });

  it('names the part that is still running at the deadline', async () => {
    const clock = new ManualClock();
    const logger = new MemoryLogger();
    const parts: Part[] = [{ name: 'stuck', stop: () => new Promise(() => {}) }];
    const lifecycle = new Lifecycle(parts, clock, logger);
    await lifecycle.start();
    const stopped = lifecycle.stop(500);
    await clock.advance(500);
    expect(await stopped).toBe(false);
    expect(logger.lines).toContainEqual({
      level: 'error',
      message: 'still running at the drain deadline',
      fields: { part: 'stuck' },
    });
  });
});
