import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';

import type { Clock, Logger } from '@signalbox/runtime';

import { isLockTimeout, type StoreSql, type StoreTransaction } from './database.ts';

/** One numbered file of migrations/. */
export interface Migration {
  readonly number: number;
  readonly name: string;
  readonly sql: string;
  readonly checksum: string;
}

export interface MigrateOptions {
  /** Connected as the owner of the database or as superuser. */
  readonly sql: StoreSql;
  readonly clock: Clock;
  readonly logger: Logger;
  /** How long one attempt may hold up other sessions while it waits for a lock, in milliseconds. */
  readonly lockTimeoutMs: number;
  /** How long to go on trying, in milliseconds. */
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
  const { sql, clock, logger, lockTimeoutMs } = options;
  const migrations = options.migrations ?? (await bundledMigrations());
  const giveUpAt = clock.monotonic() + options.deadlineMs;
  if (pending(await appliedMigrations(sql), migrations).length === 0) return;
  for (;;) {
    try {
      return await applyPending(sql, { migrations, lockTimeoutMs, logger });
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

async function applyPending(
  sql: StoreSql,
  { migrations, lockTimeoutMs, logger }: { migrations: readonly Migration[]; lockTimeoutMs: number; logger: Logger },
): Promise<void> {
  await sql.begin(async (tx) => {
    await tx`select set_config('lock_timeout', ${`${lockTimeoutMs}ms`}, true)`;
    await tx`select pg_advisory_xact_lock(${advisoryLock.toString()}::bigint)`;
    await tx`create schema if not exists signalbox`;
    await tx`create table if not exists signalbox.migration (
      number integer primary key, name text not null, checksum text not null, at timestamptz not null default now())`;
    for (const migration of pending(await appliedMigrations(tx), migrations)) {
      await tx.unsafe(migration.sql);
      await tx`insert into signalbox.migration (number, name, checksum)
        values (${migration.number}, ${migration.name}, ${migration.checksum})`;
      logger.info('migrated', { migration: migration.name });
    }
  });
}

async function appliedMigrations(sql: StoreSql | StoreTransaction): Promise<readonly Applied[]> {
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
