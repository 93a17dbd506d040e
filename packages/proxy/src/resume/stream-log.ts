import type { McpSubject } from '@signalbox/config';
import type { Clock } from '@signalbox/runtime';
import { encodeEvent, type SseEvent } from '../http/sse.ts';
import type { EventLogWriter } from '../nodes/shared-state.ts';
import { looksLikeOurs, shownServerId } from './stream-ids.ts';

/** What whoever goes on with a stream has to know of it. */
export interface StreamAbout {
  /** Where it runs. */
  readonly node: string;
  readonly kind: 'call' | 'get';
  /** Raw JSON of the id of the call; `null` for a GET stream. */
  readonly clientId: string;
  /** What policy was asked about. */
  readonly subject: McpSubject | undefined;
}

/** How long events are kept behind the last one, in milliseconds. */
interface LogTiming {
  readonly clock: Clock;
  readonly keepMs: number;
}

/** A log that has begun. */
export interface BegunLog {
  /** What ids of events begin with. */
  readonly prefix: string;
  readonly writer: EventLogWriter;
  /** Behind the last event. */
  end(): void;
}

/**
 * Numbers and keeps the events of one stream to a legacy client, so that the client can come back for what it has missed,
 * at any node. A server that numbers its events keeps them itself; an answer that comes alone needs no number, since no
 * client has seen anything that it could come back behind: neither costs anything.
 */
export class StreamLog {
  readonly #begin: () => BegunLog;
  readonly #primes: boolean;
  /** The first event, which says whether the gateway has to number them, has come. */
  #isDecided = false;
  #begun: BegunLog | undefined;

  /** When the log was written to last, by the monotonic clock. */
  #writtenAt = 0;
  readonly #timing: LogTiming;

  /** @param primes clients of this revision expect an id before the first event. */
  constructor(begin: () => BegunLog, primes: boolean, timing: LogTiming) {
    this.#begin = begin;
    this.#primes = primes;
    this.#timing = timing;
  }

  /** A client can come back for the events of this stream, and the gateway has them. */
  get isKept(): boolean {
    return this.#begun !== undefined;
  }

  /**
   * An event of the server as its client gets it, with a number if it needs one.
   * @param bytes of the whole event.
   * @param isAnswer nothing follows it.
   */
  number(bytes: Buffer | string, { id, data, dataBytes, retryMs }: SseEvent, isAnswer: boolean): Buffer | string {
    if (id === undefined && dataBytes === undefined) return bytes;
    this.#decide(id !== undefined, isAnswer);
    if (id === undefined) return this.#begun ? this.#keep(bytes) : bytes;
    const retry = retryMs === undefined ? {} : { retryMs };
    const shown = looksLikeOurs(id)
      ? encodeEvent({ id: shownServerId(id), ...retry, ...(data === undefined ? {} : { data }) })
      : bytes;
    // Behind this one its client comes back to the server; behind an earlier one, to what is kept.
    this.#begun?.writer.append(shown.toString());
    return shown;
  }

  /** An event of the gateway's own. */
  numberOwn(event: string): string {
    return this.#begun && event.includes('data: ') ? (this.#keep(event) as string) : event;
  }

  /** An id for a client that has got nothing yet; undefined when it needs none. */
  prime(): string | undefined {
    if (!this.#primes || this.#isDecided) return undefined;
    this.#decide(false, false);
    return this.#keep(encodeEvent({ data: '' })) as string;
  }

  /** Now and then, however quiet the stream is: what is kept must not expire while it goes on. */
  tick(): void {
    const { clock, keepMs } = this.#timing;
    if (!this.#begun || clock.monotonic() - this.#writtenAt < keepMs / 2) return;
    this.#writtenAt = clock.monotonic();
    this.#begun.writer.touch();
  }

  /** Nothing follows. */
  close(): void {
    this.#begun?.writer.close();
    this.#begun?.end();
    this.#begun = undefined;
    this.#isDecided = true;
  }

  #decide(hasId: boolean, isAnswer: boolean): void {
    if (this.#isDecided) return;
    this.#isDecided = true;
    if (!hasId && !isAnswer) this.#begun = this.#begin();
  }

  #keep(event: Buffer | string): Buffer | string {
    const { prefix, writer } = this.#begun as BegunLog;
    const line = `id: ${prefix}${writer.next}\n`;
    this.#writtenAt = this.#timing.clock.monotonic();
    if (typeof event === 'string') {
      writer.append(line + event);
      return line + event;
    }
    const numbered = Buffer.concat([Buffer.from(line, 'latin1'), event]);
    writer.append(numbered.toString('utf8'));
    return numbered;
  }
}
