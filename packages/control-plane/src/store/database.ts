import postgres, { type Sql, type TransactionSql } from 'postgres';

/** Typed values of this store: 64-bit integers are bigint. */
type Types = { bigint: bigint };
export type StoreSql = Sql<Types>;
export type StoreTransaction = TransactionSql<Types>;

export interface DatabaseOptions {
  readonly url: string;
  /** Connections of the pool. */
  readonly connections: number;
  /** Transactions that may wait for a connection; more are refused with {@link StoreBusy}. */
  readonly waiting: number;
  readonly statementTimeoutMs: number;
  readonly lockTimeoutMs: number;
  readonly connectTimeoutMs: number;
}

/** More work waits for the database than is allowed: the caller should come back later. */
export class StoreBusy extends Error {
  constructor(waiting: number) {
    super(`the store is busy: ${waiting} transactions wait for a connection; try again in a moment`);
    this.name = 'StoreBusy';
  }
}

/** A transaction whose statements see one scope at a time. */
export interface ScopedTransaction {
  readonly sql: StoreTransaction;
  /** From here on statements see this scope, and no other. */
  enter(scope: string): Promise<void>;
}

/**
 * The pool and the only three ways to use it. Every transaction first gives up the connection's own rights: it becomes
 * a role that row security holds to one scope, or one that may only read.
 */
export class Database {
  readonly #options: DatabaseOptions;
  readonly #sql: StoreSql;
  #open = 0;

  constructor(options: DatabaseOptions) {
    this.#options = options;
    this.#sql = connect(options, options.connections);
  }

  /** Reads and writes, READ COMMITTED: each statement sees what was committed before it. */
  write<T>(scope: string, work: (tx: ScopedTransaction) => Promise<T>): Promise<T> {
    return this.#transaction('isolation level read committed', async (sql) => {
      await this.#become(sql, 'signalbox_app', scope);
      return work({ sql, enter: (next) => enter(sql, next) });
    });
  }

  /** Reads from one snapshot of the database. */
  read<T>(scope: string, work: (tx: ScopedTransaction) => Promise<T>): Promise<T> {
    return this.#transaction('isolation level repeatable read read only', async (sql) => {
      await this.#become(sql, 'signalbox_app', scope);
      return work({ sql, enter: (next) => enter(sql, next) });
    });
  }

  /** Reads every scope, from one snapshot of the database: for the tail of the log only. */
  readAll<T>(work: (sql: StoreTransaction) => Promise<T>): Promise<T> {
    return this.#transaction('isolation level repeatable read read only', async (sql) => {
      await this.#become(sql, 'signalbox_tail', '');
      return work(sql);
    });
  }

  async close(): Promise<void> {
    await this.#sql.end({ timeout: 5 });
  }

  async #transaction<T>(mode: string, work: (sql: StoreTransaction) => Promise<T>): Promise<T> {
    const { connections, waiting } = this.#options;
    if (this.#open >= connections + waiting) throw new StoreBusy(waiting);
    this.#open += 1;
    try {
      return (await this.#sql.begin(mode, work)) as T;
    } finally {
      this.#open -= 1;
    }
  }

  async #become(sql: StoreTransaction, role: string, scope: string): Promise<void> {
    const { statementTimeoutMs, lockTimeoutMs } = this.#options;
    await sql`select set_config('role', ${role}, true), set_config('app.tenant', ${scope}, true),
      set_config('statement_timeout', ${`${statementTimeoutMs}ms`}, true),
      set_config('lock_timeout', ${`${lockTimeoutMs}ms`}, true),
      set_config('idle_in_transaction_session_timeout', ${`${statementTimeoutMs * 2}ms`}, true)`;
  }
}

async function enter(sql: StoreTransaction, scope: string): Promise<void> {
  await sql`select set_config('app.tenant', ${scope}, true)`;
}

/** Opens a pool without using it. Connections are made when needed and made again when lost. */
export function connect(
  options: { readonly url: string; readonly connectTimeoutMs: number },
  connections: number,
): StoreSql {
  return postgres(options.url, {
    max: connections,
    connect_timeout: options.connectTimeoutMs / 1_000,
    types: { bigint: postgres.BigInt },
    onnotice: () => undefined,
    connection: { application_name: 'signalbox' },
  });
}

/** A lock was not to be had in time: another writer holds the scope. */
export function isLockTimeout(error: unknown): boolean {
  return codeOf(error) === '55P03';
}

/** The connection ended before the answer: whether a commit took effect is unknown. */
export function isConnectionLoss(error: unknown): boolean {
  const code = codeOf(error);
  return connectionLossCodes.has(code) || code.startsWith('08');
}

/** Two transactions waited for each other; the same one can succeed when tried again. */
export function isDeadlock(error: unknown): boolean {
  return deadlockCodes.has(codeOf(error));
}

const connectionLossCodes = new Set([
  'CONNECTION_CLOSED',
  'CONNECTION_ENDED',
  'CONNECTION_DESTROYED',
  'CONNECT_TIMEOUT',
  'ECONNRESET',
  'ECONNREFUSED',
  'EPIPE',
  '57P01', // terminated by an administrator
  '57P02', // crash of another session
  '57P03', // starting up or shutting down
]);
const deadlockCodes = new Set(["40001", "40P01"]);

function codeOf(error: unknown): string {
  if (!(error instanceof Error) || !('code' in error)) return '';
  return String(error.code);
}
