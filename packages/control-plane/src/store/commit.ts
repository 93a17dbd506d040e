import type { Change } from '@signalbox/config';
import type { PendingQuery } from 'postgres';

import { isMcpBackend } from './mcp-backend.ts';
import type { StoreSql } from './connection.ts';
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
  readonly removals: RemovalNote;
  /** Remembered as having made it; absent: nobody's request did. */
  readonly request?: { readonly id: string; readonly fingerprint: string };
}

/** What decides whether nodes may take the removals of a revision for meant. */
interface RemovalNote {
  /** Whoever writes says so. */
  readonly confirmed: boolean;
  /** Removals that add up to so many are known to be meant as well: each was small when it was written. */
  readonly minimum: number;
}

/** What a revision got when it was written. */
export interface WrittenRevision {
  /** The version that the scope has once this is committed. */
  readonly version: string;
  readonly committedAtMs: number;
  /** Removals up to this revision are meant. */
  readonly removalsConfirmed: bigint;
}

/**
 * The statement that writes log, resources, revision, the scope's number, which servers the catalog has, and the request that
 * wants it. The caller holds the scope's row and has entered it.
 */
export function insertRevision(sql: StoreSql, revision: NewRevision): PendingQuery<RevisionRow[]> {
  const { scope, parent, cause, author, message, changes, removals, request } = revision;
  const deleted = changes.filter((change) => change.op === 'delete').length;
  const rows = changes.map((change) => ({ kind: change.kind, name: change.name, ...columns(change) }));
  return sql<RevisionRow[]>`with moment as materialized (select clock_timestamp() as at),
    change as materialized (
      select kind, name, digest, decode(body, 'base64') as body
      from jsonb_to_recordset(${sql.json(rows)}::jsonb) as r(kind text, name text, digest text, body text)),
    removals as materialized (
      select removals_confirmed, removals_since + ${deleted} as since, ${removals.confirmed} or (
        ${deleted} > 0 and removals_since + ${deleted} >= ${removals.minimum}) as meant
      from signalbox.tenant where name = ${scope}),
    logged as (
      insert into signalbox.change_log (tenant, revision, kind, name, digest, body, at, removals_confirmed)
      select ${scope}, ${revision.revision}, kind, name, digest, body, at,
        case when meant then ${revision.revision} else removals_confirmed end
      from change, moment, removals),
    stored as (
      insert into signalbox.resource (tenant, kind, name, revision, digest, body, deleted)
      select ${scope}, kind, name, ${revision.revision}, coalesce(digest, ''), coalesce(body, ''), digest is null from change
      on conflict (tenant, kind, name) do update set revision = excluded.revision, digest = excluded.digest,
        body = excluded.body, deleted = excluded.deleted),
    ${followedByCatalog(sql, scope, changes)}
    numbered as (
      update signalbox.tenant set revision = ${revision.revision},
        revised_at = moment.at, resource_count = resource_count + ${countDelta(changes)},
        removals_confirmed = case when meant then ${revision.revision} else removals.removals_confirmed end,
        removals_since = case when meant then 0 else since end
      from removals, moment where name = ${scope}),
    requested as (
      insert into signalbox.write_request (tenant, id, fingerprint, revision, committed)
      select ${scope}, id::uuid, fingerprint, ${revision.revision}, true
      from (values (${request?.id ?? null}::text, ${request?.fingerprint ?? null}::text)) as r(id, fingerprint)
      where id is not null),
    revised as (
      insert into signalbox.revision (tenant, revision, parent, cause, author, message, change_count, at)
      select ${scope}, ${revision.revision}, ${parent}, ${cause}, ${author}, ${message}, ${changes.length}, at from moment)
    select at, extract(epoch from at)::text as epoch,
      case when meant then ${revision.revision} else removals_confirmed end as "removalsConfirmed"
    from moment, removals`;
}

/** What the statement says of the revision. */
export function writtenRevision(revision: bigint, [row]: readonly RevisionRow[]): WrittenRevision {
  if (!row) throw new Error('the database wrote a revision without saying when');
  const { at, epoch, removalsConfirmed } = row;
  return { version: versionOf(revision, epoch), committedAtMs: at.getTime(), removalsConfirmed };
}

interface RevisionRow {
  readonly at: Date;
  /** The same in seconds, as the database writes them. */
  readonly epoch: string;
  readonly removalsConfirmed: bigint;
}

function columns(change: Change): { digest: string | null; body: string | null } {
  if (change.op === 'delete') return { digest: null, body: null };
  return { digest: change.after.digest, body: Buffer.from(change.after.body).toString('base64') };
}

/**
 * Parts of the statement that let the catalog follow Backends: a node is to look at a new or changed MCP server, and of one that
 * is gone nothing is known any more. None where nothing of this changes: a statement costs by its length.
 */
function followedByCatalog(sql: StoreSql, scope: string, changes: readonly Change[]) {
  const backends = changes.filter(({ kind }) => kind === 'Backend');
  const isServer = (change: Change) => change.op !== 'delete' && isMcpBackend(change.after);
  const looked = backends.filter(isServer).map(({ name }) => name);
  const gone = backends.filter((change) => change.op !== 'create' && !isServer(change)).map(({ name }) => name);
  const lookedAt = sql`cataloged as (
      insert into signalbox.catalog (tenant, backend)
      select ${scope}, jsonb_array_elements_text(${sql.json(looked)}::jsonb)
      on conflict (tenant, backend) do update set due_at = clock_timestamp(), lease = null),`;
  const forgotten = sql`uncataloged as (
      delete from signalbox.catalog where tenant = ${scope}
        and backend in (select jsonb_array_elements_text(${sql.json(gone)}::jsonb))),`;
  return sql`${looked.length > 0 ? lookedAt : sql``} ${gone.length > 0 ? forgotten : sql``}`;
}

function countDelta(changes: readonly Change[]): number {
  const weight = { create: 1, update: 0, delete: -1 };
  return changes.reduce((sum, change) => sum + weight[change.op], 0);
}
