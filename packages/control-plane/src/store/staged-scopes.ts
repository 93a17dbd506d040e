import type { ChangeListener, CommittedScope, StagedScope } from './change-feed.ts';
import type { StoreSql } from './connection.ts';
import { readRollouts } from './rollout-rows.ts';
import { type ResourceRow, toStored } from './rows.ts';

/** Tells states of the rollouts under way apart: as an expression, so that it costs no statement of its own. */
export function stagedDigest(sql: StoreSql) {
  return sql`(select coalesce(md5(string_agg(tenant || ' ' || revision || ' ' || version, ',' order by tenant)), '')
    from signalbox.rollout where ended_at is null)`;
}

export async function stagedVersion(sql: StoreSql): Promise<string> {
  const [row] = await sql<{ staged: string }[]>`select ${stagedDigest(sql)} as staged`;
  return row?.staged ?? '';
}

/** Scopes with a rollout under way, each with what most of its nodes have unless the listener holds that. */
export async function readStagedScopes(
  sql: StoreSql,
  listener: Pick<ChangeListener, 'holds'>,
): Promise<readonly StagedScope[]> {
  const staged: StagedScope[] = [];
  for (const { scope, base: revision, members } of await readRollouts(sql, { underWay: true })) {
    const state = listener.holds?.(scope, revision) ? undefined : await readStateAt(sql, scope, revision);
    staged.push({ scope, members, base: { revision, state } });
  }
  return staged;
}

/** A scope as it was: of every resource the newest change up to a revision. */
async function readStateAt(sql: StoreSql, scope: string, revision: bigint): Promise<CommittedScope> {
  const [found] = await sql<{ at: Date; removalsConfirmed: bigint }[]>`select r.at, (
      select coalesce(max(c.removals_confirmed), 0) from signalbox.change_log c
      where c.tenant = r.tenant and c.revision <= r.revision) as "removalsConfirmed"
    from signalbox.revision r where r.tenant = ${scope} and r.revision = ${revision}`;
  const rows = await sql<ResourceRow[]>`select kind, name, digest, body from (
      select distinct on (c.kind, c.name) c.kind, c.name, c.digest, c.body
      from signalbox.change_log c join signalbox.tenant t on t.name = c.tenant
      where c.tenant = ${scope} and c.revision <= ${revision} and c.revision > t.first_revision
      order by c.kind, c.name, c.revision desc) newest
    where digest is not null`;
  return {
    ...{ scope, revision, committedAtMs: found?.at.getTime() ?? 0 },
    removalsConfirmed: found?.removalsConfirmed ?? 0n,
    resources: rows.map(toStored),
  };
}
