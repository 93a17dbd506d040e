import { type Counter, notRostered, Roster, type Rostered } from '@signalbox/runtime';
import type { Exchange } from './exchange.ts';
import type { HttpServerLimits, HttpServerOptions } from './http-server.ts';

/**
 * How far an exchange has come: the same for every codec, which adds how bytes come and go. A base class and not a part,
 * so that a request costs no object more.
 */
export abstract class OpenExchange implements Rostered {
  place = notRostered;
  #answered = false;
  #complete = false;
  #gone = false;
  #clientGone: (() => void) | undefined;
  #responseBytes = 0;
  /** When the sweep first saw that the client does not take the answer; 0 while it does. */
  #stalledSince = 0;

  /** The client does not take what was written. */
  protected abstract readonly needsDrain: boolean;

  /** Ends what the exchange came over. */
  abstract cutOff(): void;

  get answered(): boolean {
    return this.#answered;
  }

  /** The client has left, or the answer is out. */
  get gone(): boolean {
    return this.#gone;
  }

  get closed(): boolean {
    return this.#complete || this.#gone;
  }

  onClientGone(listener: () => void): void {
    this.#clientGone = listener;
  }

  get responseBytes(): number {
    return this.#responseBytes;
  }

  /** Counts a piece of a streamed answer. @returns false when nothing may be written any more. */
  accept(bytes: number): boolean {
    if (this.closed) return false;
    this.#responseBytes += bytes;
    return true;
  }

  /** Whether the client has kept its answer waiting for longer than it may. Called by the sweep. */
  isStalled(now: number, { writeTimeoutMs, minWriteBytesPerSecond }: HttpServerLimits): boolean {
    if (!this.#complete && !this.needsDrain) {
      this.#stalledSince = 0;
      return false;
    }
    if (this.#stalledSince === 0) this.#stalledSince = now;
    // A finished answer may be large: it gets time by its size. A stream is asked to keep up.
    const extraMs = this.#complete ? (this.#responseBytes / minWriteBytesPerSecond) * 1_000 : 0;
    return now - this.#stalledSince > writeTimeoutMs + extraMs;
  }

  /** @returns false when nobody is there to read an answer. @throws when there is one already. */
  protected mayBegin(): boolean {
    if (this.#answered) throw new Error('a request is answered once');
    return !this.closed;
  }

  /** The head of an answer was handed over. */
  protected begun(): void {
    this.#answered = true;
  }

  /** The last piece of the answer was handed over. */
  protected completed(): void {
    this.#complete = true;
  }

  /**
   * The exchange is over: its answer is out, or its client is gone.
   * @param delivered all of the answer has left. Else whoever answers hears of it.
   * @returns false when that was known.
   */
  protected ended(delivered: boolean): boolean {
    if (this.#gone) return false;
    this.#gone = true;
    if (!delivered) this.#clientGone?.();
    return true;
  }
}

type OpenExchangesOptions = Pick<HttpServerOptions, 'limits' | 'clock' | 'logger' | 'metrics'>;

/** The exchanges of a listener that were handed out and are not over. */
export class OpenExchanges {
  readonly #options: OpenExchangesOptions;
  readonly #onExchange: (exchange: Exchange) => void;
  readonly #open = new Roster<OpenExchange>();
  readonly #stalled: Counter;

  constructor(options: OpenExchangesOptions, onExchange: (exchange: Exchange) => void) {
    this.#options = options;
    this.#onExchange = onExchange;
    const help = 'Connections cut because the client did not read.';
    this.#stalled = options.metrics.counter('signalbox_http_stalled_total', help);
  }

  get size(): number {
    return this.#open.size;
  }

  [Symbol.iterator](): Iterator<OpenExchange> {
    return this.#open[Symbol.iterator]();
  }

  /** Hands an exchange on. */
  begin(exchange: Exchange & OpenExchange): void {
    this.#open.add(exchange);
    try {
      this.#onExchange(exchange);
    } catch (error) {
      this.#options.logger.error('a request failed', { error: String(error) });
      if (!exchange.answered) exchange.respond(500, [], undefined);
    }
  }

  finished(exchange: OpenExchange): void {
    this.#open.delete(exchange);
  }

  /** Cuts off the clients that do not take their answers. */
  cutStalled(): void {
    const { clock, limits } = this.#options;
    const now = clock.monotonic();
    for (const exchange of this.#open) {
      if (!exchange.isStalled(now, limits)) continue;
      this.#stalled.add();
      exchange.cutOff();
    }
  }
}

/** Bytes of an unread body that are cheaper to read and forget than to lose the connection for. */
export const discardableBytes = 65_536;

export function mayHaveBody(status: number): boolean {
  return status !== 204 && status !== 304;
}

export function byteLength(body: Buffer | string | undefined): number {
  if (body === undefined) return 0;
  return typeof body === 'string' ? Buffer.byteLength(body) : body.length;
}
