import type { Clock, Logger } from '@signalbox/runtime';

import type { StoreSql } from './database.ts';

const channel = 'signalbox_change';

export interface DoorbellOptions {
  /** A pool of one connection of its own, without a transaction pooler between: it listens. */
  readonly sql: StoreSql;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Rings within this time become one, in milliseconds. */
  readonly coalesceMs: number;
}

/**
 * Tells every replica that something was committed, never what. It may ring too often or not at all: whoever listens
 * reads the log, and also reads it from time to time without having been called.
 */
export class Doorbell {
  readonly #options: DoorbellOptions;
  #timer: Disposable | undefined;
  #ringing: Promise<unknown> = Promise.resolve();
  #stopped = false;

  constructor(options: DoorbellOptions) {
    this.#options = options;
  }

  /** Rings soon. Call after the commit: in the transaction it would serialise the whole cluster's commits. */
  ring(): void {
    const { clock, coalesceMs } = this.#options;
    if (this.#stopped) return;
    this.#timer ??= clock.timer(coalesceMs, () => {
      this.#timer = undefined;
      this.#ringing = this.#notify();
    });
  }

  /** Calls back at every ring, and after every reconnection, since rings were lost meanwhile. */
  async listen(onRing: () => void): Promise<void> {
    await this.#options.sql.listen(channel, onRing, onRing);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.[Symbol.dispose]();
    await this.#ringing;
    await this.#options.sql.end({ timeout: 1 });
  }

  async #notify(): Promise<void> {
    const { sql, logger } = this.#options;
    try {
      await sql`select pg_notify(${channel}, '')`;
    } catch (error) {
      logger.debug('doorbell could not ring; readers will find the change when they poll', { error: String(error) });
    }
  }
}
