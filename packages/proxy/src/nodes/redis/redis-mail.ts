import type { Clock } from '@signalbox/runtime';
import type { NodesLimits } from '../limits.ts';
import { type Mail, SharedStateError } from '../shared-state.ts';
import type { RedisConnection } from './redis-connection.ts';
import type { RedisKeys } from './redis-keys.ts';
import type { RedisSeal } from './redis-seal.ts';

interface Parts {
  readonly redis: RedisConnection;
  readonly keys: RedisKeys;
  readonly seal: RedisSeal;
  readonly limits: NodesLimits;
  readonly clock: Clock;
  readonly self: string;
}

/**
 * Letters through Redis channels: one a node, and one for all. A node holds a lease that it renews; with each renewal it
 * writes to itself, so that a connection that hears nothing any more is found out.
 */
export class RedisMail implements Mail {
  readonly #parts: Parts;
  #onLetter: (letter: string) => void = () => undefined;
  readonly #held: Disposable[] = [];
  /** Letters of this node to itself that have not arrived. */
  #unheard = 0;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  start(): void {
    const { redis, keys, clock, limits, self } = this.#parts;
    for (const channel of [keys.mail(self), keys.mailToAll]) {
      this.#held.push(redis.subscribe(channel, (letter) => this.#take(channel, letter)));
    }
    redis.onReady(() => void this.#renew());
    this.#held.push(clock.interval(limits.leaseMs / renewals, () => void this.#renew()));
  }

  async stop(): Promise<void> {
    const { redis, keys, self } = this.#parts;
    for (const each of this.#held.splice(0)) each[Symbol.dispose]();
    await redis.run(0, (commands) => commands.del(keys.node(self))).catch(() => undefined);
  }

  onLetter(listener: (letter: string) => void): void {
    this.#onLetter = listener;
  }

  /** A node that holds its lease and hears nothing is connecting anew: it is given a moment. */
  async send(node: string, letter: string): Promise<boolean> {
    for (let attempt = 1; ; attempt += 1) {
      if ((await this.#publish(this.#parts.keys.mail(node), letter)) > 0) return true;
      if (!(await this.isPresent(node))) return false;
      if (attempt === maxAttempts) throw new SharedStateError('the other node hears nothing at the moment');
      await this.#parts.clock.sleep(betweenAttemptsMs);
    }
  }

  async broadcast(letter: string): Promise<void> {
    await this.#publish(this.#parts.keys.mailToAll, letter);
  }

  async isPresent(node: string): Promise<boolean> {
    const { redis, keys } = this.#parts;
    const [found] = await redis.run(0, (commands) => commands.exists(keys.node(node)));
    return found === 1;
  }

  async #publish(channel: string, letter: string): Promise<number> {
    const { redis, seal, clock, self } = this.#parts;
    const sealed = seal.seal(channel, JSON.stringify([clock.now(), self, letter]));
    const [receivers] = await redis.run(sealed.length, (commands) => commands.publish(channel, sealed));
    return Number(receivers);
  }

  #take(channel: string, sealed: string): void {
    const text = this.#parts.seal.open(channel, sealed);
    if (text === undefined) return;
    const [at, from, letter] = JSON.parse(text) as [number, string, string];
    if (Math.abs(this.#parts.clock.now() - at) > maxAgeMs) return;
    if (from !== this.#parts.self) this.#onLetter(letter);
    else if (letter === '') this.#unheard = 0;
  }

  async #renew(): Promise<void> {
    const { redis, keys, limits, self } = this.#parts;
    if (!redis.isReady) return;
    if (this.#unheard >= maxUnheard) {
      this.#unheard = 0;
      return redis.renewSubscriber();
    }
    this.#unheard += 1;
    try {
      await redis.run(0, (commands) => commands.set(keys.node(self), '1', 'PX', limits.leaseMs));
      await this.#publish(keys.mail(self), '');
    } catch {
      // The next renewal tries again; what was not sent cannot be heard.
      this.#unheard = 0;
    }
  }
}

/** How often a lease is renewed before it would run out. */
const renewals = 3;
const maxUnheard = 2;
const maxAttempts = 10;
const betweenAttemptsMs = 50;
/** A letter that is older was kept back by somebody; clocks of nodes may differ by as much. */
const maxAgeMs = 120_000;
