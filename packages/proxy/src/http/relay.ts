import type { UpstreamError, UpstreamExchange, UpstreamHandler, UpstreamHead } from '../upstream/upstream.ts';
import type { BodyWriter, Exchange } from './exchange.ts';

/** What the client is sent in place of the upstream's head. */
export interface RelayHead {
  readonly status: number;
  /** Nothing of the upstream's headers is passed on by itself. */
  readonly headers: readonly string[];
}

export interface RelayOptions {
  readonly exchange: Exchange;
  /** Bytes of answer that may wait for the client before the upstream is paused. */
  readonly maxBufferedBytes: number;
  headFor(head: UpstreamHead): RelayHead;
  /**
   * Called once, at the end: with `undefined` when the whole answer was handed to the client's connection or the client
   * left. On an error the answer was broken off if it had `begun`; if not, the exchange is still to be answered.
   */
  onSettled(error: UpstreamError | undefined): void;
}

/**
 * Passes an upstream's answer to a client, piece by piece as it arrives. Hand it to `Upstream.dispatch`, then `bind` it
 * to what that returns.
 *
 * 1. An answer of known length that came in one piece is one write, head included.
 * 2. When the client is slow the upstream is paused, and goes on when the client has caught up. A client that never
 *    does is cut off by the codec after its write timeout, which ends the relay.
 * 3. When the client leaves, the upstream exchange is aborted. When the upstream breaks off after the head, so does the
 *    answer: a client never takes a part for the whole.
 */
export class Relay implements UpstreamHandler {
  readonly #options: RelayOptions;
  #upstream: UpstreamExchange | undefined;
  #head: RelayHead | undefined;
  #contentLength: number | undefined;
  /** The whole body, while nothing has been sent. */
  #whole: Buffer | undefined;
  #writer: BodyWriter | undefined;
  #settled = false;

  constructor(options: RelayOptions) {
    this.#options = options;
  }

  bind(upstream: UpstreamExchange): void {
    this.#upstream = upstream;
    this.#options.exchange.onClientGone(() => {
      upstream.abort();
      this.#settle(undefined);
    });
  }

  /** Something of the answer was sent. */
  get begun(): boolean {
    return this.#writer !== undefined;
  }

  onHead(head: UpstreamHead): void {
    this.#head = this.#options.headFor(head);
    this.#contentLength = head.contentLength;
    // A stream without a length may stay silent for long: its head goes out at once.
    if (head.contentLength === undefined) this.#open();
  }

  onData(chunk: Buffer): void {
    if (!this.#writer && chunk.length === this.#contentLength) {
      this.#whole = chunk;
      return;
    }
    const writer = this.#writer ?? this.#open();
    if (!writer.write(chunk) && writer.bufferedBytes > this.#options.maxBufferedBytes) this.#upstream?.pause();
  }

  onEnd(): void {
    if (this.#writer) this.#writer.end();
    else if (this.#head) this.#options.exchange.respond(this.#head.status, this.#head.headers, this.#whole);
    this.#settle(undefined);
  }

  onError(error: UpstreamError): void {
    this.#writer?.abort();
    this.#settle(error);
  }

  #open(): BodyWriter {
    const { status, headers } = this.#head as RelayHead;
    const writer = this.#options.exchange.stream(status, headers, this.#contentLength);
    writer.onDrain(() => this.#upstream?.resume());
    this.#writer = writer;
    return writer;
  }

  #settle(error: UpstreamError | undefined): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#options.onSettled(error);
  }
}
