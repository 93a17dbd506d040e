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
  /** A revision of it is being rolled out, or may be. */
  readonly mayRollOut: boolean;
}

interface StoredScopeRow {
  readonly revision: bigint;
  readonly firstRevision: bigint;
  readonly at: string | null;
  readonly rollsOut: boolean;
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
    from signalbox.revision r where r.tenant = t.name and r.revision = t.revision) as at,
    exists (select from signalbox.rollout o where o.tenant = t.name and o.ended_at is null) as "rollsOut"`;
}

function toScopeRow({ revision, firstRevision, at, rollsOut }: StoredScopeRow): ScopeRow {
  if (at === null) return { revision, firstRevision, version: undefined, mayRollOut: true };
  return { revision, firstRevision, version: versionOf(revision, at), mayRollOut: rollsOut };
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

/**
 * Newest snapshots of all tenants that have resources, by name; behind that of a tenant with a rollout under way the one
 * that most of its nodes have. Call in the operator's scope; returns to it.
 */
export async function* readTenantSnapshots(tx: ScopedTransaction): AsyncGenerator<Snapshot> {
  await tx.enter(operatorScope);
  const rows = await tx.sql<{ name: string; revision: bigint; base: bigint | null; resourceCount: number }[]>`
    select t.name, t.revision, t.resource_count as "resourceCount", r.base
    from signalbox.tenant t left join signalbox.rollout r on r.tenant = t.name and r.ended_at is null
    where t.name <> ${operatorScope} and t.deleted_at is null and (t.resource_count > 0 or r.base is not null)
    order by t.name`;
  try {
    for (const { name, revision, base, resourceCount } of rows) {
      if (resourceCount > 0) yield await readSnapshot(tx, name, revision);
      const others = base === null ? undefined : await readSnapshotAt(tx, name, base);
      if (others) yield others;
    }
  } finally {
    await tx.enter(operatorScope);
  }
}

function currentResources(sql: StoreSql, scope: string): Promise<readonly ResourceRow[]> {
  return sql<ResourceRow[]>`select kind, name, digest, body from signalbox.resource
    where tenant = ${scope} and not deleted`;
}
