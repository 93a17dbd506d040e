// Runs many seeds, or one with everything that happened in it: see README.md.
import { parseArgs } from 'node:util';

import { runSeed } from './run-seed.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    seeds: { type: 'string', default: '1000' },
    from: { type: 'string', default: '1' },
    stop: { type: 'boolean', default: false },
  },
});

if (values.seed === undefined) await runMany(Number(values.from), Number(values.seeds));
else await showOne(Number(values.seed));

async function runMany(from: number, count: number): Promise<void> {
  const failed: number[] = [];
  for (let seed = from; seed < from + count; seed += 1) {
    const { faults } = await runSeed(seed);
    if (faults.length > 0) {
      failed.push(seed);
      console.log(`seed ${seed}: ${faults[0]}${faults.length > 1 ? ` (and ${faults.length - 1} more)` : ''}`);
      console.log(`  npm run sim -- --seed ${seed}`);
      if (values.stop) break;
    }
    if ((seed - from + 1) % 100 === 0) console.log(`${seed - from + 1} seeds, ${failed.length} failed`);
  }
  console.log(`${count} seeds from ${from}: ${failed.length === 0 ? 'all passed' : `${failed.length} failed`}`);
  process.exit(failed.length === 0 ? 0 : 1);
}

async function showOne(seed: number): Promise<void> {
  const { faults, trace } = await runSeed(seed);
  for (const line of trace) console.log(line);
  console.log(faults.length === 0 ? `seed ${seed}: everything held` : faults.join('\n'));
  process.exit(faults.length === 0 ? 0 : 1);
}
