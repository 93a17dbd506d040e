import type { Clock, Random } from '@signalbox/runtime';
import type { TailOptions } from '@signalbox/control-plane/testing';

import { DatabaseGone } from './database-gone.ts';
import { filtered, rolloutRow, statementOf } from './rollout-statements.ts';
import type { DatabaseView, LoggedRow, SimulatedDatabase } from './simulated-database.ts';

type TailDatabase = TailOptions['database'];
type TailSql = Parameters<Parameters<TailDatabase['readAll']>[0]>[0];

/** How long a statement takes each way, in milliseconds. */
const wayMs = 3;

/**
 * Answers the statements of the tail from a simulated database, so that its own code reads a log. A transaction sees the
 * database as it was at its first statement.
 */
export function tailDatabase(database: SimulatedDatabase, clock: Clock, random: Random): TailDatabase {
  const way = () => clock.sleep(random.fraction() * wayMs);
  const read = async <T>(work: (sql: TailSql) => Promise<T>): Promise<T> => {
    let seen: DatabaseView | undefined;
    const run = async (statement: string, values: readonly unknown[]): Promise<readonly object[]> => {
      await way();
      if (!database.isUp) throw new DatabaseGone();
      seen ??= database.view();
      const rows = answer(seen, statement, values);
      await way();
      if (!database.isUp) throw new DatabaseGone();
      return rows;
    };
    const sql = (strings: TemplateStringsArray, ...values: readonly unknown[]) => {
      const statement = statementOf(strings);
      const parameters = values.filter((value) => !(value instanceof Fragment));
      return statement.startsWith('select') ? run(statement, parameters) : new Fragment();
    };
    return work(sql as unknown as TailSql);
  };
  return { readAll: read, readAllAtOnce: read } as TailDatabase;
}

/** A part of a statement: what is not one by itself. It tells states of the rollouts under way apart. */
class Fragment {}

function answer(view: DatabaseView, statement: string, values: readonly unknown[]): readonly object[] {
  const horizon = String(view.horizon);
  if (statement.includes('from signalbox.rollout'))
    return filtered([...view.rollouts.values()], values).map(rolloutRow);
  if (statement === 'select ? as staged') return [{ staged: stagedDigest(view) }];
  if (statement.includes('from signalbox.revision r where')) return [revisionAt(view, values)];
  if (statement.includes('select distinct on')) return stateAt(view, values);
  if (statement.includes('from signalbox.change_log')) return page(view, values);
  if (statement.startsWith('select pg_snapshot_xmin')) return [{ low: horizon }];
  if (statement.includes('from signalbox.resource where not deleted')) {
    return [...current(view.log).values()].filter(({ digest }) => digest !== null);
  }
  if (statement.includes('from signalbox.resource where tenant')) {
    const [tenant, known] = values as [string, bigint];
    const rows = [...current(view.log).values()].filter((row) => row.tenant === tenant && row.revision > known);
    return rows.map((row) => ({ ...row, deleted: row.digest === null }));
  }
  if (statement.includes('where t.name =')) {
    const scope = view.scopes.get(values[0] as string);
    return scope ? [scope] : [];
  }
  if (statement.includes('from signalbox.tenant')) return [...view.scopes.values()];
  throw new Error(`the simulation does not know this statement of the tail: ${statement}`);
}

/** The newest row of every resource. */
function current(log: readonly LoggedRow[]): ReadonlyMap<string, LoggedRow> {
  const newest = new Map<string, LoggedRow>();
  for (const row of log) {
    const key = `${row.tenant}/${row.kind}/${row.name}`;
    if ((newest.get(key)?.revision ?? 0n) < row.revision) newest.set(key, row);
  }
  return newest;
}

function stagedDigest({ rollouts }: DatabaseView): string {
  const underWay = [...rollouts.values()].filter(({ endedAtMs }) => endedAtMs === undefined);
  return underWay
    .map(({ scope, revision, version }) => `${scope} ${revision} ${version}`)
    .sort()
    .join();
}

/** Moment of a revision, and up to which one removals were meant by then. */
function revisionAt({ log }: DatabaseView, values: readonly unknown[]): object {
  const [tenant, revision] = values as [string, bigint];
  const rows = log.filter((row) => row.tenant === tenant && row.revision <= revision);
  const removalsConfirmed = rows.reduce(
    (most, row) => (row.removals_confirmed > most ? row.removals_confirmed : most),
    0n,
  );
  return { at: rows.find((row) => row.revision === revision)?.at ?? new Date(0), removalsConfirmed };
}

/** A scope as it was at a revision. */
function stateAt({ log, scopes }: DatabaseView, values: readonly unknown[]): readonly object[] {
  const [tenant, revision] = values as [string, bigint];
  const first = scopes.get(tenant)?.firstRevision ?? 0n;
  const rows = log.filter((row) => row.tenant === tenant && row.revision <= revision && row.revision > first);
  return [...current(rows).values()].filter(({ digest }) => digest !== null);
}

/** One page of the log after a place in it, with the horizon even when there is nothing. */
function page(view: DatabaseView, values: readonly unknown[]): readonly object[] {
  const { log, horizon } = view;
  const staged = stagedDigest(view);
  const [xid, seq, limit] = [BigInt(values[0] as string), values[1] as bigint, values[2] as number];
  const after = log.filter((row) => row.xid > xid || (row.xid === xid && row.seq > seq)).slice(0, limit);
  const rows = after.map((row) => ({ ...row, xid: String(row.xid), horizon: String(horizon), staged }));
  return rows.length > 0 ? rows : [{ horizon: String(horizon), staged, seq: null }];
}
