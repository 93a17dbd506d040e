import type { TestProject } from 'vitest/node';

import { startRunPostgres } from './run-postgres.ts';

/** One Postgres for the whole run; its data is gone afterwards. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const postgres = await startRunPostgres();
  project.provide('pgUrl', postgres.url);
  return () => postgres.stop();
}
