import { operatorScope, type RolloutPlan, type Snapshot } from '@signalbox/config';

import { nobody } from '../rollout/members.ts';
import type { Rollout, RolloutState } from '../rollout/rollout.ts';
import type { StoreSql } from './connection.ts';
import type { ScopedTransaction } from './database.ts';
import { databaseNow, insertEvent, insertRollout, lockUnderWay, readRollouts, updateRollout } from './rollout-rows.ts';

/** A revision about to be committed. */
export interface FollowedRevision {
  readonly scope: string;
  readonly revision: bigint;
  readonly cause: 'apply' | 'rollback';
  readonly author: string;
  readonly message: string;
  /** Revision whose content comes back, of a rollback. */
  readonly returnsTo: bigint | undefined;
  /** What was there before it. */
  readonly current: Snapshot;
  /** How it is to reach nodes; undefined: all at once. */
  readonly plan: RolloutPlan | undefined;
  /** False: no revision of the scope is being rolled out. */
  readonly mayRollOut: boolean;
}

/** How a rollout ends that is under way. */
export interface RolloutEnd {
  readonly state: Extract<RolloutState, 'rolled-back' | 'superseded'>;
  readonly reason: string;
  readonly actor: string;
}

/**
 * Lets rollouts follow a revision, in its transaction: whoever reads the revision knows how it reaches nodes.
 *
 * 1. What returns to a revision that all nodes have had goes to all at once, and ends a rollout that is under way.
 * 2. A revision on top of one that is rolled out takes its place: in the same stage, for the same nodes, which never get
 *    anything older. All others keep what they have.
 * 3. Otherwise it is rolled out if its plan says how. A tenant's first resources are not: there is nothing that they
 *    could break.
 *
 * @param end how a rollout ends that the revision ends.
 * @returns whether it is rolled out.
 */
export async function followRevision(
  tx: ScopedTransaction,
  revision: FollowedRevision,
  end: RolloutEnd | undefined,
): Promise<boolean> {
  const { scope, author, current } = revision;
  if (scope === operatorScope) return false;
  const before = revision.mayRollOut ? await lockUnderWay(tx.sql, scope) : undefined;
  if (await returns(tx.sql, revision)) {
    if (before) await endRollout(tx, before, end ?? returned(revision));
    return false;
  }
  if (before) {
    await endRollout(tx, before, { state: 'superseded', reason: `by revision ${revision.revision}`, actor: author });
    await start(tx, revision, { ...before, ...(before.state === 'halted' && { state: 'running' }) });
    return true;
  }
  const plan = current.resources.size === 0 ? undefined : revision.plan;
  if (!plan) return false;
  const none = { state: 'running', stage: 0, members: nobody, stageSinceMs: undefined } as const;
  await start(tx, revision, { base: current.revision, plan, ...none });
  return true;
}

/** Whether the revision has the content of one that all nodes have had: what was held back once is not let through so. */
async function returns(sql: StoreSql, { scope, cause, returnsTo }: FollowedRevision): Promise<boolean> {
  if (cause !== 'rollback') return false;
  const earlier = returnsTo === undefined ? [] : await readRollouts(sql, { tenant: scope, revision: returnsTo });
  return earlier.every(({ state }) => state === 'completed');
}

/** Ends the rollout of a scope that is under way, if there is one. Call in its scope. */
export async function endRolloutOf(tx: ScopedTransaction, scope: string, end: RolloutEnd): Promise<void> {
  const rollout = await lockUnderWay(tx.sql, scope);
  if (rollout) await endRollout(tx, rollout, end);
}

async function start(
  { sql }: ScopedTransaction,
  { scope, revision, author, message }: FollowedRevision,
  from: Pick<Rollout, 'base' | 'plan' | 'state' | 'stage' | 'members' | 'stageSinceMs'>,
): Promise<void> {
  const { base, plan, state, stage, members, stageSinceMs } = from;
  const nowMs = await databaseNow(sql);
  const rollout: Rollout = {
    ...{ scope, revision, base, plan, state, stage, members, author, reason: '', version: 1 },
    stageSinceMs: stageSinceMs === undefined ? undefined : nowMs,
    settledSinceMs: undefined,
    startedAtMs: nowMs,
    endedAtMs: undefined,
  };
  await insertRollout(sql, rollout);
  await insertEvent(sql, rollout, { event: 'started', stage: stage + 1, actor: author, detail: message });
}

async function endRollout({ sql }: ScopedTransaction, rollout: Rollout, end: RolloutEnd): Promise<void> {
  const { state, reason, actor } = end;
  const endedAtMs = await databaseNow(sql);
  const after = { ...rollout, state, reason, endedAtMs, version: rollout.version + 1 };
  if (!(await updateRollout(sql, after))) throw new Error('a rollout that is locked was changed');
  await insertEvent(sql, after, { event: state, stage: rollout.stage + 1, actor, detail: reason });
}

function returned({ revision, author, message }: FollowedRevision): RolloutEnd {
  return { state: 'superseded', reason: `by revision ${revision}: ${message}`, actor: author };
}
