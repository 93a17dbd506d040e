import type { UpstreamError, UpstreamExchange, UpstreamHandler, UpstreamHead } from '../upstream/upstream.ts';

/** Gathers what an exchange reports; every call is one more line of `calls`. */
export class GatheredAnswer implements UpstreamHandler {
  readonly calls: string[] = [];
  head: UpstreamHead | undefined;
  body = '';
  trailers: readonly string[] | undefined;
  error: UpstreamError | undefined;
  /** How often more of a body could be written. */
  writable = 0;
  exchange: UpstreamExchange | undefined;
  readonly #over = Promise.withResolvers<this>();
  readonly #begun = Promise.withResolvers<this>();
  readonly #data = Promise.withResolvers<this>();

  get over(): Promise<this> {
    return this.#over.promise;
  }

  get begun(): Promise<this> {
    return this.#begun.promise;
  }

  get firstData(): Promise<this> {
    return this.#data.promise;
  }

  onHead(head: UpstreamHead): void {
    this.calls.push('head');
    this.head = head;
    this.#begun.resolve(this);
  }

  onData(chunk: Buffer): void {
    this.body += chunk.toString('latin1');
    this.#data.resolve(this);
  }

  onTrailers(trailers: readonly string[]): void {
    this.calls.push('trailers');
    this.trailers = trailers;
  }

  onWritable(): void {
    this.writable += 1;
  }

  onEnd(): void {
    this.calls.push('end');
    this.#over.resolve(this);
  }

  onError(error: UpstreamError): void {
    this.calls.push(error.code);
    this.error = error;
    this.#over.resolve(this);
  }
}
