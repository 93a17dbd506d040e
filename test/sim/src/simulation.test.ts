import { describe, expect, it } from 'vitest';

import { runSeed } from './run-seed.ts';

/** More on request: `npm run sim -- --seeds 10000`. */
const seeds = 120;
const perTest = 20;

describe('a fleet in trouble', () => {
  it.each(Array.from({ length: seeds / perTest }, (_, at) => at * perTest + 1))(
    'keeps every rule and ends on the newest revision (20 seeds from %i)',
    async (first) => {
      for (let seed = first; seed < first + perTest; seed += 1) {
        const { faults } = await runSeed(seed);
        expect(faults, `npm run sim -- --seed ${seed}`).toEqual([]);
      }
    },
    60_000,
  );

  it('is the same for the same seed', async () => {
    expect(await runSeed(7)).toEqual(await runSeed(7));
  });
});
