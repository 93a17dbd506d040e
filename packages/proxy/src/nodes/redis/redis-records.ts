import { type RecordKey, type Records, SharedStateError } from '../shared-state.ts';
import type { RedisConnection } from './redis-connection.ts';
import type { RedisKeys } from './redis-keys.ts';
import type { RedisSeal } from './redis-seal.ts';

/** Facts of sessions in Redis, a key each. */
export class RedisRecords implements Records {
  readonly #redis: RedisConnection;
  readonly #keys: RedisKeys;
  readonly #seal: RedisSeal;
  readonly #maxBytes: number;

  constructor(redis: RedisConnection, keys: RedisKeys, seal: RedisSeal, maxBytes: number) {
    this.#redis = redis;
    this.#keys = keys;
    this.#seal = seal;
    this.#maxBytes = maxBytes;
  }

  async put(key: RecordKey, text: string, lifeMs: number): Promise<void> {
    if (text.length > this.#maxBytes) throw new SharedStateError('the record is too large');
    const name = this.#keys.record(key);
    const sealed = this.#seal.seal(name, text);
    await this.#redis.run(sealed.length, (commands) => commands.set(name, sealed, 'PX', Math.ceil(lifeMs)));
  }

  async get(key: RecordKey): Promise<string | undefined> {
    const name = this.#keys.record(key);
    const [sealed] = await this.#redis.run(0, (commands) => commands.get(name));
    return typeof sealed === 'string' ? this.#seal.open(name, sealed) : undefined;
  }

  async delete(key: RecordKey): Promise<void> {
    await this.#redis.run(0, (commands) => commands.del(this.#keys.record(key))).catch(() => undefined);
  }
}
