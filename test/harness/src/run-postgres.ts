import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { startPostgres } from 'signalbox/bundled/postgres-process';

import { freePort } from './free-port.ts';

/** A Postgres for one run. */
export interface RunPostgres {
  /** As superuser. */
  readonly url: string;
  /** Stops it and removes its data. */
  stop(): Promise<void>;
}

/** Starts Postgres in a temporary directory. What it holds does not survive a crash of the machine. */
export async function startRunPostgres(): Promise<RunPostgres> {
  const dataDir = await mkdtemp(join(tmpdir(), 'signalbox-test-postgres-'));
  const postgres = await startPostgres({ dataDir, port: await freePort(), durable: false });
  return {
    url: postgres.url,
    stop: async () => {
      await postgres.stop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}
