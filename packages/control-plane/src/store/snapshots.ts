import { operatorScope, type Snapshot } from '@signalbox/config';

import type { StoreSql } from './connection.ts';
import type { ScopedTransaction } from './database.ts';
import { type ResourceRow, toSnapshot } from './rows.ts';
import type { RecordedRequest } from './write-requests.ts';

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
  readonly seen?: bigint;
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
  const [row] = await tx.sql<StoredScopeRow[]>`select ${scopeColumns(tx)}, ${seenRevision(tx, scope)}
    from signalbox.tenant t where name = ${scope} and deleted_at is null for update of t`;
  return row && toScopeRow(row);
}

/** A scope that is locked for a write. */
export interface LockedScope {
  readonly row: ScopeRow;
  /** What the request did before, as far as the statement saw that locked the row. */
  readonly earlier: RecordedRequest | undefined;
  /** The lock was waited for, and the one who had it has written a revision: the statement did not see what else he did. */
  readonly isOverdue: boolean;
}

/** As {@link lockScope}, with what a request did that may have been made before: one statement for both. */
export async function lockForRequest(
  tx: ScopedTransaction,
  scope: string,
  requestId: string,
): Promise<LockedScope | undefined> {
  await tx.enter(scope);
  const [row] = await tx.sql<
    (StoredScopeRow & RequestColumns)[]
  >`select ${scopeColumns(tx)}, ${seenRevision(tx, scope)},
      q.fingerprint, q.revision as "requestRevision", q.committed
    from signalbox.tenant t left join signalbox.write_request q on q.tenant = ${scope} and q.id = ${requestId}::uuid
    where t.name = ${scope} and t.deleted_at is null for update of t`;
  if (!row) return undefined;
  const { fingerprint, requestRevision: revision, committed } = row;
  const earlier = fingerprint === null ? undefined : { fingerprint, revision, committed };
  return { row: toScopeRow(row), earlier, isOverdue: row.seen !== row.revision };
}

interface RequestColumns {
  readonly fingerprint: string | null;
  readonly requestRevision: bigint;
  readonly committed: boolean;
}

function scopeColumns({ sql }: ScopedTransaction) {
  return sql`t.revision, t.first_revision as "firstRevision", extract(epoch from t.revised_at)::text as at,
    exists (select from signalbox.rollout o where o.tenant = t.name and o.ended_at is null) as "rollsOut"`;
}

/**
 * The revision as the statement's snapshot has it. When the row's lock was waited for, the row itself is newer than that,
 * and everything else that the statement reads is not.
 */
function seenRevision({ sql }: ScopedTransaction, scope: string) {
  return sql`(select revision from signalbox.tenant where name = ${scope}) as seen`;
}

function toScopeRow({ revision, firstRevision, at, rollsOut, seen = revision }: StoredScopeRow): ScopeRow {
  const version = at === null ? undefined : versionOf(revision, at);
  return { revision, firstRevision, version, mayRollOut: rollsOut || seen !== revision };
}

/** @param at seconds since the epoch, as the database writes them. */
export function versionOf(revision: bigint, at: string): string {
  return `${revision} ${at}`;
}

/** Whether a version is that of a revision that was committed in this millisecond. */
export function isVersionOf(version: string, revision: bigint, committedAtMs: number): boolean {
  const [number, seconds] = version.split(' ');
  // The database counts microseconds; half of one keeps a product that is no exact number above the millisecond.
  return number === String(revision) && Math.floor(Number(seconds) * 1_000 + 0.000_5) === committedAtMs;
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
