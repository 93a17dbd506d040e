import { type Change, diffSnapshots, makeSnapshot, operatorScope, type Snapshot } from '@signalbox/config';
import type { Clock, Random } from '@signalbox/runtime';

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
}

interface Transaction {
  readonly xid: bigint;
  readonly rows: LoggedRow[];
  readonly scopes: Map<string, ScopeState>;
}

/** Network errors of the driver. */
export class DatabaseGone extends Error {
  readonly code = 'ECONNREFUSED';

  constructor() {
    super('the database cannot be reached');
    this.name = 'DatabaseGone';
  }
}

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
  readonly #doorbells = new Set<() => void>();
  #view: DatabaseView = { horizon: 1n, log: [], scopes: new Map() };
  #nextXid = 1n;
  #nextSeq = 1n;
  /** Commits of every scope so far, as `revision hash`. */
  readonly committed: Map<string, Set<string>>;
  /** Newest committed sets by scope. */
  readonly newest = new Map<string, Snapshot>();
  /** Tenants that the operator has removed at some time. */
  readonly removedTenants = new Set<string>();
  isUp = true;

  constructor(clock: Clock, random: Random) {
    this.#clock = clock;
    this.#random = random;
    const state = { name: operatorScope, revision: 0n, deleted: false, at: new Date(0), removals_confirmed: 0n };
    this.#view = { ...this.#view, scopes: new Map([[operatorScope, state]]) };
    // A database begins with the operator's scope, empty.
    this.committed = new Map([[operatorScope, new Set([`0 ${makeSnapshot(operatorScope, 0n, []).hash}`])]]);
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
    this.#running.clear();
  }

  start(): void {
    this.isUp = true;
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

  /**
   * Writes the next revision of a scope that exists. @param change what it makes of the newest set; @param forMs how long the
   * transaction stands between its inserts and its end; @param ends whether it commits then.
   */
  async write(
    scope: string,
    change: (before: Snapshot | undefined, revision: bigint) => Snapshot,
    { forMs, ends }: { readonly forMs: number; readonly ends: 'commit' | 'rollback' },
  ): Promise<void> {
    // Whoever has written something else before has an id already; the scope is locked in another order then.
    const early = this.#random.fraction() < 0.3 ? this.#begin() : undefined;
    // The operator's writer has the database to itself.
    const names = scope === operatorScope ? [...this.#view.scopes.keys()] : [scope];
    const before = names.map((name) => this.#locks.get(name) ?? Promise.resolve());
    const released = Promise.withResolvers<void>();
    for (const name of names) this.#locks.set(name, released.promise);
    await Promise.all(before);
    try {
      await this.#writeLocked(scope, change, { early, forMs, ends });
    } finally {
      released.resolve();
    }
  }

  async #writeLocked(
    scope: string,
    change: (before: Snapshot | undefined, revision: bigint) => Snapshot,
    { early, forMs, ends }: { early: Transaction | undefined; forMs: number; ends: 'commit' | 'rollback' },
  ): Promise<void> {
    const wasRolledBack = early !== undefined && !this.#running.has(early.xid);
    if (wasRolledBack || !this.isUp || this.#view.scopes.get(scope)?.deleted !== false) {
      return void this.#running.delete(early?.xid ?? 0n);
    }
    const transaction = early ?? this.#begin();
    const before = this.newest.get(scope);
    const revision = (this.#view.scopes.get(scope)?.revision ?? 0n) + 1n;
    const set = change(before, revision);
    const changes = diffSnapshots(before ?? makeSnapshot(scope, 0n, []), set);
    if (changes.length === 0) return void this.#running.delete(transaction.xid);
    const sets = new Map([[scope, set]]);
    this.#log(transaction, scope, { revision, changes, confirmed: false });
    if (scope === operatorScope) this.#followTenants(transaction, changes, sets);
    await this.#clock.sleep(forMs);
    if (!this.#running.delete(transaction.xid) || ends === 'rollback') return;
    this.#commit(transaction, sets);
  }

  /** Tenants that come get a scope; tenants that go are emptied by a last revision, in the same transaction. */
  #followTenants(transaction: Transaction, changes: readonly Change[], sets: Map<string, Snapshot>): void {
    for (const { kind, op, name } of changes) {
      if (kind !== 'Tenant') continue;
      const known = this.#view.scopes.get(name);
      if (op === 'create') {
        const at = new Date(this.#clock.now());
        transaction.scopes.set(name, {
          ...{ name, revision: known?.revision ?? 0n, deleted: false, at },
          removals_confirmed: known?.removals_confirmed ?? 0n,
        });
        continue;
      }
      const held = this.newest.get(name);
      if (op !== 'delete' || !known) continue;
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
    const transaction: Transaction = { xid: this.#nextXid, rows: [], scopes: new Map() };
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
    scopes.set(tenant, { name: tenant, revision, deleted: false, at, removals_confirmed: removals });
  }

  #commit({ rows, scopes }: Transaction, sets: ReadonlyMap<string, Snapshot>): void {
    const log = [...this.#view.log, ...rows].sort((a, b) => compare(a.xid, b.xid) || compare(a.seq, b.seq));
    this.#view = { ...this.#view, log, scopes: new Map([...this.#view.scopes, ...scopes]) };
    for (const [name, { deleted, revision }] of scopes) {
      if (deleted) this.removedTenants.add(name);
      // A tenant begins empty, with what the operator commits.
      if (revision === 0n) this.committed.set(name, new Set([`0 ${makeSnapshot(name, 0n, []).hash}`]));
    }
    for (const [scope, set] of sets) {
      this.newest.set(scope, set);
      const known = this.committed.get(scope) ?? new Set();
      this.committed.set(scope, known.add(`${set.revision} ${set.hash}`));
    }
    // A notification may be lost; whoever listens also looks from time to time.
    if (this.#random.fraction() < 0.1) return;
    for (const ring of this.#doorbells) ring();
  }
}

function compare(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
