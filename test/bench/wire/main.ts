// npm run bench:wire: workers and overload, as ratios. Arguments name parts to run (workers, overload); all of them without
// one, and only then RESULTS.md is written.
import { writeFileSync } from 'node:fs';

import { startJwtIssuer } from '@signalbox/test-harness';

import { describeMachine, limitations } from '../src/machine.ts';
import { startUpstream } from '../src/targets.ts';
import { measureOverload } from './overload.ts';
import { renderWire } from './results.ts';
import { measureWorkers } from './workers.ts';

const chosen = process.argv.slice(2);
const runs = (part: string) => chosen.length === 0 || chosen.includes(part);
const issuer = await startJwtIssuer();
const upstream = await startUpstream();
try {
  const workers = runs('workers') ? await measureWorkers(upstream.url, issuer) : undefined;
  if (workers) console.log(workers);
  const shedding = runs('overload') ? await measureOverload(upstream.url, issuer, true) : undefined;
  if (shedding) console.log('letting in what is served in time', shedding);
  const lettingIn = runs('overload') ? await measureOverload(upstream.url, issuer, false) : undefined;
  if (lettingIn) console.log('letting everybody in', lettingIn);
  const text = renderWire({ machine: describeMachine(), limitations: limitations(), workers, shedding, lettingIn });
  if (chosen.length === 0) writeFileSync(new URL('RESULTS.md', import.meta.url), text);
  else console.log(text);
} finally {
  await upstream.process.stop();
  await issuer.stop();
}
process.exit();
