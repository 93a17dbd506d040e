import type { RolloutPlan } from '@signalbox/config';
import {
  endRolloutOf,
  type Rollout,
  type RolloutEnd,
  type RolloutState,
  RolloutStore,
} from '@signalbox/control-plane/testing';
import type { Random } from '@signalbox/runtime';

import { DatabaseGone } from './database-gone.ts';
import type { ProcessClock } from './process-clock.ts';
import type { SimulatedDatabase, Transaction } from './simulated-database.ts';

type ScopedTransaction = Parameters<typeof endRolloutOf>[0];
type Database = ConstructorParameters<typeof RolloutStore>[0]['database'];

/** How long a statement takes each way, in milliseconds. */
const wayMs = 3;

export function rolloutKey(scope: string, revision: bigint): string {
  return `${scope} ${revision}`;
}

/** Rollouts in a transaction that writes a revision. */
export function rolloutTransaction(database: SimulatedDatabase, transaction: Transaction): ScopedTransaction {
  return scoped((statement, values) => answer(database, transaction, statement, values));
}

/** Ends the rollout of a scope that is under way, if there is one. */
export function endRollout(
  database: SimulatedDatabase,
  transaction: Transaction,
  scope: string,
  end: RolloutEnd,
): Promise<void> {
  return endRolloutOf(rolloutTransaction(database, transaction), scope, end);
}

/** The store of rollouts of one process. */
export function rolloutStore(
  database: SimulatedDatabase,
  { clock, random, onChange }: { readonly clock: ProcessClock; readonly random: Random; readonly onChange: () => void },
): RolloutStore {
  const transact = <T>(_scope: string, work: (tx: ScopedTransaction) => Promise<T>) =>
    database.transact(clock, (transaction) =>
      work(
        scoped(async (statement, values) => {
          await clock.sleep(random.fraction() * wayMs);
          return answer(database, transaction, statement, values);
        }),
      ),
    );
  return new RolloutStore({ database: { read: transact, write: transact } as unknown as Database, onChange });
}

/** Rows as the tail reads them: all that are under way in one snapshot. */
export function rolloutRow(rollout: Rollout): object {
  const { scope, stageSinceMs, settledSinceMs, startedAtMs, endedAtMs, ...rest } = rollout;
  const date = (ms: number | undefined) => (ms === undefined ? null : new Date(ms));
  return {
    ...{ ...rest, tenant: scope, stage_since: date(stageSinceMs), settled_since: date(settledSinceMs) },
    ...{ started_at: date(startedAtMs), ended_at: date(endedAtMs) },
  };
}

function scoped(run: (statement: string, values: readonly unknown[]) => Promise<readonly object[]>): ScopedTransaction {
  const sql = (strings: TemplateStringsArray, ...values: readonly unknown[]) => run(statementOf(strings), values);
  return { sql: Object.assign(sql, { json: (value: unknown) => value }), enter: async () => undefined } as never;
}

const statements = new WeakMap<TemplateStringsArray, string>();

/** The text of a statement, with question marks for its values. */
export function statementOf(strings: TemplateStringsArray): string {
  const known = statements.get(strings) ?? strings.join('?').replaceAll(/\s+/g, ' ').trim();
  statements.set(strings, known);
  return known;
}

async function answer(
  database: SimulatedDatabase,
  transaction: Transaction,
  statement: string,
  values: readonly unknown[],
): Promise<readonly object[]> {
  const rows = () => [...new Map([...database.view().rollouts, ...transaction.rollouts]).values()];
  if (!database.isUp) throw new DatabaseGone();
  if (statement.startsWith('select clock_timestamp()')) return [{ now: new Date(database.now()) }];
  if (statement.includes('signalbox.rollout_health')) return [];
  if (statement.startsWith('insert into signalbox.rollout_event')) return [];
  if (statement.startsWith('insert into signalbox.rollout')) return insert(database, transaction, values);
  if (statement.startsWith('update signalbox.rollout')) return update(database, transaction, values);
  if (statement.endsWith('for update')) {
    const found = () => rows().find(({ scope, endedAtMs }) => scope === values[0] && endedAtMs === undefined);
    const seen = found();
    if (!seen) return [];
    await database.lock(transaction, rolloutKey(seen.scope, seen.revision));
    // What has ended meanwhile is not found any more.
    const newest = rows().find(({ scope, revision }) => scope === seen.scope && revision === seen.revision);
    return newest && newest.endedAtMs === undefined ? [rolloutRow(newest)] : [];
  }
  if (statement.includes('from signalbox.rollout where (?')) return filtered(rows(), values).map(rolloutRow);
  throw new Error(`the simulation does not know this statement about rollouts: ${statement}`);
}

/** @param values of the statement that reads rollouts by a filter. */
export function filtered(rows: readonly Rollout[], values: readonly unknown[]): readonly Rollout[] {
  const [tenant, , revision, , underWay] = values as [string, string, bigint, bigint, boolean];
  return rows
    .filter(({ scope }) => tenant === '' || scope === tenant)
    .filter((rollout) => revision === 0n || rollout.revision === revision)
    .filter(({ endedAtMs }) => !underWay || endedAtMs === undefined)
    .sort((a, b) => b.startedAtMs - a.startedAtMs || (a.scope < b.scope ? -1 : 1));
}

function insert(database: SimulatedDatabase, { rollouts }: Transaction, values: readonly unknown[]): readonly object[] {
  const [scope, revision, base, plan, state, stage, members, stageSince, reason, author, version] = values;
  const row = { ...{ scope, revision, base, plan, state, stage, members, reason, author, version } } as Rollout;
  const stageSinceMs = (stageSince as Date | null)?.getTime();
  const times = { stageSinceMs, settledSinceMs: undefined, startedAtMs: database.now(), endedAtMs: undefined };
  rollouts.set(rolloutKey(row.scope, row.revision), { ...row, plan: plan as RolloutPlan, ...times });
  return [];
}

async function update(
  database: SimulatedDatabase,
  transaction: Transaction,
  values: readonly unknown[],
): Promise<readonly object[]> {
  const [state, stage, members, stageSince, settledSince, endedAt, reason, version, scope, revision, before] = values;
  const key = rolloutKey(scope as string, revision as bigint);
  await database.lock(transaction, key);
  const row = transaction.rollouts.get(key) ?? database.view().rollouts.get(key);
  if (!row || row.version !== before || row.endedAtMs !== undefined) return [];
  const ms = (date: unknown) => (date as Date | null)?.getTime();
  transaction.rollouts.set(key, {
    ...{ ...row, state: state as RolloutState, stage: stage as number, members: members as Rollout['members'] },
    ...{ stageSinceMs: ms(stageSince), settledSinceMs: ms(settledSince), endedAtMs: ms(endedAt) },
    ...{ reason: reason as string, version: version as number },
  });
  return [{}];
}
