import { getHeapSpaceStatistics } from 'node:v8';
import { systemClock } from '@signalbox/runtime';
import { describe, expect, it } from 'vitest';
import { heapMarking } from './heap-marking.ts';
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

  it('is left alone while the old generation is marked: marking ends by itself, and then it is its turn again', async () => {
    const young = new YoungGeneration(systemClock);
    const kept: object[] = [];
    let marked = 0;
    while (marked < 2) {
      for (let i = 0; i < 20_000; i += 1) kept.push({ i, text: `${i}` });
      await new Promise((resolve) => setImmediate(resolve));
      if (!heapMarking.isUnderWay) {
        await young.relieve();
        continue;
      }
      marked += 1;
      await young.relieve();
      expect(heapMarking.isUnderWay).toBe(false);
    }
    expect(kept.length).toBeGreaterThan(0);
  });
});
