import type { BodyWriter } from '../http/exchange.ts';
import type { UpstreamExchange } from '../upstream/upstream.ts';

/** Writes at the client's pace: while the client does not take what was written, the upstream is not read. */
export class PacedWriter {
  readonly #writer: BodyWriter;
  readonly #upstream: UpstreamExchange | undefined;
  #paused = false;

  constructor(writer: BodyWriter, upstream: UpstreamExchange | undefined) {
    this.#writer = writer;
    this.#upstream = upstream;
  }

  write(bytes: Buffer | string): void {
    if (this.#writer.write(bytes) || this.#paused) return;
    this.#paused = true;
    this.#upstream?.pause();
    this.#writer.onDrain(() => {
      this.#paused = false;
      this.#upstream?.resume();
    });
  }

  end(bytes?: Buffer | string): void {
    this.#writer.end(bytes);
  }

  abort(): void {
    this.#writer.abort();
  }

  /** Bytes that the client has not taken yet. */
  get bufferedBytes(): number {
    return this.#writer.bufferedBytes;
  }
}
