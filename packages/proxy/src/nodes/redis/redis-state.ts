import type { Clock, Random } from '@signalbox/runtime';
import type { SessionKeys } from '../../session/session-keys.ts';
import type { NodesLimits } from '../limits.ts';
import type { SharedState } from '../shared-state.ts';
import { RedisConnection, type RedisConnectionOptions } from './redis-connection.ts';
import { RedisEndings } from './redis-endings.ts';
import { RedisEventLog } from './redis-events.ts';
import { RedisKeys } from './redis-keys.ts';
import { RedisMail } from './redis-mail.ts';
import { RedisRecords } from './redis-records.ts';
import { RedisSeal } from './redis-seal.ts';

export interface RedisStateOptions extends RedisConnectionOptions {
  /** Name of this process among the nodes. */
  readonly self: string;
  /** In front of every key and channel. */
  readonly prefix: string;
  readonly sessionKeys: SessionKeys;
  readonly limits: NodesLimits;
  readonly clock: Clock;
  readonly random: Random;
}

/** What nodes share, in Redis. */
export class RedisState implements SharedState {
  readonly self: string;
  readonly mail: RedisMail;
  readonly endings: RedisEndings;
  readonly records: RedisRecords;
  readonly events: RedisEventLog;
  readonly #redis: RedisConnection;

  constructor(options: RedisStateOptions) {
    const { self, prefix, sessionKeys, limits, clock, random } = options;
    const redis = new RedisConnection(options);
    const keys = new RedisKeys(prefix);
    const seal = new RedisSeal(sessionKeys, random);
    const parts = { redis, keys, seal, limits, clock, self };
    this.self = self;
    this.#redis = redis;
    this.mail = new RedisMail(parts);
    this.endings = new RedisEndings(parts);
    this.records = new RedisRecords(redis, keys, seal, limits.recordBytes);
    this.events = new RedisEventLog(parts);
  }

  start(): void {
    this.mail.start();
    this.endings.start();
    this.#redis.start();
  }

  async stop(): Promise<void> {
    this.endings.stop();
    await this.mail.stop();
    this.#redis.stop();
  }
}
