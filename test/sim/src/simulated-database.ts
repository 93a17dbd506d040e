import {
  type Change,
  diffSnapshots,
  makeSnapshot,
  operatorScope,
  type RolloutPlan,
  type Snapshot,
} from '@signalbox/config';
import { followRevision, MemoryFleetStore, type Rollout, type RolloutEnd } from '@signalbox/control-plane/testing';
import type { Clock, Random } from '@signalbox/runtime';

import { DatabaseGone } from './database-gone.ts';
import type { ProcessClock } from './process-clock.ts';
import { endRollout, rolloutKey, rolloutTransaction } from './rollout-statements.ts';

/** A row of the change log, with the moment from which others see it. */
export interface LoggedRow {
  readonly xid: bigint;
  readonly seq: bigint;
  readonly tenant: string;
  readonly revision: bigint;
  readonly kind: string;
  readonly name: string;
  readonly digest: string | null;
  readonly body: Buffer | null;
  readonly at: Date;
  readonly removals_confirmed: bigint;
}

/** What the database keeps of a scope. */
interface ScopeState {
  readonly name: string;
  readonly revision: bigint;
  readonly deleted: boolean;
  /** Of the tenant that has the name now, the revision before its first. */
  readonly firstRevision: bigint;
  readonly at: Date;
  readonly removals_confirmed: bigint;
}

/** The database as of one moment, as a statement or a transaction of REPEATABLE READ sees it. */
export interface DatabaseView {
  /** Of the oldest transaction that ran then: `pg_snapshot_xmin`. */
  readonly horizon: bigint;
  /** In the order of the index, by transaction and number. */
  readonly log: readonly LoggedRow[];
  readonly scopes: ReadonlyMap<string, ScopeState>;
  /** By scope and revision. */
  readonly rollouts: ReadonlyMap<string, Rollout>;
}

export interface Transaction {
  readonly xid: bigint;
  readonly rows: LoggedRow[];
  readonly scopes: Map<string, ScopeState>;
  readonly rollouts: Map<string, Rollout>;
  /** Rows that are locked, and how others get at them. */
  readonly locks: Map<string, () => void>;
}

/** How a revision is written. */
export interface Manner {
  /** How long the transaction stands between its inserts and its end, in milliseconds. */
  readonly forMs: number;
  readonly ends: 'commit' | 'rollback';
  /** How it is to reach nodes. */
  readonly plan?: RolloutPlan | undefined;
  /** It takes a rollout back, unless the scope has been written since. */
  readonly takesBack?: { readonly rollout: Rollout; readonly end: RolloutEnd };
}

export type Written = 'committed' | 'rolled back' | 'unchanged' | 'no such scope' | 'somebody was faster';

/**
 * What of Postgres matters to the log: transactions get their ids when they begin to write and become visible, all at
 * once, when they commit, in whatever order; rows get numbers when they are inserted; a scope has one writer at a time; any
 * transaction, of whoever, holds the horizon back.
 */
export class SimulatedDatabase {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #running = new Map<bigint, Transaction>();
  readonly #locks = new Map<string, Promise<void>>();
  readonly #rowLocks = new Map<string, Promise<void>>();
  readonly #doorbells = new Set<() => void>();
  #view: DatabaseView = { horizon: 1n, log: [], scopes: new Map(), rollouts: new Map() };
  #nextXid = 1n;
  #nextSeq = 1n;
  /** Commits of every scope so far, as `revision hash`. */
  readonly committed: Map<string, Set<string>>;
  /** Newest committed sets by scope. */
  readonly newest = new Map<string, Snapshot>();
  /** All that was ever committed, by scope and revision. */
  readonly #history = new Map<string, Snapshot>();
  /** Told of every set when it is committed. */
  readonly #observers: ((set: Snapshot) => void)[] = [];
  /** What replicas tell each other. */
  readonly fleet: MemoryFleetStore;
  /** Tenants that the operator has removed at some time. */
  readonly removedTenants = new Set<string>();
  isUp = true;

  constructor(clock: Clock, random: Random) {
    this.#clock = clock;
    this.#random = random;
    this.fleet = new MemoryFleetStore(clock);
    const none = { revision: 0n, deleted: false, firstRevision: 0n, at: new Date(0), removals_confirmed: 0n };
    const state = { name: operatorScope, ...none };
    this.#view = { ...this.#view, scopes: new Map([[operatorScope, state]]) };
    // A database begins with the operator's scope, empty.
    const empty = makeSnapshot(operatorScope, 0n, []);
    this.committed = new Map([[operatorScope, new Set([`0 ${empty.hash}`])]]);
    this.#history.set(rolloutKey(operatorScope, 0n), empty);
  }

  /** As of now. @throws DatabaseGone */
  view(): DatabaseView {
    if (!this.isUp) throw new DatabaseGone();
    const horizon = [...this.#running.keys()].reduce((least, xid) => (xid < least ? xid : least), this.#nextXid);
    return { ...this.#view, horizon };
  }

  /** Newest sets of the scopes that exist and have one. */
  live(): ReadonlyMap<string, Snapshot> {
    const exists = ([scope]: [string, Snapshot]) => this.#view.scopes.get(scope)?.deleted === false;
    return new Map([...this.newest].filter(exists));
  }

  /** Everything that runs is rolled back; nobody can connect. */
  stop(): void {
    this.isUp = false;
    this.fleet.isDown = true;
    for (const transaction of this.#running.values()) releaseLocks(transaction);
    this.#running.clear();
  }

  /** Sometimes it had crashed: what is not logged is lost. */
  start(): void {
    if (this.isUp) return;
    this.isUp = true;
    if (this.#random.fraction() < 0.5) this.fleet.restart();
    else this.fleet.isDown = false;
  }

  /** What time it is. */
  now(): number {
    return this.#clock.now();
  }

  set(scope: string, revision: bigint): Snapshot | undefined {
    return this.#history.get(rolloutKey(scope, revision));
  }

  onSet(observer: (set: Snapshot) => void): void {
    this.#observers.push(observer);
  }

  /** A rollout as it is committed. */
  rollout(scope: string, revision: bigint): Rollout | undefined {
    return this.#view.rollouts.get(rolloutKey(scope, revision));
  }

  /** Rollouts that have not ended. */
  underWay(): readonly Rollout[] {
    return [...this.#view.rollouts.values()].filter(({ endedAtMs }) => endedAtMs === undefined);
  }

  /** A short transaction about rollouts, rolled back when its process is killed. @throws DatabaseGone */
  async transact<T>(process: ProcessClock, work: (transaction: Transaction) => Promise<T>): Promise<T> {
    if (!this.isUp) throw new DatabaseGone();
    const transaction = this.#begin();
    using _connection = process.onKilled(() => {
      this.#running.delete(transaction.xid);
      releaseLocks(transaction);
    });
    try {
      const result = await work(transaction);
      if (!this.#running.delete(transaction.xid)) throw new DatabaseGone();
      if (transaction.rollouts.size > 0) this.#commit(transaction, new Map());
      return result;
    } finally {
      this.#running.delete(transaction.xid);
      releaseLocks(transaction);
    }
  }

  /** Waits until nobody else writes a row, and keeps others from writing it. @throws DatabaseGone */
  async lock(transaction: Transaction, key: string): Promise<void> {
    if (transaction.locks.has(key)) return;
    const before = this.#rowLocks.get(key) ?? Promise.resolve();
    const released = Promise.withResolvers<void>();
    // Who gives up while it waits does not let the next one past those before it.
    this.#rowLocks.set(
      key,
      Promise.all([before, released.promise]).then(() => undefined),
    );
    transaction.locks.set(key, released.resolve);
    await before;
    if (!this.#running.has(transaction.xid)) throw new DatabaseGone();
  }

  onCommit(listener: () => void): Disposable {
    this.#doorbells.add(listener);
    return { [Symbol.dispose]: () => void this.#doorbells.delete(listener) };
  }

  /** A transaction of somebody else that writes elsewhere: all that it does here is to hold the horizon back. */
  async hold(forMs: number): Promise<void> {
    if (!this.isUp) return;
    const { xid } = this.#begin();
    await this.#clock.sleep(forMs);
    this.#running.delete(xid);
  }

  /** Writes the next revision of a scope that exists. @param change what it makes of the newest set. */
  async write(
    scope: string,
    change: (before: Snapshot | undefined, revision: bigint) => Snapshot,
    manner: Manner,
  ): Promise<Written> {
    // Whoever has written something else before has an id already; the scope is locked in another order then.
    const early = this.#random.fraction() < 0.3 ? this.#begin() : undefined;
    // The operator's writer has the database to itself.
    const names = scope === operatorScope ? [...this.#view.scopes.keys()] : [scope];
    const before = names.map((name) => this.#locks.get(name) ?? Promise.resolve());
    const released = Promise.withResolvers<void>();
    for (const name of names) this.#locks.set(name, released.promise);
    await Promise.all(before);
    const transaction = early ?? this.#begin();
    try {
      return await this.#writeLocked(transaction, scope, change, manner);
    } catch (error) {
      if (error instanceof DatabaseGone) return 'rolled back';
      throw error;
    } finally {
      this.#running.delete(transaction.xid);
      releaseLocks(transaction);
      released.resolve();
    }
  }

  async #writeLocked(
    transaction: Transaction,
    scope: string,
    change: (before: Snapshot | undefined, revision: bigint) => Snapshot,
    { forMs, ends, plan, takesBack }: Manner,
  ): Promise<Written> {
    const known = this.#view.scopes.get(scope);
    if (!this.#running.has(transaction.xid) || !this.isUp) return 'rolled back';
    if (known?.deleted !== false) return 'no such scope';
    if (takesBack && takesBack.rollout.revision !== known.revision) return 'somebody was faster';
    const before = this.newest.get(scope) ?? makeSnapshot(scope, 0n, []);
    const revision = known.revision + 1n;
    const set = change(this.newest.get(scope), revision);
    const changes = diffSnapshots(before, set);
    if (changes.length === 0) return this.#unchanged(transaction, scope, takesBack?.end);
    const sets = new Map([[scope, set]]);
    const current = makeSnapshot(scope, known.revision, before.resources.values());
    const cause = takesBack ? ('rollback' as const) : ('apply' as const);
    const followed = {
      ...{ scope, revision, cause, current, plan },
      author: 'somebody',
      message: '',
      mayRollOut: true,
    };
    const returnsTo = takesBack?.rollout.base;
    await followRevision(rolloutTransaction(this, transaction), { ...followed, returnsTo }, takesBack?.end);
    this.#log(transaction, scope, { revision, changes, confirmed: takesBack !== undefined });
    if (scope === operatorScope) await this.#followTenants(transaction, changes, sets);
    await this.#clock.sleep(forMs);
    if (!this.#running.delete(transaction.xid) || ends === 'rollback') return 'rolled back';
    this.#commit(transaction, sets);
    return 'committed';
  }

  async #unchanged(transaction: Transaction, scope: string, end: RolloutEnd | undefined): Promise<Written> {
    if (!end) return 'unchanged';
    await endRollout(this, transaction, scope, end);
    if (!this.#running.delete(transaction.xid)) return 'rolled back';
    this.#commit(transaction, new Map());
    return 'committed';
  }

  /** Tenants that come get a scope; tenants that go are emptied by a last revision, in the same transaction. */
  async #followTenants(
    transaction: Transaction,
    changes: readonly Change[],
    sets: Map<string, Snapshot>,
  ): Promise<void> {
    for (const { kind, op, name } of changes) {
      if (kind !== 'Tenant') continue;
      const known = this.#view.scopes.get(name);
      if (op === 'create') {
        const at = new Date(this.#clock.now());
        transaction.scopes.set(name, {
          ...{ name, revision: known?.revision ?? 0n, deleted: false, at },
          firstRevision: known?.revision ?? 0n,
          removals_confirmed: known?.removals_confirmed ?? 0n,
        });
        continue;
      }
      const held = this.newest.get(name);
      if (op !== 'delete' || !known) continue;
      await endRollout(this, transaction, name, gone);
      if (held && held.resources.size > 0) {
        const revision = known.revision + 1n;
        const empty = makeSnapshot(name, revision, []);
        this.#log(transaction, name, { revision, changes: diffSnapshots(held, empty), confirmed: true });
        sets.set(name, empty);
      }
      const state = transaction.scopes.get(name) ?? known;
      transaction.scopes.set(name, { ...state, deleted: true });
    }
  }

  #begin(): Transaction {
    const transaction: Transaction = {
      ...{ xid: this.#nextXid, rows: [], scopes: new Map(), rollouts: new Map(), locks: new Map() },
    };
    this.#nextXid += 1n;
    this.#running.set(transaction.xid, transaction);
    return transaction;
  }

  #log(
    { xid, rows, scopes }: Transaction,
    tenant: string,
    { revision, changes, confirmed }: { revision: bigint; changes: readonly Change[]; confirmed: boolean },
  ): void {
    const at = new Date(this.#clock.now());
    const removals = confirmed ? revision : (this.#view.scopes.get(tenant)?.removals_confirmed ?? 0n);
    for (const change of changes) {
      const after = change.op === 'delete' ? undefined : change.after;
      rows.push({
        ...{ xid, seq: this.#nextSeq, tenant, revision, kind: change.kind, name: change.name },
        ...{ digest: after?.digest ?? null, body: after ? Buffer.from(after.body) : null },
        ...{ at, removals_confirmed: removals },
      });
      this.#nextSeq += 1n;
    }
    const firstRevision = this.#view.scopes.get(tenant)?.firstRevision ?? 0n;
    scopes.set(tenant, { name: tenant, revision, deleted: false, firstRevision, at, removals_confirmed: removals });
  }

  #commit(transaction: Transaction, sets: ReadonlyMap<string, Snapshot>): void {
    const { rows, scopes, rollouts } = transaction;
    releaseLocks(transaction);
    const log = [...this.#view.log, ...rows].sort((a, b) => compare(a.xid, b.xid) || compare(a.seq, b.seq));
    this.#view = { ...this.#view, log, scopes: new Map([...this.#view.scopes, ...scopes]) };
    this.#view = { ...this.#view, rollouts: new Map([...this.#view.rollouts, ...rollouts]) };
    for (const [name, { deleted, revision }] of scopes) {
      if (deleted) this.removedTenants.add(name);
      // A tenant begins empty, with what the operator commits.
      if (revision === 0n) this.committed.set(name, new Set([`0 ${makeSnapshot(name, 0n, []).hash}`]));
    }
    for (const [scope, set] of sets) {
      this.newest.set(scope, set);
      this.#history.set(rolloutKey(scope, set.revision), set);
      for (const observer of this.#observers) observer(set);
      const known = this.committed.get(scope) ?? new Set();
      this.committed.set(scope, known.add(`${set.revision} ${set.hash}`));
    }
    // A notification may be lost; whoever listens also looks from time to time.
    if (this.#random.fraction() < 0.1) return;
    for (const ring of this.#doorbells) ring();
  }
}

const gone: RolloutEnd = { state: 'superseded', reason: 'the tenant was deleted', actor: 'somebody' };

function releaseLocks({ locks }: Transaction): void {
  for (const release of locks.values()) release();
}

function compare(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
