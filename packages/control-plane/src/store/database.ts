import type { StoreSql, TransactionMode } from './connection.ts';
import { ConnectionPool, type ConnectionPoolOptions } from './connection-pool.ts';
import { isConnectionLoss, isUnreachable } from './database-error.ts';

export interface DatabaseOptions extends Omit<ConnectionPoolOptions, 'answerTimeoutMs'> {
  readonly statementTimeoutMs: number;
  readonly lockTimeoutMs: number;
  /**
   * After the database could not be reached it is not tried for so long, in milliseconds, and then by one at a time until
   * one reaches it: all others fail at once.
   */
  readonly retryAfterMs: number;
}

/** A transaction whose statements see one scope at a time. */
export interface ScopedTransaction {
  readonly sql: StoreSql;
  /** From here on statements see this scope, and no other. */
  enter(scope: string): Promise<void>;
}

/**
 * The pool and the only three ways to use it. Every transaction first gives up the connection's own rights: it becomes
 * a role that row security holds to one scope, or one that may only read.
 */
export class Database {
  readonly #options: DatabaseOptions;
  readonly #pool: ConnectionPool;
  #unreachable: { readonly error: unknown; readonly untilMs: number } | undefined;
  /** Somebody finds out whether the database is back. */
  #probing = false;

  constructor(options: DatabaseOptions) {
    this.#options = options;
    // The database gives a statement up first; if not even that arrives, nothing does.
    const answerTimeoutMs = options.statementTimeoutMs + options.connectTimeoutMs;
    this.#pool = new ConnectionPool({ ...options, answerTimeoutMs, role: 'signalbox_app' });
  }

  /** Reads and writes, READ COMMITTED: each statement sees what was committed before it. */
  write<T>(scope: string, work: (tx: ScopedTransaction) => Promise<T>): Promise<T> {
    return this.#transaction('isolation level read committed', async (sql) => {
      await this.#become(sql, 'signalbox_app', scope);
      return work(scoped(sql, scope));
    });
  }

  /** Reads from one snapshot of the database. */
  read<T>(scope: string, work: (tx: ScopedTransaction) => Promise<T>): Promise<T> {
    return this.#readOnly(async (sql) => {
      await this.#become(sql, 'signalbox_app', scope);
      return work(scoped(sql, scope));
    });
  }

  /** Reads every scope, from one snapshot of the database: for the tail of the log only. */
  readAll<T>(work: (sql: StoreSql) => Promise<T>): Promise<T> {
    return this.#readOnly(async (sql) => {
      await this.#become(sql, 'signalbox_tail', '');
      return work(sql);
    });
  }

  /** Transactions that run may finish; the ones that wait for a connection are refused. */
  async close(): Promise<void> {
    await this.#pool.close();
  }

  /** Reading twice does no harm: a connection that has died in the pool is not the caller's concern. */
  async #readOnly<T>(work: (sql: StoreSql) => Promise<T>): Promise<T> {
    try {
      return await this.#transaction('isolation level repeatable read read only', work);
    } catch (error) {
      if (!isConnectionLoss(error)) throw error;
      return this.#transaction('isolation level repeatable read read only', work);
    }
  }

  async #transaction<T>(mode: TransactionMode, work: (sql: StoreSql) => Promise<T>): Promise<T> {
    const { clock, retryAfterMs } = this.#options;
    const probes = this.#unreachable !== undefined;
    if (this.#unreachable && (this.#probing || this.#unreachable.untilMs > clock.monotonic())) {
      throw this.#unreachable.error;
    }
    this.#probing ||= probes;
    try {
      const result = await this.#pool.use((connection) => connection.transaction(mode, work));
      this.#unreachable = undefined;
      return result;
    } catch (error) {
      this.#unreachable = isUnreachable(error) ? { error, untilMs: clock.monotonic() + retryAfterMs } : undefined;
      throw error;
    } finally {
      if (probes) this.#probing = false;
    }
  }

  async #become(sql: StoreSql, role: string, scope: string): Promise<void> {
    const { statementTimeoutMs, lockTimeoutMs } = this.#options;
    await sql`select set_config('role', ${role}, true), set_config('app.tenant', ${scope}, true),
      set_config('statement_timeout', ${`${statementTimeoutMs}ms`}, true),
      set_config('lock_timeout', ${`${lockTimeoutMs}ms`}, true),
      set_config('idle_in_transaction_session_timeout', ${`${statementTimeoutMs * 2}ms`}, true)`;
  }
}

function scoped(sql: StoreSql, scope: string): ScopedTransaction {
  let entered = scope;
  const enter = async (next: string) => {
    if (next === entered) return;
    await sql`select set_config('app.tenant', ${next}, true)`;
    entered = next;
  };
  return { sql, enter };
}
