import type { Counter, Metrics } from '@signalbox/runtime';

import { Connection, type ConnectionOptions } from './connection.ts';

export interface ConnectionPoolOptions extends ConnectionOptions {
  /** Who uses it, in metrics. */
  readonly name: string;
  /** Connections at most. */
  readonly connections: number;
  /** Users that may wait for one; more are refused with {@link StoreBusy}. */
  readonly waiting: number;
  readonly metrics: Metrics;
}

/** More work waits for the database than is allowed: the caller should come back later. */
export class StoreBusy extends Error {
  constructor(waiting: number) {
    super(`the store is busy: ${waiting} transactions wait for a connection; try again in a moment`);
    this.name = 'StoreBusy';
  }
}

/** Connections, lent to one user at a time, in the order of asking. A lost one is replaced when it is given back. */
export class ConnectionPool {
  readonly #options: ConnectionPoolOptions;
  readonly #idle: Connection[] = [];
  readonly #refused: Counter;
  readonly #waiting: PromiseWithResolvers<Connection>[] = [];
  #lent = 0;
  #closed = false;

  constructor(options: ConnectionPoolOptions) {
    this.#options = options;
    const { metrics, name: pool } = options;
    const refused = 'Transactions refused because too many waited.';
    this.#refused = metrics.counter('signalbox_store_refused_total', refused, { pool });
    const lent = metrics.gauge('signalbox_store_connections', 'Connections to the database that are in use.', { pool });
    const waiting = metrics.gauge('signalbox_store_waiting', 'Transactions that wait for a connection.', { pool });
    metrics.onCollect(() => {
      lent.set(this.#lent);
      waiting.set(this.#waiting.length);
    });
  }

  /** @throws StoreBusy if too many wait already. */
  async use<T>(work: (connection: Connection) => Promise<T>): Promise<T> {
    const connection = await this.#take();
    try {
      return await work(connection);
    } finally {
      this.#giveBack(connection);
    }
  }

  /** Those who have a connection may finish; the ones who wait for one are refused. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const waiter of this.#waiting.splice(0)) waiter.reject(poolClosed());
    await Promise.all(this.#idle.splice(0).map((connection) => connection.close()));
  }

  #take(): Promise<Connection> {
    if (this.#closed) return Promise.reject(poolClosed());
    const { connections, waiting } = this.#options;
    if (this.#lent < connections) {
      this.#lent += 1;
      return Promise.resolve(this.#usable(this.#idle.pop()));
    }
    if (this.#waiting.length >= waiting) {
      this.#refused.add();
      return Promise.reject(new StoreBusy(waiting));
    }
    const waiter = Promise.withResolvers<Connection>();
    this.#waiting.push(waiter);
    return waiter.promise;
  }

  #giveBack(connection: Connection): void {
    const next = this.#waiting.shift();
    if (next) return next.resolve(this.#usable(connection));
    this.#lent -= 1;
    if (this.#closed || connection.lost) discard(connection);
    else this.#idle.push(connection);
  }

  #usable(connection: Connection | undefined): Connection {
    if (connection && !connection.lost) return connection;
    if (connection) discard(connection);
    return new Connection(this.#options);
  }
}

/** Nobody waits for the end of a connection that nobody uses. */
function discard(connection: Connection): void {
  connection.close().catch(() => undefined);
}

function poolClosed(): Error {
  return new Error('the store is closed');
}
