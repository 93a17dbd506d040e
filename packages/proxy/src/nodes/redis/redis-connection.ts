import { isIP } from 'node:net';
import {
  Backoff,
  type Clock,
  type Counter,
  type Logger,
  type Metrics,
  type Random,
  type Secret,
} from '@signalbox/runtime';
import { type ChainableCommander, Redis, type RedisOptions } from 'ioredis';
import { SharedStateError } from '../shared-state.ts';

/** Where Redis is, and how to get in. */
interface RedisAddress {
  /** `redis://`, `rediss://` or the path of a socket, credentials included. */
  readonly url: Secret;
  readonly user: string;
  readonly password: Secret | undefined;
  /** PEM texts; undefined: what the machine trusts, and no certificate of our own. */
  readonly tls: { readonly ca?: Buffer; readonly cert?: Buffer; readonly key?: Buffer };
}

export interface RedisConnectionOptions {
  readonly address: RedisAddress;
  readonly connectMs: number;
  /** How long the answer to a command may take. */
  readonly commandMs: number;
  readonly retryMinMs: number;
  readonly retryMaxMs: number;
  /** Bytes that may be on their way to Redis at a time. */
  readonly pendingBytes: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/**
 * Two connections, one for commands and one that hears channels. Nothing waits for Redis to come back: while it is away
 * every command fails at once, and one that is not answered in time takes its connection with it, so that nothing piles
 * up behind it.
 */
export class RedisConnection {
  readonly #options: RedisConnectionOptions;
  readonly #commands: Redis;
  readonly #subscriber: Redis;
  readonly #channels = new Map<string, Set<(message: string) => void>>();
  readonly #onReady = new Set<() => void>();
  readonly #failures: Counter;
  #pending = 0;
  #stopped = false;
  /** The present connection hears the channels that there were when it began. */
  #hears = false;
  /** Whether its absence has been logged. */
  #isAway = false;

  constructor(options: RedisConnectionOptions) {
    this.#options = options;
    this.#commands = this.#client();
    this.#subscriber = this.#client();
    this.#commands.on('ready', () => this.#ready());
    this.#subscriber.on('ready', () => this.#listen());
    this.#subscriber.on('message', (channel, message) => {
      for (const listener of this.#channels.get(channel) ?? []) listener(message);
    });
    const up = options.metrics.gauge('signalbox_proxy_redis_up', 'Whether Redis can be reached: 1 or 0.');
    this.#failures = options.metrics.counter(
      'signalbox_proxy_redis_failures_total',
      'What could not be done because Redis was away, too slow, or refused it.',
    );
    options.metrics.onCollect(() => up.set(this.isReady ? 1 : 0));
  }

  /** Commands can be sent, and channels are heard. */
  get isReady(): boolean {
    return this.#commands.status === 'ready' && this.#subscriber.status === 'ready' && this.#hears;
  }

  start(): void {
    for (const client of [this.#commands, this.#subscriber]) client.connect().catch(() => undefined);
  }

  stop(): void {
    this.#stopped = true;
    for (const client of [this.#commands, this.#subscriber]) client.disconnect();
  }

  /** Calls back each time that Redis can be used again, channels included. */
  onReady(listener: () => void): void {
    this.#onReady.add(listener);
  }

  /**
   * Sends commands together. @param bytes of what they carry.
   * @returns their answers in order. @throws SharedStateError when one could not be sent, failed, or took too long.
   */
  async run(bytes: number, add: (commands: ChainableCommander) => ChainableCommander): Promise<readonly unknown[]> {
    if (this.#commands.status !== 'ready') throw this.#refused('Redis cannot be reached');
    if (this.#pending + bytes > this.#options.pendingBytes) throw this.#refused('Redis is too slow');
    this.#pending += bytes;
    try {
      const answers = await add(this.#commands.pipeline()).exec();
      return (answers ?? []).map(([error, answer]) => {
        if (error) throw error;
        return answer;
      });
    } catch (error) {
      throw this.#failed(error);
    } finally {
      this.#pending -= bytes;
    }
  }

  /** Hears a channel, now and after each reconnection. */
  subscribe(channel: string, listener: (message: string) => void): Disposable {
    const listeners = this.#channels.get(channel) ?? new Set();
    const isNew = listeners.size === 0;
    this.#channels.set(channel, listeners.add(listener));
    if (isNew && this.#subscriber.status === 'ready') this.#hear([channel]).catch(() => this.renewSubscriber());
    return {
      [Symbol.dispose]: () => {
        listeners.delete(listener);
        if (listeners.size > 0 || this.#channels.get(channel) !== listeners) return;
        this.#channels.delete(channel);
        if (this.#subscriber.status === 'ready') this.#subscriber.unsubscribe(channel).catch(() => undefined);
      },
    };
  }

  /** The connection that hears channels does not seem to: another one takes its place. */
  renewSubscriber(): void {
    this.#renew(this.#subscriber);
  }

  #client(): Redis {
    const { address, connectMs, commandMs, clock, random, retryMinMs, retryMaxMs } = this.#options;
    const backoff = new Backoff({ minMs: retryMinMs, maxMs: retryMaxMs, stableAfterMs: retryMaxMs }, clock, random);
    const how: Omit<RedisOptions, 'replyMapping'> = {
      ...optionsOf(address),
      ...{ connectTimeout: connectMs, commandTimeout: commandMs, lazyConnect: true },
      protocol: 2,
      ...{ enableOfflineQueue: false, autoResubscribe: false, autoResendUnfulfilledCommands: false },
      ...{ maxRetriesPerRequest: 0, disableClientInfo: true },
      retryStrategy: () => (this.#stopped ? null : backoff.nextDelayMs()),
    };
    const client = new Redis(how);
    client.on('ready', () => backoff.succeeded());
    client.on('error', (error: Error) => this.#away(error));
    return client;
  }

  #refused(why: string): SharedStateError {
    this.#failures.add();
    return new SharedStateError(why);
  }

  #failed(error: unknown): SharedStateError {
    const text = error instanceof Error ? error.message : String(error);
    if (text === 'Command timed out') this.#renew(this.#commands);
    this.#away(error);
    return this.#refused(`Redis did not do what it was asked for: ${text}`);
  }

  /** Cuts the connection: one that says nothing does not answer a polite end either. */
  #renew(client: Redis): void {
    if (this.#stopped || client.status !== 'ready') return;
    client.disconnect(true);
    client.stream.destroy();
  }

  #away(error: unknown): void {
    if (this.#isAway || this.#stopped) return;
    this.#isAway = true;
    this.#options.logger.warn('Redis is away: what nodes share cannot be used', { error: String(error) });
  }

  #ready(): void {
    if (!this.isReady) return;
    if (this.#isAway) this.#options.logger.info('Redis is back');
    this.#isAway = false;
    for (const listener of this.#onReady) listener();
  }

  /** A connection that does not take the channels is of no use. */
  #listen(): void {
    this.#hears = false;
    this.#hear([...this.#channels.keys()]).then(
      () => {
        this.#hears = true;
        this.#ready();
      },
      () => this.renewSubscriber(),
    );
  }

  async #hear(channels: readonly string[]): Promise<void> {
    await this.#subscriber.subscribe(...channels);
  }
}

function optionsOf({ url, user, password, tls }: RedisAddress): RedisOptions {
  const text = url.reveal();
  const credentials = {
    ...(user === '' ? {} : { username: user }),
    ...(password === undefined ? {} : { password: password.reveal() }),
  };
  if (text.startsWith('/')) return { path: text, ...credentials };
  const { protocol, hostname: inBrackets, port, username, password: inUrl, pathname } = new URL(text);
  const db = pathname.replace('/', '');
  const hostname = inBrackets.replace(/^\[|\]$/g, '');
  return {
    host: hostname,
    port: port === '' ? defaultPort : Number(port),
    ...(username === '' ? {} : { username: decodeURIComponent(username) }),
    ...(inUrl === '' ? {} : { password: decodeURIComponent(inUrl) }),
    ...(db === '' ? {} : { db: Number(db) }),
    ...credentials,
    ...(protocol === 'rediss:' ? { tls: isIP(hostname) === 0 ? { ...tls, servername: hostname } : tls } : {}),
  };
}

const defaultPort = 6_379;
