import postgres from 'postgres';
import type { TestProject, Vitest } from 'vitest/node';

import { type RunPostgres, startRunPostgres } from './run-postgres.ts';

/** By run: its projects share one. */
const servers = new WeakMap<Vitest, Promise<RunPostgres>>();

/** One Postgres for the whole run; its data is gone afterwards. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const starting = servers.get(project.vitest) ?? start();
  servers.set(project.vitest, starting);
  const server = await starting;
  project.provide('pgUrl', server.url);
  return () => server.stop();
}

async function start(): Promise<RunPostgres> {
  const server = await startRunPostgres();
  const sql = postgres(server.url, { max: 1 });
  // A hundred databases that live for seconds would keep the vacuum of them busy all the time.
  await sql`alter system set autovacuum = off`;
  await sql`select pg_reload_conf()`;
  await sql.end();
  return server;
}
