import { getHeapSpaceStatistics } from 'node:v8';
import { systemClock } from '@signalbox/runtime';
import { ManualClock } from '@signalbox/runtime/testing';
import { describe, expect, it } from 'vitest';
import { YoungGeneration } from './young-generation.ts';

const youngBytes = () =>
  getHeapSpaceStatistics().find(({ space_name: name }) => name === 'new_space')?.space_used_size ?? Number.NaN;

describe('the young generation', () => {
  it('is collected once a portion has come into being, and not before', async () => {
    const young = new YoungGeneration(systemClock);
    await young.relieve();
    const little = youngBytes();
    await young.relieve();
    expect(youngBytes()).toBeGreaterThanOrEqual(little);
    for (let i = 0; i < 100; i += 1) Array.from({ length: 1_000 }, (_, at) => ({ at, text: `${i} ${at}` }));
    const much = youngBytes();
    await young.relieve();
    expect(youngBytes()).toBeLessThan(much);
  });

  it('leaves no collector in sight', () => {
    expect(new YoungGeneration(systemClock)).toBeDefined();
    expect('gc' in globalThis).toBe(false);
  });

  it('is left alone while the old generation is marked, and the work waits', async () => {
    const clock = new ManualClock();
    const marking = { isUnderWay: true };
    const young = new YoungGeneration(clock, marking);
    for (let i = 0; i < 100; i += 1) Array.from({ length: 1_000 }, (_, at) => ({ at, text: `${i} ${at}` }));
    const much = youngBytes();
    let isDone = false;
    const relieved = young.relieve().then(() => (isDone = true));
    await clock.advance(100);
    expect(isDone).toBe(false);
    marking.isUnderWay = false;
    await clock.advance(2);
    await relieved;
    expect(youngBytes()).toBeGreaterThanOrEqual(much);
  });

  it('keeps the work waiting for half a second at most, however often it asks', async () => {
    const clock = new ManualClock();
    const young = new YoungGeneration(clock, { isUnderWay: true });
    let isDone = false;
    void young.relieve().then(() => (isDone = true));
    await clock.advance(500);
    expect(isDone).toBe(true);
    await young.relieve();
  });
});
