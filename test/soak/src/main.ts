// Runs mixed traffic for as long as it is told to: see README.md.
import { parseArgs } from 'node:util';

import { soak } from './soak.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '30' },
    seed: { type: 'string', default: '1' },
    clients: { type: 'string', default: '3' },
    restart: { type: 'string', default: '20' },
  },
});
const result = await soak({
  durationMs: Number(values.minutes) * 60_000,
  seed: Number(values.seed),
  clients: Number(values.clients),
  changeMs: 1_000,
  restartMs: Number(values.restart) * 1_000,
  measureMs: 10_000,
  say: (line) => console.log(line),
});
const { tally, changes, restarts, leaked, memory } = result;
const mib = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
console.log('\ndone');
for (const [what, count] of [...tally.done].sort(([a], [b]) => (a < b ? -1 : 1))) console.log(`  ${what}: ${count}`);
console.log('lost, as restarts may have it');
for (const [what, count] of [...tally.lost].sort(([, a], [, b]) => b - a)) console.log(`  ${what}: ${count}`);
console.log(`faults: ${tally.faultCount}`);
for (const fault of tally.faults.slice(0, 20)) console.log(`  ${fault}`);
console.log(`${changes} changes of the configuration, ${restarts} restarts of a node`);
console.log(`left at servers: ${leaked.sessions} sessions, ${leaked.open} streams and questions`);
const { growth, mean, points } = memory;
console.log(`memory over the last two thirds (${points} points): ${mib(mean)} at the mean, ${mib(growth)} growth`);
const isFlat = growth < 0.1 * mean;
const isSound = tally.faultCount === 0 && leaked.sessions === 0 && leaked.open === 0 && isFlat;
console.log(isSound ? 'everything held' : 'NOT everything held');
process.exit(isSound ? 0 : 1);
