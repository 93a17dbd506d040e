import { type Change, operatorScope, type Problem } from '@signalbox/config';

import { insertRevision } from './commit.ts';
import type { ScopedTransaction } from './database.ts';
import { lockScope, readSnapshot } from './snapshots.ts';
import { endRolloutOf } from './staged-revision.ts';

/** What a change of the operator's scope does to the list of tenants. */
export interface TenantChanges {
  readonly created: readonly string[];
  readonly removed: readonly string[];
}

export function tenantChanges(changes: readonly Change[]): TenantChanges {
  const tenants = changes.filter((change) => change.kind === 'Tenant');
  return {
    created: tenants.filter((change) => change.op === 'create').map((change) => change.name),
    removed: tenants.filter((change) => change.op === 'delete').map((change) => change.name),
  };
}

/** Why the removed tenants cannot go: they still have resources. Call in the operator's scope. */
export async function stillOccupied(tx: ScopedTransaction, removed: readonly string[]): Promise<readonly Problem[]> {
  if (removed.length === 0) return [];
  const rows = await tx.sql<{ name: string; resource_count: number }[]>`select name, resource_count
    from signalbox.tenant where name in (${list(tx, removed)}) and resource_count > 0 order by name`;
  return rows.map((row) => ({
    severity: 'error',
    code: 'still-referenced',
    kind: 'Tenant',
    scope: operatorScope,
    name: row.name,
    field: '',
    message: `tenant "${row.name}" still has ${row.resource_count} resources: delete them first, or delete the tenant with force`,
  }));
}

/**
 * Gives created tenants a scope and ends that of removed ones, emptying them by a last revision of their own. The
 * operator's lock keeps every tenant's writer out. Call in the operator's scope; returns to it.
 */
export async function changeTenants(tx: ScopedTransaction, changes: TenantChanges, author: string): Promise<void> {
  if (changes.created.includes(operatorScope)) {
    throw new Error(`"${operatorScope}" is reserved: no tenant can have this name`);
  }
  if (changes.created.length > 0) {
    await tx.sql`insert into signalbox.tenant (name) ${list(tx, changes.created)} on conflict (name) do update
      set first_revision = signalbox.tenant.revision, deleted_at = null, created_at = clock_timestamp()`;
  }
  for (const name of changes.removed) await empty(tx, name, author);
  await tx.enter(operatorScope);
  if (changes.removed.length > 0) await forget(tx, changes.removed);
}

/** Whoever gets the name next must not be reached by credentials of the tenant that had it. */
async function forget(tx: ScopedTransaction, removed: readonly string[]): Promise<void> {
  const { sql } = tx;
  const gone = list(tx, removed);
  await sql`update signalbox.tenant set deleted_at = clock_timestamp() where name in (${gone})`;
  await sql`update signalbox.token set revoked_at = coalesce(revoked_at, clock_timestamp())
    where tenants <> '{}' and tenants <@ array(${gone}) and selector = ''`;
  await sql`update signalbox.token set tenants = array(select t from unnest(tenants) t where t not in (${gone}))
    where tenants && array(${gone}) and (selector <> '' or not tenants <@ array(${gone}))`;
}

/** Names as a sub-select. */
function list({ sql }: ScopedTransaction, names: readonly string[]) {
  return sql`select jsonb_array_elements_text(${sql.json([...names])}::jsonb)`;
}

async function empty(tx: ScopedTransaction, tenant: string, author: string): Promise<void> {
  const row = await lockScope(tx, tenant);
  if (!row) return;
  await endRolloutOf(tx, tenant, { state: 'superseded', reason: 'the tenant was deleted', actor: author });
  const { resources } = await readSnapshot(tx, tenant, row.revision);
  if (resources.size === 0) return;
  const changes = [...resources.values()].map((before): Change => ({
    op: 'delete',
    kind: before.kind,
    name: before.name,
    before,
  }));
  await insertRevision(tx.sql, {
    scope: tenant,
    revision: row.revision + 1n,
    parent: row.revision,
    cause: 'apply',
    author,
    message: 'tenant deleted',
    changes,
    removals: { confirmed: true, minimum: 0 },
  });
}
