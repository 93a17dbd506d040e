import { operatorScope } from '@signalbox/config';

import type { Connection, OpeningRows, StoreSql, Transaction } from './connection.ts';
import { ConnectionPool, type ConnectionPoolOptions } from './connection-pool.ts';
import { isConnectionLoss, isUnreachable } from './database-error.ts';

export interface DatabaseOptions extends Omit<
  ConnectionPoolOptions,
  'name' | 'role' | 'statementTimeoutMs' | 'answerTimeoutMs'
> {
  readonly statementTimeoutMs: number;
  readonly lockTimeoutMs: number;
  /**
   * After the database could not be reached it is not tried for so long, in milliseconds, and then by one at a time until
   * one reaches it: all others fail at once.
   */
  readonly retryAfterMs: number;
}

/** A transaction whose statements see one scope at a time. */
export interface ScopedTransaction extends Pick<Transaction, 'sql' | 'commitWith'> {
  /** From here on statements see this scope, and no other. */
  enter(scope: string): Promise<void>;
}

/**
 * The pools and the only ways to use them. Every transaction first gives up the connection's own rights: it becomes
 * a role that row security holds to one scope, or one that may only read. The tail of the log has a connection to
 * itself, so that it never waits behind writers.
 */
export class Database {
  readonly #options: DatabaseOptions;
  readonly #pool: ConnectionPool;
  readonly #tail: ConnectionPool;
  #unreachable: { readonly error: unknown; readonly untilMs: number } | undefined;
  /** Somebody finds out whether the database is back. */
  #probing = false;

  constructor(options: DatabaseOptions) {
    const { statementTimeoutMs, ...others } = options;
    this.#options = options;
    // The database gives a statement up first; if not even that arrives, nothing does.
    const bounded = { ...others, answerTimeoutMs: statementTimeoutMs + options.connectTimeoutMs };
    this.#pool = new ConnectionPool({ ...bounded, name: 'api', role: 'signalbox_app' });
    const tail = { name: 'tail', role: 'signalbox_tail', connections: 1, statementTimeoutMs };
    this.#tail = new ConnectionPool({ ...bounded, ...tail });
  }

  /** Reads and writes, READ COMMITTED: each statement sees what was committed before it. */
  write<T>(scope: string, work: (tx: ScopedTransaction) => Promise<T>): Promise<T> {
    const begin = { mode: 'isolation level read committed', settings: this.#settings('signalbox_app', scope) } as const;
    return this.#using(this.#pool, (connection) =>
      connection.transaction(begin, (transaction) => work(scoped(transaction, scope))),
    );
  }

  /**
   * As `write`, with first statements that see the operator's scope and cost no round trip.
   * @param opening SQL as it stands. `work` is given the rows of each; what it asks for without them costs none either.
   */
  writeAfter<T>(
    opening: readonly string[],
    scope: string,
    work: (tx: ScopedTransaction, opening: Promise<OpeningRows>) => Promise<T>,
  ): Promise<T> {
    const begin = {
      mode: 'isolation level read committed',
      settings: this.#settings('signalbox_app', operatorScope),
      opening,
      ...(scope !== operatorScope && { settingsAfter: { 'app.tenant': scope } }),
    } as const;
    return this.#using(this.#pool, (connection) =>
      connection.transaction(begin, (transaction) => work(scoped(transaction, scope), transaction.opening)),
    );
  }

  /** Reads from one snapshot of the database. */
  read<T>(scope: string, work: (tx: ScopedTransaction) => Promise<T>): Promise<T> {
    const begin = { mode: snapshotMode, settings: this.#settings('signalbox_app', scope) } as const;
    return this.#twice(() =>
      this.#using(this.#pool, (connection) =>
        connection.transaction(begin, (transaction) => work(scoped(transaction, scope))),
      ),
    );
  }

  /** Reads every scope, from one snapshot of the database: for the tail of the log only. */
  readAll<T>(work: (sql: StoreSql) => Promise<T>): Promise<T> {
    const begin = { mode: snapshotMode, settings: this.#settings('signalbox_tail', '') } as const;
    return this.#twice(() =>
      this.#using(this.#tail, (connection) => connection.transaction(begin, ({ sql }) => work(sql))),
    );
  }

  /** As `readAll`, for a single statement: one round trip. */
  readAllAtOnce<T>(statement: (sql: StoreSql) => Promise<T>): Promise<T> {
    return this.#twice(() => this.#using(this.#tail, (connection) => connection.statement(statement)));
  }

  /** Transactions that run may finish; the ones that wait for a connection are refused. */
  async close(): Promise<void> {
    await Promise.all([this.#pool.close(), this.#tail.close()]);
  }

  /** Reading twice does no harm: a connection that has died in the pool is not the caller's concern. */
  async #twice<T>(read: () => Promise<T>): Promise<T> {
    try {
      return await read();
    } catch (error) {
      if (!isConnectionLoss(error)) throw error;
      return read();
    }
  }

  async #using<T>(pool: ConnectionPool, work: (connection: Connection) => Promise<T>): Promise<T> {
    const { clock, retryAfterMs } = this.#options;
    const probes = this.#unreachable !== undefined;
    if (this.#unreachable && (this.#probing || this.#unreachable.untilMs > clock.monotonic())) {
      throw this.#unreachable.error;
    }
    this.#probing ||= probes;
    try {
      const result = await pool.use(work);
      this.#unreachable = undefined;
      return result;
    } catch (error) {
      this.#unreachable = isUnreachable(error) ? { error, untilMs: clock.monotonic() + retryAfterMs } : undefined;
      throw error;
    } finally {
      if (probes) this.#probing = false;
    }
  }

  #settings(role: string, scope: string): Readonly<Record<string, string>> {
    const { statementTimeoutMs, lockTimeoutMs } = this.#options;
    return {
      role,
      'app.tenant': scope,
      statement_timeout: `${statementTimeoutMs}ms`,
      lock_timeout: `${lockTimeoutMs}ms`,
      idle_in_transaction_session_timeout: `${statementTimeoutMs * 2}ms`,
    };
  }
}

const snapshotMode = 'isolation level repeatable read read only';

function scoped({ sql, commitWith }: Transaction, scope: string): ScopedTransaction {
  let entered = scope;
  const enter = async (next: string) => {
    if (next === entered) return;
    await sql`select set_config('app.tenant', ${next}, true)`;
    entered = next;
  };
  return { sql, commitWith, enter };
}
