import { type Change, operatorScope, type StoredResource } from '@signalbox/config';

import type { ScopedTransaction } from './database.ts';
import { kindOf, type ResourceRow, toStored } from './rows.ts';
import { readScope } from './snapshots.ts';
import type { ResourceFilter, ResourceList, RevisionDetail, RevisionInfo, TenantInfo } from './store.ts';

/** Resources with the revision of their last change. */
export async function listResources(
  tx: ScopedTransaction,
  scope: string,
  filter: ResourceFilter,
): Promise<ResourceList | undefined> {
  const row = await readScope(tx, scope);
  if (!row) return undefined;
  const kind = filter.kind ?? '';
  const name = filter.name ?? '';
  const rows = await tx.sql<(ResourceRow & { revision: bigint })[]>`select kind, name, digest, body, revision
    from signalbox.resource where tenant = ${scope} and not deleted
      and (${kind} = '' or kind = ${kind}) and (${name} = '' or name = ${name}) order by kind, name`;
  return {
    scope,
    revision: row.revision,
    resources: rows.map((one) => ({ resource: toStored(one), revision: one.revision })),
  };
}

export async function listRevisions(
  tx: ScopedTransaction,
  scope: string,
  { limit, before }: { limit: number; before: bigint | undefined },
): Promise<readonly RevisionInfo[] | undefined> {
  const row = await readScope(tx, scope);
  if (!row) return undefined;
  return tx.sql<RevisionInfo[]>`select revision, parent, cause, author, message, at, change_count as "changeCount"
    from signalbox.revision where tenant = ${scope} and revision > ${row.firstRevision}
      and revision < ${before ?? row.revision + 1n} order by revision desc limit ${limit}`;
}

export async function readRevision(
  tx: ScopedTransaction,
  scope: string,
  revision: bigint,
): Promise<RevisionDetail | undefined> {
  const [info] = (await listRevisions(tx, scope, { limit: 1, before: revision + 1n })) ?? [];
  if (info?.revision !== revision) return undefined;
  return { ...info, changes: await readChanges(tx, scope, revision) };
}

interface ChangeRow {
  readonly kind: string;
  readonly name: string;
  readonly digest: string | null;
  readonly body: Buffer | null;
  readonly digest_before: string | null;
  readonly body_before: Buffer | null;
}

/** What a revision changed, each with what was there before. */
export async function readChanges(
  { sql }: ScopedTransaction,
  scope: string,
  revision: bigint,
): Promise<readonly Change[]> {
  const rows = await sql<ChangeRow[]>`select c.kind, c.name, c.digest, c.body,
      p.digest as digest_before, p.body as body_before
    from signalbox.change_log c left join lateral (
      select digest, body from signalbox.change_log
      where tenant = c.tenant and kind = c.kind and name = c.name and revision < c.revision
      order by revision desc limit 1) p on true
    where c.tenant = ${scope} and c.revision = ${revision} order by c.kind, c.name`;
  return rows.flatMap((row) => toChange(row) ?? []);
}

function toChange(row: ChangeRow): Change | undefined {
  const id = { kind: kindOf(row.kind), name: row.name };
  const before = stored(row, row.digest_before, row.body_before);
  const after = stored(row, row.digest, row.body);
  if (before && after) return { op: 'update', ...id, before, after };
  if (after) return { op: 'create', ...id, after };
  return before && { op: 'delete', ...id, before };
}

function stored({ kind, name }: ChangeRow, digest: string | null, body: Buffer | null): StoredResource | undefined {
  return digest === null || body === null ? undefined : toStored({ kind, name, digest, body });
}

interface TenantRow extends ResourceRow {
  readonly revision: bigint;
  readonly resourceCount: number;
  readonly createdAt: Date;
}

/** All tenants, or of the named ones those that exist, by name. Call in the operator's scope. */
export async function readTenants(
  { sql }: ScopedTransaction,
  names?: readonly string[],
): Promise<readonly TenantInfo[]> {
  const named = names ? sql`and t.name in (select jsonb_array_elements_text(${sql.json([...names])}::jsonb))` : sql``;
  const rows = await sql<TenantRow[]>`select t.name, t.revision, t.resource_count as "resourceCount",
      t.created_at as "createdAt", r.kind, r.digest, r.body
    from signalbox.tenant t join signalbox.resource r
      on r.tenant = ${operatorScope} and r.kind = 'Tenant' and r.name = t.name and not r.deleted
    where t.deleted_at is null ${named} order by t.name`;
  return rows.map((row) => ({
    name: row.name,
    revision: row.revision,
    resourceCount: row.resourceCount,
    createdAt: row.createdAt,
    resource: toStored(row),
  }));
}
