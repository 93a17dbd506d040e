import { Backoff, type Clock, type Logger, type Random } from '@signalbox/runtime';

import { connect, type StoreSql } from './connection.ts';

const channel = 'signalbox_change';

export interface DoorbellOptions {
  /** A direct connection, without a transaction pooler between: it listens. */
  readonly url: string;
  readonly connectTimeoutMs: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Rings within this time become one, in milliseconds. */
  readonly coalesceMs: number;
}

const reconnect = { minMs: 50, maxMs: 5_000, stableAfterMs: 10_000 };

/** How often a connection that only listens is asked whether it is there, in milliseconds. */
const checkMs = 5_000;

/**
 * Tells every other replica that something was committed, never what. It may ring too often or not at all: whoever listens
 * reads the log, and also reads it from time to time without having been called.
 */
export class Doorbell {
  readonly #options: DoorbellOptions;
  readonly #backoff: Backoff;
  /** Says who rings: whoever does knows already. */
  readonly #id: string;
  #onRing: (() => void) | undefined;
  #client: StoreSql | undefined;
  #coalescing: Disposable | undefined;
  #reconnecting: Disposable | undefined;
  #checking: Disposable | undefined;
  /** A statement of the client has not been answered. */
  #waiting = false;
  /** It was to ring meanwhile. */
  #ringing = false;
  #stopped = false;

  constructor(options: DoorbellOptions) {
    this.#options = options;
    this.#id = options.random.uuid();
    this.#backoff = new Backoff(reconnect, options.clock, options.random);
  }

  /** Rings soon. Call after the commit: in the transaction it would serialise the whole cluster's commits. */
  ring(): void {
    const { clock, coalesceMs } = this.#options;
    if (this.#stopped) return;
    this.#coalescing ??= clock.timer(coalesceMs, () => {
      this.#coalescing = undefined;
      void this.#notify();
    });
  }

  /** Calls back at every ring of others, and whenever it is connected again, since rings were lost meanwhile. */
  async listen(onRing: () => void): Promise<void> {
    this.#onRing = onRing;
    this.#checking ??= this.#options.clock.interval(checkMs, () => void this.#check());
    await this.#connect();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#onRing = undefined;
    this.#coalescing?.[Symbol.dispose]();
    this.#reconnecting?.[Symbol.dispose]();
    this.#checking?.[Symbol.dispose]();
    await this.#client?.end({ timeout: 1 });
  }

  async #connect(): Promise<void> {
    const { url, connectTimeoutMs } = this.#options;
    const onClose = () => {
      if (this.#client === client) this.#lost();
    };
    const client = connect({ url, connectTimeoutMs, onClose, onNotify: (from) => this.#heard(from) });
    this.#client = client;
    await client`listen ${client(channel)}`;
    this.#backoff.succeeded();
    this.#onRing?.();
  }

  #heard(from: string): void {
    if (from !== this.#id) this.#onRing?.();
  }

  /** A client that was cut off is not used again; another takes its place after a while. */
  #lost(): void {
    this.#client = undefined;
    if (this.#stopped) return;
    this.#reconnecting?.[Symbol.dispose]();
    this.#reconnecting = this.#options.clock.timer(this.#backoff.nextDelayMs(), () => {
      this.#connect().catch((error: unknown) => {
        this.#options.logger.warn('doorbell cannot be heard; changes are found by polling', { error: String(error) });
        this.#lost();
      });
    });
  }

  async #notify(): Promise<void> {
    if (this.#waiting) return void (this.#ringing = true);
    this.#ringing = false;
    await this.#ask((client) => client`select pg_notify(${channel}, ${this.#id})`);
  }

  async #check(): Promise<void> {
    if (!this.#waiting) await this.#ask((client) => client`select 1`);
  }

  /** One statement at a time: a network that loses everything must not pile them up. Without an answer the client is given up. */
  async #ask(statement: (client: StoreSql) => Promise<unknown>): Promise<void> {
    const { clock, connectTimeoutMs, logger } = this.#options;
    const client = this.#client;
    if (!client) return;
    this.#waiting = true;
    const limit = clock.timer(connectTimeoutMs, () => void client.end({ timeout: 0 }));
    try {
      await statement(client);
    } catch (error) {
      logger.debug('doorbell could not ring; changes are found by polling', { error: String(error) });
    } finally {
      limit[Symbol.dispose]();
      this.#waiting = false;
    }
    if (this.#ringing) void this.#notify();
  }
}
