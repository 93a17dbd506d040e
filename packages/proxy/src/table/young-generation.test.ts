import { getHeapSpaceStatistics } from 'node:v8';
import { describe, expect, it } from 'vitest';
import { YoungGeneration } from './young-generation.ts';

const youngBytes = () =>
  getHeapSpaceStatistics().find(({ space_name: name }) => name === 'new_space')?.space_used_size ?? Number.NaN;

describe('the young generation', () => {
  it('is collected once a portion has come into being, and not before', () => {
    const young = new YoungGeneration();
    young.relieve();
    expect(young.relieve()).toBe(false);
    const kept = Array.from({ length: 100_000 }, (_, i) => ({ i, text: `${i}` }));
    expect(young.relieve()).toBe(true);
    expect(young.relieve()).toBe(false);
    expect(kept).toHaveLength(100_000);
  });

  it('is empty of garbage afterwards', () => {
    const young = new YoungGeneration();
    young.relieve();
    for (let i = 0; i < 100; i += 1) Array.from({ length: 1_000 }, (_, at) => ({ at, text: `${i} ${at}` }));
    const before = youngBytes();
    young.relieve();
    expect(youngBytes()).toBeLessThan(before);
  });

  it('leaves no collector in sight', () => {
    expect(new YoungGeneration()).toBeDefined();
    expect('gc' in globalThis).toBe(false);
  });
});
