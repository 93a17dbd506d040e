import { operatorScope } from '@signalbox/config';

import { addHealth, type Health, noHealth } from '../rollout/health.ts';
import type { Rollout } from '../rollout/rollout.ts';
import type { RolloutEvent, Transition } from '../rollout/transition.ts';
import type { Database } from './database.ts';
import { databaseNow, insertEvent, readRollouts, type RolloutFilter, updateRollout } from './rollout-rows.ts';

export interface RolloutStoreOptions {
  readonly database: Database;
  /** Called after every change: readers of the log are told of rollouts as of revisions. */
  readonly onChange: () => void;
}

export interface LoggedEvent extends RolloutEvent {
  readonly atMs: number;
}

/** What this replica was told of one stage. */
export interface StageHealth {
  readonly scope: string;
  readonly revision: bigint;
  readonly stage: number;
  readonly candidate: Health;
  readonly base: Health;
}

/** Rollouts in the database. Their beginning, and ends that come with a revision, are written with that revision. */
export class RolloutStore {
  readonly #options: RolloutStoreOptions;

  constructor(options: RolloutStoreOptions) {
    this.#options = options;
  }

  /** All that are under way, and what time it is. */
  underWay(): Promise<{ readonly nowMs: number; readonly rollouts: readonly Rollout[] }> {
    return this.#options.database.read(operatorScope, async ({ sql }) => {
      const nowMs = await databaseNow(sql);
      return { nowMs, rollouts: await readRollouts(sql, { underWay: true }) };
    });
  }

  /** Newest first. @param scope whose; the operator's scope sees all. */
  list(scope: string, filter: RolloutFilter): Promise<readonly Rollout[]> {
    return this.#options.database.read(scope, ({ sql }) => readRollouts(sql, filter));
  }

  /** What happened to a rollout, in order. */
  events(scope: string, revision: bigint): Promise<readonly LoggedEvent[]> {
    return this.#options.database.read(scope, async ({ sql }) => {
      const rows = await sql<(RolloutEvent & { at: Date })[]>`select at, event, stage, actor, detail
        from signalbox.rollout_event where tenant = ${scope} and revision = ${revision} order by seq limit 1000`;
      return rows.map(({ at, event, stage, actor, detail }) => ({ atMs: at.getTime(), event, stage, actor, detail }));
    });
  }

  /** Writes what has been decided. @returns false if the rollout has been changed meanwhile. */
  async change({ rollout, event }: Transition): Promise<boolean> {
    const isChanged = await this.#options.database.write(rollout.scope, async ({ sql }) => {
      if (!(await updateRollout(sql, rollout))) return false;
      await insertEvent(sql, rollout, event);
      return true;
    });
    if (isChanged) this.#options.onChange();
    return isChanged;
  }

  /** Says what this replica was told in a stage so far. */
  async report(replica: string, stages: readonly StageHealth[]): Promise<void> {
    const rows = stages.map(({ scope, revision, stage, candidate, base }) => {
      return { scope, revision: String(revision), stage, candidate, base };
    });
    await this.#options.database.write(
      operatorScope,
      ({ sql }) => sql`insert into signalbox.rollout_health (tenant, revision, stage, replica, candidate, base)
        select scope, revision, stage, ${replica}::uuid, candidate, base
        from jsonb_to_recordset(${sql.json(rows as never)}::jsonb)
          as r(scope text, revision bigint, stage integer, candidate jsonb, base jsonb)
        on conflict (tenant, revision, stage, replica) do update
          set candidate = excluded.candidate, base = excluded.base, at = clock_timestamp()`,
    );
  }

  /** What all replicas were told: of the revision in its present stage, of the one before in all of them. */
  health({ scope, revision, stage }: Rollout): Promise<{ readonly candidate: Health; readonly base: Health }> {
    return this.#options.database.read(operatorScope, async ({ sql }) => {
      const rows = await sql<{ stage: number; candidate: Health; base: Health }[]>`select stage, candidate, base
        from signalbox.rollout_health where tenant = ${scope} and revision = ${revision} limit 10000`;
      return {
        candidate: rows
          .filter((row) => row.stage === stage)
          .reduce((sum, row) => addHealth(sum, row.candidate), noHealth),
        base: rows.reduce((sum, row) => addHealth(sum, row.base), noHealth),
      };
    });
  }

  /** Forgets what was told of rollouts that are over. */
  async sweep(): Promise<void> {
    await this.#options.database.write(
      operatorScope,
      ({ sql }) => sql`delete from signalbox.rollout_health h where not exists (
        select from signalbox.rollout r where r.tenant = h.tenant and r.revision = h.revision
          and (r.ended_at is null or r.ended_at > clock_timestamp() - interval '1 hour'))`,
    );
  }
}
