import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';

import type { Clock, Logger } from '@signalbox/runtime';

import { Connection, type StoreSql } from './connection.ts';
import { isLockTimeout } from './database-error.ts';

/** One numbered file of migrations/. */
export interface Migration {
  readonly number: number;
  readonly name: string;
  readonly sql: string;
  readonly checksum: string;
}

export interface MigrateOptions {
  /** For the owner of the database, who may create roles, or a superuser. */
  readonly url: string;
  readonly connectTimeoutMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
  /** How long one attempt may hold up other sessions while it waits for a lock, in milliseconds. */
  readonly lockTimeoutMs: number;
  /** How long to go on trying, and longest time of the migrations themselves, in milliseconds. */
  readonly deadlineMs: number;
  /** Default: the files beside this module. */
  readonly migrations?: readonly Migration[];
}

/** Any constant: it names the lock that only one migrating process holds. */
const advisoryLock = 7_316_180_211_034n;
const retryAfterMs = 500;

/**
 * Brings the database to this version's schema, in one transaction under an advisory lock. An up-to-date database is
 * only read.
 * @throws Error if the database is newer than this program, if an applied file has changed, or if locks could not be
 * had before the deadline.
 */
export async function migrate(options: MigrateOptions): Promise<void> {
  const migrations = options.migrations ?? (await bundledMigrations());
  const snapshot = { mode: 'isolation level repeatable read read only', settings: {} } as const;
  const connection = new Connection({ ...options, transactionTimeoutMs: Math.max(options.deadlineMs, 60_000) });
  try {
    const applied = await connection.transaction(snapshot, ({ sql }) => appliedMigrations(sql));
    if (pending(applied, migrations).length > 0) await applyInTime(connection, migrations, options);
  } finally {
    await connection.close();
  }
}

async function applyInTime(
  connection: Connection,
  migrations: readonly Migration[],
  { clock, logger, deadlineMs, lockTimeoutMs }: MigrateOptions,
): Promise<void> {
  const giveUpAt = clock.monotonic() + deadlineMs;
  for (;;) {
    try {
      const names = await applyPending(connection, migrations, lockTimeoutMs);
      for (const migration of names) logger.info('migrated', { migration });
      return;
    } catch (error) {
      if (!isLockTimeout(error) || clock.monotonic() >= giveUpAt) throw error;
      logger.warn('migration waits for a lock that another session holds', { retryAfterMs });
      await clock.sleep(retryAfterMs);
    }
  }
}

interface Applied {
  readonly number: number;
  readonly name: string;
  readonly checksum: string;
}

/** Migrations that have to run, in order; judges what has run before. */
export function pending(applied: readonly Applied[], known: readonly Migration[]): readonly Migration[] {
  const newest = known.at(-1)?.number ?? 0;
  const foreign = applied.find((one) => one.number > newest);
  if (foreign) {
    throw new Error(
      `the database was migrated by a newer Signalbox (${foreign.name}, newest known here is ${newest}): start that version`,
    );
  }
  const byNumber = new Map(applied.map((one) => [one.number, one]));
  for (const migration of known) {
    const before = byNumber.get(migration.number);
    if (before && before.checksum !== migration.checksum) {
      throw new Error(`migration ${migration.name} has changed since it was applied: restore the file, add a new one`);
    }
  }
  return known.filter((migration) => !byNumber.has(migration.number));
}

/** @returns names of the migrations that ran. */
function applyPending(
  connection: Connection,
  migrations: readonly Migration[],
  lockTimeoutMs: number,
): Promise<readonly string[]> {
  return connection.transaction({ mode: 'isolation level read committed', settings: {} }, async ({ sql }) => {
    await sql`select set_config('lock_timeout', ${`${lockTimeoutMs}ms`}, true)`;
    await sql`select pg_advisory_xact_lock(${advisoryLock})`;
    await sql`create schema if not exists signalbox`;
    await sql`create table if not exists signalbox.migration (
      number integer primary key, name text not null, checksum text not null, at timestamptz not null default now())`;
    const missing = pending(await appliedMigrations(sql), migrations);
    for (const migration of missing) {
      await sql.unsafe(migration.sql);
      await sql`insert into signalbox.migration (number, name, checksum)
        values (${migration.number}, ${migration.name}, ${migration.checksum})`;
    }
    return missing.map(({ name }) => name);
  });
}

async function appliedMigrations(sql: StoreSql): Promise<readonly Applied[]> {
  const [table] = await sql<{ exists: boolean }[]>`select to_regclass('signalbox.migration') is not null as exists`;
  if (!table?.exists) return [];
  return sql<Applied[]>`select number, name, checksum from signalbox.migration order by number`;
}

async function bundledMigrations(): Promise<readonly Migration[]> {
  const folder = new URL('migrations/', import.meta.url);
  const names = (await readdir(folder)).filter((name) => /^\d{4}-[a-z0-9-]+\.sql$/.test(name)).sort();
  return Promise.all(names.map(async (name) => migrationOf(name, await readFile(new URL(name, folder), 'utf8'))));
}

/** A migration from a file's name, `NNNN-name.sql`, and text. */
export function migrationOf(fileName: string, sql: string): Migration {
  const checksum = createHash('sha256').update(sql).digest('hex');
  return { number: Number(fileName.slice(0, 4)), name: fileName.replace(/\.sql$/, ''), sql, checksum };
}
