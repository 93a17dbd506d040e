import type { Readable } from 'node:stream';
import type { BodySink } from './exchange.ts';
import { RequestBody } from './request-body.ts';

/** What requests are read from. */
interface AbortableStream extends Readable {
  /** Cut short by its client. */
  readonly aborted: boolean;
}

/** Passes the body of a request on in pieces as they come, until its exchange is over. */
export function passBodyOn(stream: AbortableStream, sink: BodySink, exchange: { readonly gone: boolean }): void {
  stream.on('data', (chunk: Buffer) => {
    if (!exchange.gone && !sink.onBodyData(chunk)) stream.pause();
  });
  let trailers: readonly string[] | undefined;
  // They come before the end; node:http2 tells them raw behind the flags.
  stream.on('trailers', (_fields, _flags, raw: readonly string[]) => void (trailers = raw));
  stream.on('end', () => {
    if (!exchange.gone && !stream.aborted) sink.onBodyEnd(trailers);
  });
}

/** Gathers the body of a request from a stream of Node.js, up to a bound. */
export class BodyCollector {
  readonly #maxBytes: number;
  readonly #expected: number | undefined;
  readonly #onTooLarge: () => void;
  readonly #body = new RequestBody();
  #resolve: ((body: Buffer | undefined) => void) | undefined;

  /** @param expected its length, if that is known: then its end is not waited for. */
  constructor(maxBytes: number, expected: number | undefined, onTooLarge: () => void) {
    this.#maxBytes = maxBytes;
    this.#expected = expected;
    this.#onTooLarge = onTooLarge;
  }

  /** Resolves with undefined when the body exceeds its bound, or is abandoned. */
  read(stream: AbortableStream): Promise<Buffer | undefined> {
    const take = (chunk: Buffer) => {
      if (!this.#take(chunk)) stream.off('data', take).resume();
    };
    stream.on('data', take);
    if (this.#expected === undefined) stream.on('end', () => this.#end(stream));
    return new Promise((resolve) => void (this.#resolve = resolve));
  }

  /** The client left. */
  abandon(): void {
    this.#body.drop();
    this.#settle(undefined);
  }

  /** node:http2 ends a stream that its client has cut short like one that is complete. */
  #end(stream: AbortableStream): void {
    if (stream.aborted) this.abandon();
    else this.#settle(this.#body.take());
  }

  /** @returns false when no more is wanted. */
  #take(chunk: Buffer): boolean {
    const body = this.#body;
    body.add(chunk, 0, chunk.length);
    if (body.length > this.#maxBytes) {
      this.abandon();
      this.#onTooLarge();
      return false;
    }
    if (body.length === this.#expected) this.#settle(body.take());
    return true;
  }

  #settle(body: Buffer | undefined): void {
    const resolve = this.#resolve;
    this.#resolve = undefined;
    resolve?.(body);
  }
}
