import type { Clock } from '@signalbox/runtime';
import type { NodesLimits } from '../limits.ts';
import type { Endings } from '../shared-state.ts';
import type { RedisConnection } from './redis-connection.ts';
import type { RedisKeys } from './redis-keys.ts';
import type { RedisSeal } from './redis-seal.ts';

interface Parts {
  readonly redis: RedisConnection;
  readonly keys: RedisKeys;
  readonly seal: RedisSeal;
  readonly limits: NodesLimits;
  readonly clock: Clock;
}

/**
 * Ended sessions in Redis: one stream of bounded length that every node reads on from where it is: when it is told that
 * there is more, after each reconnection, and now and then anyway.
 */
export class RedisEndings implements Endings {
  readonly #parts: Parts;
  #onEnding: (name: string) => void = () => undefined;
  /** Id of the last entry that was read. */
  #last = '0-0';
  /** What could not be told yet: name and when it is of no more use. */
  readonly #untold = new Map<string, number>();
  #reading = false;
  #readAgain = false;
  #poll: Disposable | undefined;
  #doorbell: Disposable | undefined;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  start(): void {
    const { redis, keys, clock, limits } = this.#parts;
    redis.onReady(() => this.#catchUp());
    this.#doorbell = redis.subscribe(keys.endings, () => void this.#read());
    this.#poll = clock.interval(limits.endingsPollMs, () => this.#catchUp());
  }

  stop(): void {
    this.#poll?.[Symbol.dispose]();
    this.#doorbell?.[Symbol.dispose]();
  }

  onEnding(listener: (name: string) => void): void {
    this.#onEnding = listener;
  }

  announce(name: string, untilMs: number): void {
    const oldest = this.#untold.keys().next();
    if (this.#untold.size >= this.#parts.limits.endings && !oldest.done) this.#untold.delete(oldest.value);
    this.#untold.set(name, untilMs);
    void this.#tell(name, untilMs);
  }

  #catchUp(): void {
    if (!this.#parts.redis.isReady) return;
    for (const [name, untilMs] of this.#untold) void this.#tell(name, untilMs);
    void this.#read();
  }

  async #tell(name: string, untilMs: number): Promise<void> {
    const { redis, keys, seal, limits, clock } = this.#parts;
    const { endings } = keys;
    if (untilMs <= clock.now()) return void this.#untold.delete(name);
    const sealed = seal.seal(endings, JSON.stringify([name, untilMs]));
    try {
      await redis.run(sealed.length, (commands) =>
        commands.xadd(endings, 'MAXLEN', '~', limits.endings, '*', 'e', sealed).publish(endings, ''),
      );
      this.#untold.delete(name);
    } catch {
      // It is told when Redis is there again.
    }
  }

  /** One reading at a time; who rings meanwhile is heard afterwards. */
  async #read(): Promise<void> {
    this.#readAgain = true;
    if (this.#reading) return;
    this.#reading = true;
    try {
      while (this.#readAgain) {
        this.#readAgain = false;
        while ((await this.#readPage()) === pageSize);
      }
    } catch {
      // The poll, or the reconnection, reads on.
    } finally {
      this.#reading = false;
    }
  }

  async #readPage(): Promise<number> {
    const { redis, keys, seal, clock } = this.#parts;
    const { endings } = keys;
    const [entries] = await redis.run(0, (commands) =>
      commands.xrange(endings, `(${this.#last}`, '+', 'COUNT', pageSize),
    );
    const read = entries as readonly (readonly [id: string, fields: readonly string[]])[];
    for (const [id, [, sealed = '']] of read) {
      this.#last = id;
      const text = seal.open(endings, sealed);
      if (text === undefined) continue;
      const [name, untilMs] = JSON.parse(text) as [string, number];
      if (untilMs > clock.now()) this.#onEnding(name);
    }
    return read.length;
  }
}

const pageSize = 1_000;
