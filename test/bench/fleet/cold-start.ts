import { createDatabase } from '@signalbox/test-harness';

import { cpuUs, residentBytes } from '../src/process-cost.ts';
import { seed, startMeasured } from './control-plane.ts';

/** What it takes until a replica with nothing in memory serves. */
export interface ColdStart {
  readonly resources: number;
  /** From the start of the process. */
  readonly milliseconds: number;
  /** The same with hardly anything to read. */
  readonly emptyMs: number;
  /** Processor time until then, Postgres not included. */
  readonly cpuMs: number;
  readonly residentBytes: number;
}

const resourcesPerTenant = 20;

export async function measureColdStart(pgUrl: string, resources: number, cpuProfile?: string): Promise<ColdStart> {
  const databaseUrl = await createDatabase(pgUrl);
  const tenants = Math.ceil(resources / resourcesPerTenant);
  let operatorToken: string;
  let emptyMs: number;
  {
    await using first = await startMeasured({ databaseUrl });
    operatorToken = first.operatorToken;
  }
  {
    await using empty = await startMeasured({ databaseUrl, operatorToken });
    emptyMs = empty.startedInMs;
    await seed(empty, databaseUrl, { tenants, resourcesPerTenant });
  }
  await using replica = await startMeasured({ databaseUrl, operatorToken, cpuProfile });
  const { startedInMs: milliseconds, pid } = replica;
  const cpuMs = cpuUs(pid) / 1_000;
  return { resources: tenants * resourcesPerTenant, milliseconds, emptyMs, cpuMs, residentBytes: residentBytes(pid) };
}
