// Measures what a fleet costs its control plane: see README.md beside this file.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { createDatabase } from '@signalbox/test-harness';
import { startPostgres } from 'signalbox/bundled/postgres-process';

import { describeMachine, limitations } from '../src/machine.ts';
import { measureColdStart } from './cold-start.ts';
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

interface Place {
  readonly databaseUrl: string;
  readonly operatorToken: string;
  readonly folder: string;
}

async function run(chosen: FleetOptions): Promise<void> {
  const started = performance.now();
  const notes = limitations();
  const folder = mkdtempSync(join(tmpdir(), 'signalbox-bench-fleet-'));
  const postgres = await startPostgres({ dataDir: join(folder, 'postgres'), port: 0, durable: true });
  const clean = async () => {
    await postgres.stop();
    rmSync(folder, { recursive: true, force: true });
  };
  const giveUp = (reason: string) => {
    console.error(reason);
    void clean().finally(() => process.exit(1));
  };
  const limit = setTimeout(
    () => giveUp(`not done within ${chosen.maxSeconds} s: raise --max-seconds or measure less`),
    chosen.maxSeconds * 1_000,
  );
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => giveUp(`ended by ${signal}`));
  /** One part of the run. A part that fails is said to, and does not take the others with it. */
  const part = async <T>(name: string, measure: () => Promise<T>): Promise<T | undefined> => {
    try {
      const measured = await measure();
      console.log(`${name}: ${JSON.stringify(measured)}`);
      return measured;
    } catch (error) {
      console.error(`${name}: not measured`, error);
      notes.push(`${name} could not be measured: ${String(error)}`);
      return undefined;
    }
  };
  try {
    const { nodes, commitSeconds, coldStartResources, tenants, resourcesPerTenant } = chosen;
    const fleets: FleetCost[] = [];
    const databaseUrl = await createDatabase(postgres.url);
    const isSeeded = nodes.length > 0 || commitSeconds > 0;
    const operatorToken = isSeeded ? await seeded(databaseUrl, { tenants, resourcesPerTenant }) : '';
    const place = { databaseUrl, operatorToken, folder };
    for (const size of nodes) {
      const cost = await part(`${size} nodes`, () => fleetOf(size, place, chosen));
      if (cost) fleets.push(cost);
    }
    const commitRate = commitSeconds === 0 ? undefined : await part('commits', () => commitRateOf(place, chosen));
    const coldStart =
      coldStartResources === 0
        ? undefined
        : await part('cold start', () => measureColdStart(postgres.url, coldStartResources, chosen.cpuProfile));
    const seconds = (performance.now() - started) / 1_000;
    const machine = describeMachine();
    const text = renderResults({
      ...{ machine, seconds, limitations: notes, options: chosen },
      ...{ fleets, commitRate, coldStart },
    });
    if (chosen.writeResults) writeFileSync(new URL('RESULTS.md', import.meta.url), text);
    console.log(text);
  } finally {
    clearTimeout(limit);
    await clean();
  }
}

/** A new process for each size: what one has left behind is not the next one's. */
async function fleetOf(
  nodes: number,
  { databaseUrl, operatorToken }: Place,
  options: FleetOptions,
): Promise<FleetCost> {
  await using plane = await startMeasured({ databaseUrl, operatorToken, cpuProfile: options.cpuProfile });
  await using fleet = new Forked<FleetRequest, FleetAnswer>('fleet-process.ts');
  return await measureFleet(plane, fleet, { nodes, options });
}

async function commitRateOf({ databaseUrl, operatorToken, folder }: Place, options: FleetOptions): Promise<CommitRate> {
  await using plane = await startMeasured({ databaseUrl, operatorToken, cpuProfile: options.cpuProfile });
  return await measureCommitRate({
    plane,
    databaseUrl,
    writers: options.writers,
    seconds: options.commitSeconds,
    folder,
  });
}

/** Rows that are written past the control plane are heard of by the next one that starts. @returns the operator's token. */
async function seeded(databaseUrl: string, size: Parameters<typeof seed>[2]): Promise<string> {
  await using plane = await startMeasured({ databaseUrl });
  await seed(plane, databaseUrl, size);
  return plane.operatorToken;
}
