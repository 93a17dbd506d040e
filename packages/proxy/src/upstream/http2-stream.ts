import { type ClientHttp2Stream, constants } from 'node:http2';
import type { DispatchedExchange, ExchangeCarrier } from './dispatched-exchange.ts';
import { Http2ResponseHead, http2Trailers, readTrailers } from './http2-head.ts';
import type { UpstreamError } from './upstream.ts';

/** What a stream tells its connection. */
export interface Http2StreamOwner {
  readonly maxHeadBytes: number;
  /** Something came from the peer. */
  heard(): void;
  /** The stream is over, and its place is free. @param isSilent its peer may be gone. */
  streamEnded(stream: Http2Stream, isSilent: boolean): void;
  /** It lasts: see `UpstreamExchange.detach`. */
  detached(stream: Http2Stream): void;
  /** The peer has not acted on the request, or may not have: nothing of an answer came. @param refused it says so. */
  unanswered(exchange: DispatchedExchange, refused: boolean, message: string): void;
  /** Why the connection ended; empty while it stands. */
  readonly lost: string;
}

/** One exchange on its stream of HTTP/2. */
export class Http2Stream implements ExchangeCarrier {
  isDetached = false;
  readonly mark: number;
  readonly #owner: Http2StreamOwner;
  readonly #stream: ClientHttp2Stream;
  #exchange: DispatchedExchange | undefined;
  #trailers: readonly string[] = [];
  #hasHead = false;
  #hasTrailers = false;
  #informational = 0;
  #received = 0;
  #announced: number | undefined;

  /** @param mark what had been heard on the connection when it began. */
  constructor(owner: Http2StreamOwner, stream: ClientHttp2Stream, exchange: DispatchedExchange, mark: number) {
    this.mark = mark;
    this.#owner = owner;
    this.#stream = stream;
    this.#exchange = exchange;
    exchange.connection = this;
    this.#listen(stream);
    const { body, streamed } = exchange.request;
    exchange.sent();
    if (exchange.paused) stream.pause();
    if (streamed !== undefined) exchange.uploadOn(this);
    else if (body && body.length > 0) stream.end(body);
  }

  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    this.#stream.resume();
  }

  /** Empty pieces never come here: as the last of several that wait they would spoil the others in Node 24. */
  upload(piece: Buffer): boolean {
    return this.#stream.write(piece);
  }

  endUpload(trailers: readonly string[]): void {
    this.#trailers = trailers;
    this.#stream.end();
  }

  detach(): void {
    if (this.isDetached) return;
    this.isDetached = true;
    this.#owner.detached(this);
  }

  destroy(isSilent = false): void {
    this.#release(isSilent);
    this.#stream.close(constants.NGHTTP2_CANCEL);
    // Else what has come and nobody reads any more would keep the stream.
    this.#stream.resume();
  }

  /** Gives up, and the exchange with it. */
  breakOff(reason: string): void {
    const exchange = this.#exchange;
    this.destroy();
    exchange?.failed('closed-early', reason);
  }

  #listen(stream: ClientHttp2Stream): void {
    // Node tells the raw fields behind the flags.
    stream.on('response', (_, flags, ...more: unknown[]) => this.#onHead(flags, more[0] as readonly string[]));
    stream.on('headers', () => this.#onInformational());
    stream.on('data', (chunk: Buffer) => this.#onData(chunk));
    stream.on('trailers', (_, __, ...more: unknown[]) => this.#onTrailers(more[0] as readonly string[]));
    stream.on('end', () => this.#onEnd());
    stream.on('drain', () => this.#exchange?.drained());
    stream.on('wantTrailers', () => {
      if (!stream.closed && !stream.destroyed) stream.sendTrailers(http2Trailers(this.#trailers));
    });
    // The code of the reset says more, and `close` follows.
    stream.on('error', () => undefined);
    stream.on('close', () => this.#onClose());
  }

  #onInformational(): void {
    this.#informational += 1;
    if (this.#informational > maxInformational) this.#fail('protocol', 'too many interim answers');
  }

  #onHead(flags: number, raw: readonly string[]): void {
    const exchange = this.#exchange;
    if (!exchange) return;
    this.#owner.heard();
    const isWhole = (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0;
    const { method: requestMethod } = exchange.request;
    const head = Http2ResponseHead.read(raw, { isWhole, requestMethod, maxBytes: this.#owner.maxHeadBytes });
    if (typeof head === 'string') return this.#fail('protocol', head);
    this.#hasHead = true;
    this.#announced = requestMethod === 'HEAD' ? undefined : head.contentLength;
    exchange.answered(head);
    exchange.watchBody();
  }

  #onData(chunk: Buffer): void {
    if (!this.#exchange) return;
    this.#owner.heard();
    this.#received += chunk.length;
    this.#exchange.data(chunk, false);
  }

  #onTrailers(raw: readonly string[]): void {
    const trailers = readTrailers(raw, this.#owner.maxHeadBytes);
    if (typeof trailers === 'string') return this.#fail('protocol', trailers);
    this.#hasTrailers = true;
    this.#exchange?.trailed(trailers);
  }

  /** node:http2 ends a stream that was reset like one that is complete: what else is known of it tells them apart. */
  #onEnd(): void {
    const exchange = this.#exchange;
    if (!exchange || !this.#isComplete) return;
    const stream = this.#stream;
    this.#release(false);
    exchange.ended();
    // The answer did not wait for the request: nobody will read the rest of it (RFC 9113 §8.1).
    if (!stream.writableEnded) stream.close(constants.NGHTTP2_CANCEL);
  }

  get #isComplete(): boolean {
    if (!this.#hasHead || (this.#announced !== undefined && this.#received !== this.#announced)) return false;
    return this.#hasTrailers || this.#stream.rstCode === constants.NGHTTP2_NO_ERROR;
  }

  #onClose(): void {
    const exchange = this.#exchange;
    if (!exchange) return;
    this.#release(false);
    const { rstCode } = this.#stream;
    const { lost } = this.#owner;
    const isRefused = rstCode === constants.NGHTTP2_REFUSED_STREAM;
    if (!this.#hasHead && (isRefused || lost !== '')) {
      exchange.connection = undefined;
      this.#owner.unanswered(exchange, isRefused, isRefused ? 'the upstream refused the stream' : lost);
      return;
    }
    if (protocolErrors.has(rstCode)) return exchange.failed('protocol', `the stream broke: ${nameOf(rstCode)}`);
    exchange.failed('closed-early', lost === '' ? `the upstream reset the stream: ${nameOf(rstCode)}` : lost);
  }

  #fail(code: UpstreamError['code'], message: string): void {
    const exchange = this.#exchange;
    this.destroy();
    exchange?.failed(code, message);
  }

  #release(isSilent: boolean): void {
    const exchange = this.#exchange;
    if (!exchange) return;
    this.#exchange = undefined;
    exchange.connection = undefined;
    this.#owner.streamEnded(this, isSilent);
  }
}

const maxInformational = 16;

/** What one of both sides did not understand. */
const protocolErrors: ReadonlySet<number> = new Set([
  constants.NGHTTP2_PROTOCOL_ERROR,
  constants.NGHTTP2_FRAME_SIZE_ERROR,
  constants.NGHTTP2_COMPRESSION_ERROR,
  constants.NGHTTP2_FLOW_CONTROL_ERROR,
]);

/** Codes of RFC 9113 §7, in their order. */
const names: readonly string[] = [
  ...['NO_ERROR', 'PROTOCOL_ERROR', 'INTERNAL_ERROR', 'FLOW_CONTROL_ERROR', 'SETTINGS_TIMEOUT', 'STREAM_CLOSED'],
  ...['FRAME_SIZE_ERROR', 'REFUSED_STREAM', 'CANCEL', 'COMPRESSION_ERROR', 'CONNECT_ERROR', 'ENHANCE_YOUR_CALM'],
  ...['INADEQUATE_SECURITY', 'HTTP_1_1_REQUIRED'],
];

/** Name of an error code of HTTP/2. */
export function nameOf(code: number | undefined): string {
  return names[code ?? 0] ?? `code ${code}`;
}
