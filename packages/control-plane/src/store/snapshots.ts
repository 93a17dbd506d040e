import { operatorScope, type Snapshot } from '@signalbox/config';

import type { StoreSql } from './connection.ts';
import type { ScopedTransaction } from './database.ts';
import { type ResourceRow, toSnapshot } from './rows.ts';

/** The row of a scope that exists. */
export interface ScopeRow {
  readonly revision: bigint;
  readonly firstRevision: bigint;
  /** Tells contents apart: the newest revision's number and time; undefined if the time is not known. */
  readonly version: string | undefined;
}

interface StoredScopeRow {
  readonly revision: bigint;
  readonly firstRevision: bigint;
  readonly at: string | null;
}

/** The scope's row; undefined if it does not exist (any more). Enters the scope. */
export async function readScope(tx: ScopedTransaction, scope: string): Promise<ScopeRow | undefined> {
  await tx.enter(scope);
  const [row] = await tx.sql<StoredScopeRow[]>`select ${scopeColumns(tx)} from signalbox.tenant t
    where name = ${scope} and deleted_at is null`;
  return row && toScopeRow(row);
}

/** As {@link readScope}, and no other transaction changes the scope before this one ends. */
export async function lockScope(tx: ScopedTransaction, scope: string): Promise<ScopeRow | undefined> {
  await tx.enter(scope);
  const [row] = await tx.sql<StoredScopeRow[]>`select ${scopeColumns(tx)} from signalbox.tenant t
    where name = ${scope} and deleted_at is null for update of t`;
  return row && toScopeRow(row);
}

/** The time is null when the lock was waited for: the statement cannot see a revision that is younger than itself. */
function scopeColumns({ sql }: ScopedTransaction) {
  return sql`t.revision, t.first_revision as "firstRevision", (select extract(epoch from r.at)::text
    from signalbox.revision r where r.tenant = t.name and r.revision = t.revision) as at`;
}

function toScopeRow({ revision, firstRevision, at }: StoredScopeRow): ScopeRow {
  return { revision, firstRevision, version: at === null ? undefined : versionOf(revision, at) };
}

/** @param at seconds since the epoch, as the database writes them. */
export function versionOf(revision: bigint, at: string): string {
  return `${revision} ${at}`;
}

/** The scope's resources, which are at `revision`. Enters the scope. */
export async function readSnapshot(tx: ScopedTransaction, scope: string, revision: bigint): Promise<Snapshot> {
  await tx.enter(scope);
  return toSnapshot(scope, revision, await currentResources(tx.sql, scope));
}

/** The scope as it was: of every resource the newest change up to `revision`. Enters the scope. */
export async function readSnapshotAt(
  tx: ScopedTransaction,
  scope: string,
  revision: bigint,
): Promise<Snapshot | undefined> {
  const row = await readScope(tx, scope);
  if (!row || revision > row.revision || revision < row.firstRevision) return undefined;
  const rows = await tx.sql<ResourceRow[]>`select kind, name, digest, body from (
      select distinct on (kind, name) kind, name, digest, body from signalbox.change_log
      where tenant = ${scope} and revision <= ${revision} and revision > ${row.firstRevision}
      order by kind, name, revision desc) newest
    where digest is not null`;
  return toSnapshot(scope, revision, rows);
}

/** Newest snapshots of all tenants that have resources, by name. Call in the operator's scope; returns to it. */
export async function* readTenantSnapshots(tx: ScopedTransaction): AsyncGenerator<Snapshot> {
  await tx.enter(operatorScope);
  const rows = await tx.sql<{ name: string; revision: bigint }[]>`select name, revision from signalbox.tenant
    where name <> ${operatorScope} and deleted_at is null and resource_count > 0 order by name`;
  try {
    for (const { name, revision } of rows) yield await readSnapshot(tx, name, revision);
  } finally {
    await tx.enter(operatorScope);
  }
}

function currentResources(sql: StoreSql, scope: string): Promise<readonly ResourceRow[]> {
  return sql<ResourceRow[]>`select kind, name, digest, body from signalbox.resource
    where tenant = ${scope} and not deleted`;
}
