import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { startPostgres } from 'signalbox/bundled/postgres-process';
import type { TestProject } from 'vitest/node';

import { freePort } from './free-port.ts';

/** One Postgres for the whole run, in a temporary directory that is gone afterwards. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const dataDir = await mkdtemp(join(tmpdir(), 'signalbox-test-postgres-'));
  const postgres = await startPostgres({ dataDir, port: await freePort(), durable: false });
  project.provide('pgUrl', postgres.url);
  return async () => {
    await postgres.stop();
    await rm(dataDir, { recursive: true, force: true });
  };
}
