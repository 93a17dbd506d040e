// Measures what a fleet costs its control plane: see README.md beside this file.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { createDatabase } from '@signalbox/test-harness';
import { startPostgres } from 'signalbox/bundled/postgres-process';

import { describeMachine, limitations } from '../src/machine.ts';
import { type ColdStart, measureColdStart } from './cold-start.ts';
import { type CommitRate, measureCommitRate } from './commit-rate.ts';
import { seed, startMeasured } from './control-plane.ts';
import { type FleetCost, measureFleet } from './fleet-run.ts';
import type { FleetAnswer, FleetRequest } from './fleet-process.ts';
import { Forked } from './forked.ts';
import { type FleetOptions, readOptions, usage } from './options.ts';
import { renderResults } from './results.ts';

const options = readOptions(process.argv.slice(2));
if (options === 'help') console.log(usage);
else await run(options);

async function run(chosen: FleetOptions): Promise<void> {
  const started = performance.now();
  const limit = setTimeout(() => {
    console.error(`not done within ${chosen.maxSeconds} s: raise --max-seconds or measure less`);
    process.exit(1);
  }, chosen.maxSeconds * 1_000);
  const folder = mkdtempSync(join(tmpdir(), 'signalbox-bench-fleet-'));
  const postgres = await startPostgres({ dataDir: join(folder, 'postgres'), port: 0, durable: true });
  try {
    const { nodes, writers, commitSeconds, coldStartResources, cpuProfile, tenants, resourcesPerTenant } = chosen;
    const fleets: FleetCost[] = [];
    let commitRate: CommitRate | undefined;
    const databaseUrl = await createDatabase(postgres.url);
    const operatorToken = nodes.length === 0 ? '' : await seeded(databaseUrl, { tenants, resourcesPerTenant });
    for (const [at, size] of nodes.entries()) {
      // A new process for each size: what one has left behind is not the next one's.
      await using plane = await startMeasured({ databaseUrl, operatorToken, cpuProfile });
      await using fleet = new Forked<FleetRequest, FleetAnswer>('fleet-process.ts');
      const cost = await measureFleet(plane, fleet, { nodes: size, options: chosen });
      fleets.push(cost);
      console.log(JSON.stringify(cost));
      if (at > 0 || commitSeconds === 0) continue;
      commitRate = await measureCommitRate({ plane, databaseUrl, writers, seconds: commitSeconds, folder });
      console.log(JSON.stringify(commitRate));
    }
    let coldStart: ColdStart | undefined;
    if (coldStartResources > 0) {
      coldStart = await measureColdStart(postgres.url, coldStartResources, cpuProfile);
      console.log(JSON.stringify(coldStart));
    }
    const seconds = (performance.now() - started) / 1_000;
    const machine = describeMachine();
    const text = renderResults({
      ...{ machine, seconds, limitations: limitations(), options: chosen },
      ...{ fleets, commitRate, coldStart },
    });
    if (chosen.writeResults) writeFileSync(new URL('RESULTS.md', import.meta.url), text);
    console.log(text);
  } finally {
    clearTimeout(limit);
    await postgres.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Rows that are written past the control plane are heard of by the next one that starts. @returns the operator's token. */
async function seeded(databaseUrl: string, size: Parameters<typeof seed>[2]): Promise<string> {
  await using plane = await startMeasured({ databaseUrl });
  await seed(plane, databaseUrl, size);
  return plane.operatorToken;
}
