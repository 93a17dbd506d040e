import type { Clock } from '@signalbox/runtime';
import postgres, { type Sql } from 'postgres';

import { isConnectionLoss } from './database-error.ts';

/** Typed values of this store: 64-bit integers are bigint. */
export type StoreSql = Sql<{ bigint: bigint }>;

export interface ConnectOptions {
  readonly url: string;
  readonly connectTimeoutMs: number;
  /** Role that every statement has outside of a transaction; absent: the user's own. */
  readonly role?: string;
  /** Longest time of a statement outside of a transaction, in milliseconds; absent: the server's own bound. */
  readonly statementTimeoutMs?: number;
  /** Called when the connection has ended, for whatever reason. */
  readonly onClose?: () => void;
  /** Called with what every notification of a channel says that the connection listens to. */
  readonly onNotify?: (payload: string) => void;
}

/** A client of one connection, made at its first statement. */
export function connect(wanted: ConnectOptions): StoreSql {
  const { url, connectTimeoutMs, role, statementTimeoutMs, onClose, onNotify } = wanted;
  const options = {
    max: 1,
    connect_timeout: connectTimeoutMs / 1_000,
    idle_timeout: 0,
    max_lifetime: null,
    // The query for array types cannot be awaited by anyone: it would fail unhandled when the connection is cut.
    fetch_types: false,
    types: { bigint: postgres.BigInt },
    onnotice: () => undefined,
    onclose: () => onClose?.(),
    onnotify: (_channel: string, payload: string) => onNotify?.(payload),
    connection: {
      application_name: 'signalbox',
      ...(role !== undefined && { role }),
      ...(statementTimeoutMs !== undefined && { statement_timeout: statementTimeoutMs }),
    },
  };
  return postgres(url, options);
}

type TransactionMode = 'isolation level read committed' | 'isolation level repeatable read read only';

/** How a transaction begins. All of it is one message to the database, and nobody has to wait for the answer. */
export interface TransactionBegin {
  readonly mode: TransactionMode;
  /** Settings that hold until its end, by name. */
  readonly settings: Readonly<Record<string, string>>;
  /** First statements, as they stand: each sees what was committed before it. */
  readonly opening?: readonly string[];
  /** Settings that hold from then on. */
  readonly settingsAfter?: Readonly<Record<string, string>>;
}

/** Rows of each of the first statements of a transaction. */
export type OpeningRows = readonly (readonly Readonly<Record<string, unknown>>[])[];

/** A transaction as its work sees it. */
export interface Transaction {
  readonly sql: StoreSql;
  /** What the first statements have read. A statement that does not wait for it goes out right behind them. */
  readonly opening: Promise<OpeningRows>;
  /** Runs the last statement, with the commit right behind it. @returns its rows, once they are committed. */
  readonly commitWith: <T>(statement: PromiseLike<T>) => Promise<T>;
}

export interface ConnectionOptions extends Omit<ConnectOptions, 'onClose' | 'onNotify'> {
  readonly clock: Clock;
  /** Longest life of a transaction; then its connection is cut, in milliseconds. */
  readonly transactionTimeoutMs: number;
  /**
   * Longest wait for the answer to a statement, in milliseconds; then the network is taken for dead and the connection is
   * cut. Longer than what the database itself allows a statement. Absent: as long as the transaction.
   */
  readonly answerTimeoutMs?: number;
}

/**
 * One connection and at most one transaction on it. The driver would send a statement that comes after a loss, or waits
 * behind another one when it happens, over a new connection and outside of any transaction. Therefore:
 *
 * 1. a lost connection stays lost: every further statement fails, and the pool makes another;
 * 2. statements of a transaction are awaited one by one. Only its begin has one behind it, and its last one the commit;
 *    what the database says to these counts for nothing unless the connection has outlived both;
 * 3. should one escape nevertheless, it has the rights of `role` and no scope, and row security lets it do nothing.
 */
export class Connection {
  readonly #options: ConnectionOptions;
  readonly #client: StoreSql;
  readonly #guarded: StoreSql;
  #lost = false;
  /** It was cut because nothing came back. */
  #silent = false;
  /** Statements that were sent and not answered. */
  #unanswered = 0;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#client = connect({ ...options, onClose: () => (this.#lost = true) });
    this.#guarded = new Proxy(this.#client, {
      apply: (client, self, statement) => {
        if (this.#lost) throw this.#loss();
        return this.#timed(Reflect.apply(client, self, statement));
      },
    });
  }

  get lost(): boolean {
    return this.#lost;
  }

  /**
   * Runs `work` in a transaction; its error, or one of the commit, is thrown after a rollback.
   * @param begin settings of the transaction, such as its role, travel with its begin, and so may statements.
   */
  async transaction<T>(begin: TransactionBegin, work: (transaction: Transaction) => Promise<T>): Promise<T> {
    const { clock, transactionTimeoutMs } = this.#options;
    using _deadline = clock.timer(transactionTimeoutMs, () => void this.#cut());
    let committing: Promise<void> | undefined;
    const commitWith = async <R>(statement: PromiseLike<R>): Promise<R> => {
      const answer = statement.then((rows) => rows);
      committing = this.#commit();
      // When the statement has failed, so does the commit: the first error is the one to know.
      const [rows] = await Promise.all([answer, committing]);
      return rows;
    };
    const opening = this.#begin(begin);
    const working = work({ sql: this.#guarded, opening, commitWith });
    await this.#begun(opening, working);
    try {
      const result = await working;
      await (committing ?? this.#commit());
      return result;
    } catch (error) {
      this.#lost ||= isConnectionLoss(error);
      if (this.#lost) throw this.#loss(error);
      await this.#rollBack();
      throw error;
    }
  }

  /** One statement by itself: it sees one snapshot, and costs one round trip instead of those of a transaction. */
  async statement<T>(work: (sql: StoreSql) => Promise<T>): Promise<T> {
    const { clock, transactionTimeoutMs } = this.#options;
    using _deadline = clock.timer(transactionTimeoutMs, () => void this.#cut());
    try {
      return await work(this.#guarded);
    } catch (error) {
      this.#lost ||= isConnectionLoss(error);
      if (this.#lost) throw this.#loss(error);
      throw error;
    }
  }

  async close(): Promise<void> {
    this.#lost = true;
    await this.#client.end({ timeout: 1 });
  }

  async #begin({ mode, settings, opening = [], settingsAfter = {} }: TransactionBegin): Promise<OpeningRows> {
    const before = [`begin ${mode}`, ...settingOf(settings)];
    const statements = [...before, ...opening, ...settingOf(settingsAfter)];
    // Sent before this returns: an `await` alone would send it after a statement that is awaited sooner.
    const sent = this.#timed(this.#client.unsafe(statements.join('; '))).then((rows) => rows);
    try {
      const results = (await sent) as unknown as OpeningRows;
      return statements.length === 1 ? [] : results.slice(before.length, before.length + opening.length);
    } catch (error) {
      // A connection on which not even a bare begin works is in no state to be used again.
      this.#lost ||= opening.length === 0 || this.#silent || isConnectionLoss(error);
      throw error;
    }
  }

  /** Where the begin has failed, so has everything that was sent behind it, because of it. */
  async #begun(opening: Promise<unknown>, working: Promise<unknown>): Promise<void> {
    const worked = working.catch(() => undefined);
    try {
      await opening;
    } catch (error) {
      if (!this.#lost) {
        await worked;
        await this.#rollBack();
      }
      throw this.#silent ? this.#loss(error) : error;
    }
  }

  /** @throws when the connection was lost before the answer came: it may be that of another connection. */
  async #commit(): Promise<void> {
    const { command } = await this.#guarded`commit`;
    if (this.#lost) throw this.#loss();
    if (command !== 'COMMIT') throw new Error('a statement of the transaction failed and nobody noticed');
  }

  async #rollBack(): Promise<void> {
    await this.#guarded`rollback`.catch(() => (this.#lost = true));
  }

  #loss(cause?: unknown): ConnectionLost {
    return new ConnectionLost(this.#silent ? 'ETIMEDOUT' : 'CONNECTION_CLOSED', cause);
  }

  /**
   * Bounds the wait for an answer, from the moment at which a statement is sent: when somebody awaits it. What is before it
   * may take its own time.
   */
  #timed<T>(statement: T): T {
    const { clock, answerTimeoutMs } = this.#options;
    if (answerTimeoutMs === undefined || !(statement instanceof Promise)) return statement;
    const send = statement.then.bind(statement) as Promise<unknown>['then'];
    statement.then = (onAnswer, onError) => {
      this.#unanswered += 1;
      const limit = clock.timer(answerTimeoutMs * this.#unanswered, () => {
        this.#silent = true;
        void this.#cut();
      });
      const answered = () => {
        this.#unanswered -= 1;
        limit[Symbol.dispose]();
      };
      const sent = send(onAnswer, onError);
      void send(answered, answered);
      return sent;
    };
    return statement;
  }

  /** Ends the connection whatever it does; the statement that it waits for fails. */
  async #cut(): Promise<void> {
    this.#lost = true;
    await this.#client.end({ timeout: 0 });
  }
}

function settingOf(settings: Readonly<Record<string, string>>): readonly string[] {
  const set = Object.entries(settings).map(([name, value]) => `set_config('${name}', ${literal(value)}, true)`);
  return set.length === 0 ? [] : [`select ${set.join(', ')}`];
}

/** A text as SQL. Names of scopes and roles and times have no other characters; a text that has is a bug. */
function literal(text: string): string {
  if (!/^[A-Za-z0-9._-]*$/.test(text)) throw new TypeError(`not a setting: ${JSON.stringify(text)}`);
  return `'${text}'`;
}

/** The connection ended before the answer, or there was none. */
class ConnectionLost extends Error {
  readonly code: 'CONNECTION_CLOSED' | 'ETIMEDOUT';

  constructor(code: ConnectionLost['code'], cause?: unknown) {
    super('the connection to the database was lost', { cause });
    this.name = 'ConnectionLost';
    this.code = code;
  }
}
