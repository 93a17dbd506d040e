import { randomUUID } from 'node:crypto';

import { migrate } from '@signalbox/control-plane/testing';
import { jsonLogger, systemClock } from '@signalbox/runtime';
import postgres from 'postgres';

declare module 'vitest' {
  export interface ProvidedContext {
    /** The run's Postgres, as superuser. Tests never use its own database: see {@link createDatabase}. */
    pgUrl: string;
  }
}

/**
 * Creates an empty database for one test file.
 * @param pgUrl the run's Postgres: `inject('pgUrl')`.
 * @returns the URL of the new database, as superuser. It goes away with the run's Postgres.
 */
export async function createDatabase(pgUrl: string): Promise<string> {
  return asSuperuser(pgUrl, (sql) => create(sql, pgUrl));
}

/** {@link createDatabase} with the newest schema: a copy of one that was migrated once. */
export async function createMigratedDatabase(pgUrl: string): Promise<string> {
  return asSuperuser(pgUrl, async (sql) => {
    await sql`select pg_advisory_lock(${templateLock})`;
    const [present] = await sql`select 1 from pg_database where datname = ${template}`;
    if (!present) await makeTemplate(sql, pgUrl);
    await sql`select pg_advisory_unlock(${templateLock})`;
    return create(sql, pgUrl, `template ${template} strategy file_copy`);
  });
}

const template = 'migrated';
/** Any constant: it names the lock that one worker holds while it makes the template. */
const templateLock = 5_291_004;

/** In a database of another name first: one that fails half-way is never copied. */
async function makeTemplate(sql: postgres.Sql, pgUrl: string): Promise<void> {
  const url = await create(sql, pgUrl);
  const parts = { clock: systemClock, logger: jsonLogger('silent') };
  await migrate({ ...parts, url, connectTimeoutMs: 10_000, lockTimeoutMs: 10_000, deadlineMs: 30_000 });
  const name = new URL(url).pathname.slice(1);
  await sql.unsafe(`alter database ${name} rename to ${template}`);
  await sql.unsafe(`alter database ${template} allow_connections false`);
}

async function create(sql: postgres.Sql, pgUrl: string, how = ''): Promise<string> {
  const name = `test_${randomUUID().replaceAll('-', '')}`;
  await sql.unsafe(`create database ${name} ${how}`);
  const url = new URL(pgUrl);
  url.pathname = `/${name}`;
  return url.href;
}

async function asSuperuser<T>(pgUrl: string, act: (sql: postgres.Sql) => Promise<T>): Promise<T> {
  const sql = postgres(pgUrl, { max: 1, onnotice: () => undefined });
  try {
    return await act(sql);
  } finally {
    await sql.end();
  }
}
