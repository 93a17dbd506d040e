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

/** How a transaction begins. All of it is one message to the database and costs one round trip. */
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
 * 2. statements of a transaction are awaited one by one, never several at once;
 * 3. should one escape nevertheless, it has the rights of `role` and no scope, and row security lets it do nothing.
 */
export class Connection {
  readonly #options: ConnectionOptions;
  readonly #client: StoreSql;
  readonly #guarded: StoreSql;
  #lost = false;
  /** It was cut because nothing came back. */
  #silent = false;

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
  async transaction<T>(begin: TransactionBegin, work: (sql: StoreSql, opening: OpeningRows) => Promise<T>): Promise<T> {
    const { clock, transactionTimeoutMs } = this.#options;
    using _deadline = clock.timer(transactionTimeoutMs, () => void this.#cut());
    const opening = await this.#begin(begin);
    try {
      const result = await work(this.#guarded, opening);
      const { command } = await this.#guarded`commit`;
      if (command !== 'COMMIT') throw new Error('a statement of the transaction failed and nobody noticed');
      return result;
    } catch (error) {
      this.#lost ||= isConnectionLoss(error);
      if (this.#lost) throw this.#loss(error);
      await this.#guarded`rollback`.catch(() => (this.#lost = true));
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

  /** A connection on which not even a bare begin works is in no state to be used again. */
  async #begin({ mode, settings, opening = [], settingsAfter = {} }: TransactionBegin): Promise<OpeningRows> {
    const before = [`begin ${mode}`, ...settingOf(settings)];
    const statements = [...before, ...opening, ...settingOf(settingsAfter)];
    try {
      const results = (await this.#timed(this.#client.unsafe(statements.join('; ')))) as unknown as OpeningRows;
      return statements.length === 1 ? [] : results.slice(before.length, before.length + opening.length);
    } catch (error) {
      this.#lost ||= opening.length === 0 || this.#silent || isConnectionLoss(error);
      if (!this.#lost) await this.#guarded`rollback`.catch(() => (this.#lost = true));
      throw this.#silent ? this.#loss(error) : error;
    }
  }

  #loss(cause?: unknown): ConnectionLost {
    return new ConnectionLost(this.#silent ? 'ETIMEDOUT' : 'CONNECTION_CLOSED', cause);
  }

  /** Bounds the wait for an answer, from the moment at which a statement is sent: when somebody awaits it. */
  #timed<T>(statement: T): T {
    const { clock, answerTimeoutMs } = this.#options;
    if (answerTimeoutMs === undefined || !(statement instanceof Promise)) return statement;
    const send = statement.then.bind(statement) as Promise<unknown>['then'];
    statement.then = (onAnswer, onError) => {
      const limit = clock.timer(answerTimeoutMs, () => {
        this.#silent = true;
        void this.#cut();
      });
      const answered = () => limit[Symbol.dispose]();
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
