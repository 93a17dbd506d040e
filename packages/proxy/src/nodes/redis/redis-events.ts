import type { NodesLimits } from '../limits.ts';
import type { EventLog, EventLogWriter, LoggedEvent, LoggedEvents, StreamKey } from '../shared-state.ts';
import type { RedisConnection } from './redis-connection.ts';
import type { RedisKeys } from './redis-keys.ts';
import type { RedisSeal } from './redis-seal.ts';

interface Parts {
  readonly redis: RedisConnection;
  readonly keys: RedisKeys;
  readonly seal: RedisSeal;
  readonly limits: NodesLimits;
}

/**
 * Events in Redis: a stream each, whose entries bear the positions as their ids. Nobody waits for a write: an event that
 * could not be written is a gap, which readers see.
 */
export class RedisEventLog implements EventLog {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  begin(key: StreamKey, about: string): EventLogWriter {
    return new RedisEventWriter(this.#parts, key, about);
  }

  async read(key: StreamKey, after: number): Promise<LoggedEvents | undefined> {
    const { redis, keys, seal, limits } = this.#parts;
    const [aboutName, name] = [keys.about(key), keys.events(key)];
    const count = limits.streamEvents + 1;
    const [sealedAbout, entries] = await redis.run(0, (commands) =>
      commands.get(aboutName).xrange(name, `(${after}-0`, '+', 'COUNT', count),
    );
    const about = typeof sealedAbout === 'string' ? seal.open(aboutName, sealedAbout) : undefined;
    if (about === undefined) return undefined;
    const read = (entries as readonly Entry[]).map(([id, fields]) => this.#opened(name, id, fields));
    const events = read.filter((event): event is LoggedEvent => event !== 'end' && event !== undefined);
    return { about, events, isClosed: read.at(-1) === 'end' };
  }

  watch(key: StreamKey, onMore: () => void): Disposable {
    const { redis, keys } = this.#parts;
    return redis.subscribe(keys.events(key), onMore);
  }

  #opened(name: string, id: string, [, sealed]: readonly string[]): LoggedEvent | 'end' | undefined {
    const position = Number.parseInt(id, 10);
    const text = sealed === undefined ? undefined : this.#parts.seal.open(`${name}:${position}`, sealed);
    if (text === '') return 'end';
    return text === undefined ? undefined : { position, text };
  }
}

/** As XRANGE answers. */
type Entry = readonly [id: string, fields: readonly string[]];

class RedisEventWriter implements EventLogWriter {
  next = 1;
  readonly #parts: Parts;
  readonly #name: string;
  readonly #aboutName: string;
  /** Until it has been written. */
  #about: string | undefined;
  /** Sizes of the events that are kept, the last one at `next - 1`. */
  readonly #sizes: number[] = [];
  #bytes = 0;

  constructor(parts: Parts, key: StreamKey, about: string) {
    this.#parts = parts;
    this.#name = parts.keys.events(key);
    this.#aboutName = parts.keys.about(key);
    this.#about = about;
  }

  append(event: string): void {
    const { streamEvents, streamEventBytes } = this.#parts.limits;
    this.#sizes.push(event.length);
    this.#bytes += event.length;
    while (this.#sizes.length > 0 && (this.#sizes.length > streamEvents || this.#bytes > streamEventBytes)) {
      this.#bytes -= this.#sizes.shift() as number;
    }
    if (this.#sizes.length > 0) this.#write(event, this.next - this.#sizes.length + 1);
    else this.next += 1;
  }

  touch(): void {
    const { redis, limits } = this.#parts;
    const touched = redis.run(0, (commands) =>
      commands.pexpire(this.#name, limits.streamEventMs).pexpire(this.#aboutName, limits.streamEventMs),
    );
    touched.catch(() => undefined);
  }

  /** An empty event ends the stream. */
  close(): void {
    this.#write('', this.next - this.#sizes.length);
  }

  /** @param oldest position of the first event that is kept. */
  #write(event: string, oldest: number): void {
    const { redis, seal, limits } = this.#parts;
    const position = this.next;
    this.next += 1;
    const sealed = seal.seal(`${this.#name}:${position}`, event);
    const about = this.#about;
    const sealedAbout = about === undefined ? undefined : seal.seal(this.#aboutName, about);
    const written = redis.run(sealed.length, (commands) => {
      if (sealedAbout !== undefined) commands.set(this.#aboutName, sealedAbout, 'PX', limits.streamEventMs);
      return commands
        .xadd(this.#name, `${position}-0`, 'e', sealed)
        .xtrim(this.#name, 'MINID', `${oldest}-0`)
        .pexpire(this.#name, limits.streamEventMs)
        .pexpire(this.#aboutName, limits.streamEventMs)
        .publish(this.#name, '');
    });
    this.#about = undefined;
    // Its readers see the gap.
    written.catch(() => void (this.#about ??= about));
  }
}
