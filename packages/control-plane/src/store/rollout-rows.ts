import type { RolloutPlan } from '@signalbox/config';

import type { Members } from '../rollout/members.ts';
import type { Rollout, RolloutState } from '../rollout/rollout.ts';
import type { RolloutEvent } from '../rollout/transition.ts';
import type { StoreSql } from './connection.ts';

interface RolloutRow {
  readonly tenant: string;
  readonly revision: bigint;
  readonly base: bigint;
  readonly plan: RolloutPlan;
  readonly state: RolloutState;
  readonly stage: number;
  readonly members: Members;
  readonly stage_since: Date | null;
  readonly settled_since: Date | null;
  readonly started_at: Date;
  readonly ended_at: Date | null;
  readonly reason: string;
  readonly author: string;
  readonly version: number;
}

/** Of one tenant, or of all that the transaction sees; newest first. */
export interface RolloutFilter {
  readonly tenant?: string | undefined;
  readonly revision?: bigint | undefined;
  readonly underWay?: boolean;
  readonly limit?: number;
}

export async function readRollouts(sql: StoreSql, filter: RolloutFilter): Promise<readonly Rollout[]> {
  const { tenant = '', revision = 0n, underWay = false, limit = 10_000 } = filter;
  const rows = await sql<RolloutRow[]>`select tenant, revision, base, plan, state, stage, members, stage_since,
      settled_since, started_at, ended_at, reason, author, version
    from signalbox.rollout where (${tenant} = '' or tenant = ${tenant}) and (${revision}::bigint = 0 or revision = ${revision})
      and (not ${underWay}::boolean or ended_at is null)
    order by started_at desc, tenant, revision desc limit ${limit}`;
  return rows.map(toRollout);
}

/** As above, for one that is under way, and nobody else changes it before the transaction ends. */
export async function lockUnderWay(sql: StoreSql, tenant: string): Promise<Rollout | undefined> {
  const [row] = await sql<RolloutRow[]>`select tenant, revision, base, plan, state, stage, members, stage_since,
      settled_since, started_at, ended_at, reason, author, version
    from signalbox.rollout where tenant = ${tenant} and ended_at is null for update`;
  return row && toRollout(row);
}

export async function insertRollout(sql: StoreSql, rollout: Rollout): Promise<void> {
  const { scope, revision, base, plan, state, stage, members, stageSinceMs, reason, author, version } = rollout;
  await sql`insert into signalbox.rollout
    (tenant, revision, base, plan, state, stage, members, stage_since, reason, author, version)
    values (${scope}, ${revision}, ${base}, ${json(sql, plan)}::jsonb, ${state}, ${stage}, ${json(sql, members)}::jsonb,
      ${date(stageSinceMs)}, ${reason}, ${author}, ${version})`;
}

/** Replaces the version before. @returns false if somebody else has done so. */
export async function updateRollout(sql: StoreSql, after: Rollout): Promise<boolean> {
  const { scope, revision, state, stage, members, stageSinceMs, settledSinceMs, endedAtMs, reason, version } = after;
  const rows = await sql`update signalbox.rollout set state = ${state}, stage = ${stage},
      members = ${json(sql, members)}::jsonb, stage_since = ${date(stageSinceMs)}, settled_since = ${date(settledSinceMs)},
      ended_at = ${date(endedAtMs)}, reason = ${reason}, version = ${version}
    where tenant = ${scope} and revision = ${revision} and version = ${version - 1} and ended_at is null returning 1`;
  return rows.length === 1;
}

export async function insertEvent(sql: StoreSql, { scope, revision }: Rollout, what: RolloutEvent): Promise<void> {
  const { event, stage, actor, detail } = what;
  await sql`insert into signalbox.rollout_event (tenant, revision, event, stage, actor, detail)
    values (${scope}, ${revision}, ${event}, ${stage}, ${actor}, ${detail})`;
}

/** What time it is for rollouts, in milliseconds since the epoch: that of the database, on which all replicas agree. */
export async function databaseNow(sql: StoreSql): Promise<number> {
  const [row] = await sql<{ now: Date }[]>`select clock_timestamp() as now`;
  return row?.now.getTime() ?? 0;
}

function toRollout(row: RolloutRow): Rollout {
  const { tenant: scope, revision, base, plan, state, stage, members, reason, author, version } = row;
  return {
    ...{ scope, revision, base, plan, state, stage, members, reason, author, version },
    stageSinceMs: row.stage_since?.getTime(),
    settledSinceMs: row.settled_since?.getTime(),
    startedAtMs: row.started_at.getTime(),
    endedAtMs: row.ended_at?.getTime(),
  };
}

function json(sql: StoreSql, value: RolloutPlan | Members) {
  return sql.json(value as never);
}

function date(ms: number | undefined): Date | null {
  return ms === undefined ? null : new Date(ms);
}
