import { ChunkedDecoder, type ChunkSink } from './chunked-decoder.ts';
import { HeadScanner } from './head-scanner.ts';
import type { Refusal } from './http-server.ts';

/** Takes requests as they are read. Any call may lead to `stop`. */
export interface RequestSink {
  /** @param text the head without its empty line. @returns length of the body, undefined when it is chunked. */
  onHead(text: string): number | undefined;
  /** Bytes `[start, end)` of what was read. */
  onBody(bytes: Buffer, start: number, end: number): void;
  /** The request is complete. */
  onComplete(): void;
  /** What was read is not HTTP, or exceeds a bound. The reader has stopped. */
  onProblem(problem: Refusal): void;
}

type State = 'head' | 'length' | 'chunked' | 'stopped';

/** Reads the requests of one connection, one after the other. Input may be cut anywhere. Never throws. */
export class RequestReader implements ChunkSink {
  readonly #sink: RequestSink;
  readonly #maxHeadBytes: number;
  readonly #scanner: HeadScanner;
  #state: State = 'head';
  #remaining = 0;
  #chunks: ChunkedDecoder | undefined;

  constructor(sink: RequestSink, maxHeadBytes: number) {
    this.#sink = sink;
    this.#maxHeadBytes = maxHeadBytes;
    this.#scanner = new HeadScanner(maxHeadBytes);
  }

  /** Between requests: nothing of the next one has come. */
  get idle(): boolean {
    return this.#state === 'head' && this.#scanner.untouched;
  }

  get inBody(): boolean {
    return this.#state === 'length' || this.#state === 'chunked';
  }

  /** Nothing more is reported. */
  stop(): void {
    this.#state = 'stopped';
    this.#scanner.reset();
  }

  push(bytes: Buffer): void {
    let at = 0;
    while (at < bytes.length) {
      switch (this.#state) {
        case 'head':
          at = this.#readHead(bytes, at);
          break;
        case 'length':
          at = this.#readLength(bytes, at);
          break;
        case 'chunked':
          at = this.#readChunks(bytes, at);
          break;
        case 'stopped':
          return;
      }
    }
  }

  onChunkData(bytes: Buffer, start: number, end: number): boolean {
    this.#sink.onBody(bytes, start, end);
    return this.#state === 'chunked';
  }

  #readHead(bytes: Buffer, at: number): number {
    const scanner = this.#scanner;
    switch (scanner.scan(bytes, at)) {
      case 'partial':
        return bytes.length;
      case 'too-large':
        return this.#fail({ status: 431, reason: 'the head is too large' });
      case 'malformed':
        return this.#fail({ status: 400, reason: 'the head has a bare line break or a control character' });
      case 'complete':
        this.#takeHead(scanner.text);
        scanner.text = '';
        return scanner.next;
    }
  }

  #takeHead(text: string): void {
    const length = this.#sink.onHead(text);
    if (this.#state === 'stopped') return;
    if (length === undefined) {
      this.#state = 'chunked';
      // Head, extensions and trailers are bounded together.
      this.#chunks = new ChunkedDecoder(Math.max(0, this.#maxHeadBytes - text.length));
    } else if (length > 0) {
      this.#state = 'length';
      this.#remaining = length;
    } else {
      this.#sink.onComplete();
    }
  }

  #readLength(bytes: Buffer, at: number): number {
    const end = Math.min(bytes.length, at + this.#remaining);
    this.#remaining -= end - at;
    this.#sink.onBody(bytes, at, end);
    if (this.#remaining === 0) this.#complete();
    return end;
  }

  #readChunks(bytes: Buffer, at: number): number {
    const chunks = this.#chunks as ChunkedDecoder;
    const end = chunks.decode(bytes, at, this);
    if (chunks.failed) return this.#fail({ status: 400, reason: 'the chunked body is malformed' });
    if (chunks.done) this.#complete();
    return end;
  }

  #complete(): void {
    if (this.#state === 'stopped') return;
    this.#state = 'head';
    this.#chunks = undefined;
    this.#sink.onComplete();
  }

  #fail(problem: Refusal): number {
    this.stop();
    this.#sink.onProblem(problem);
    return Number.MAX_SAFE_INTEGER;
  }
}
