import type { Change } from '@signalbox/config';

import type { ScopedTransaction } from './database.ts';
import { versionOf } from './snapshots.ts';

/** A revision about to be written. */
export interface NewRevision {
  readonly scope: string;
  readonly revision: bigint;
  readonly parent: bigint;
  readonly cause: 'apply' | 'rollback';
  readonly author: string;
  readonly message: string;
  readonly changes: readonly Change[];
}

/**
 * Writes log, resources, revision and the scope's number. The caller holds the scope's row and has entered it.
 * @returns the version that the scope has once this is committed.
 */
export async function insertRevision({ sql }: ScopedTransaction, revision: NewRevision): Promise<string | undefined> {
  const { scope, parent, cause, author, message, changes } = revision;
  const rows = changes.map((change) => ({ kind: change.kind, name: change.name, ...columns(change) }));
  const [row] = await sql<{ at: string }[]>`with moment as materialized (select clock_timestamp() as at),
    change as materialized (
      select kind, name, digest, decode(body, 'base64') as body
      from jsonb_to_recordset(${sql.json(rows)}::jsonb) as r(kind text, name text, digest text, body text)),
    logged as (
      insert into signalbox.change_log (tenant, revision, kind, name, digest, body, at)
      select ${scope}, ${revision.revision}, kind, name, digest, body, at from change, moment),
    stored as (
      insert into signalbox.resource (tenant, kind, name, revision, digest, body, deleted)
      select ${scope}, kind, name, ${revision.revision}, coalesce(digest, ''), coalesce(body, ''), digest is null from change
      on conflict (tenant, kind, name) do update set revision = excluded.revision, digest = excluded.digest,
        body = excluded.body, deleted = excluded.deleted),
    numbered as (
      update signalbox.tenant set revision = ${revision.revision},
        resource_count = resource_count + ${countDelta(changes)} where name = ${scope})
    insert into signalbox.revision (tenant, revision, parent, cause, author, message, change_count, at)
    select ${scope}, ${revision.revision}, ${parent}, ${cause}, ${author}, ${message}, ${changes.length}, at from moment
    returning extract(epoch from at)::text as at`;
  return row && versionOf(revision.revision, row.at);
}

function columns(change: Change): { digest: string | null; body: string | null } {
  if (change.op === 'delete') return { digest: null, body: null };
  return { digest: change.after.digest, body: Buffer.from(change.after.body).toString('base64') };
}

function countDelta(changes: readonly Change[]): number {
  const weight = { create: 1, update: 0, delete: -1 };
  return changes.reduce((sum, change) => sum + weight[change.op], 0);
}
