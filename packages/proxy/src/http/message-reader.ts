import { ChunkedDecoder, type ChunkSink } from './chunked-decoder.ts';
import { HeadScanner } from './head-scanner.ts';

/** What follows a head: a body of so many bytes, one in chunks, or one that ends with the connection. */
export type BodyLength = number | 'chunked' | 'until-close';

/** Why what was read is not HTTP/1.1, or exceeds a bound. */
export type MessageFault = 'head-too-large' | 'head-malformed' | 'chunks-malformed';

/** Takes messages as they are read. Any call may lead to `stop`. */
export interface MessageSink {
  /**
   * @param text the head without its empty line.
   * @returns how its body ends; undefined when another head follows, as behind interim answers.
   */
  onHead(text: string): BodyLength | undefined;
  /** Bytes `[start, end)` of what was read. */
  onBody(bytes: Buffer, start: number, end: number): void;
  /** The message is complete. @param isLast nothing came behind it in what was read. */
  onComplete(isLast: boolean): void;
  /** The reader has stopped. */
  onFault(fault: MessageFault): void;
}

type State = 'head' | 'length' | 'chunked' | 'until-close' | 'stopped';

/** Reads the messages of one connection, one after the other. Input may be cut anywhere. Never throws. */
export class MessageReader implements ChunkSink {
  readonly #sink: MessageSink;
  readonly #maxHeadBytes: number;
  readonly #scanner: HeadScanner;
  #state: State = 'head';
  #remaining = 0;
  #chunks: ChunkedDecoder | undefined;

  /** @param maxHeadBytes bound on a head; with a chunked body, on its extensions and trailers together with it. */
  constructor(sink: MessageSink, maxHeadBytes: number) {
    this.#sink = sink;
    this.#maxHeadBytes = maxHeadBytes;
    this.#scanner = new HeadScanner(maxHeadBytes);
  }

  /** Between messages: nothing of the next one has come. */
  get idle(): boolean {
    return this.#state === 'head' && this.#scanner.untouched;
  }

  get inBody(): boolean {
    return this.#state !== 'head' && this.#state !== 'stopped';
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
        case 'until-close':
          this.#sink.onBody(bytes, at, bytes.length);
          return;
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
        return this.#fail('head-too-large');
      case 'malformed':
        return this.#fail('head-malformed');
      case 'complete':
        this.#takeHead(scanner.text, scanner.next === bytes.length);
        scanner.text = '';
        return scanner.next;
    }
  }

  /** @param isLast nothing came behind the head in what was read. */
  #takeHead(text: string, isLast: boolean): void {
    const body = this.#sink.onHead(text);
    if (body === undefined || this.#state === 'stopped') return;
    if (body === 'chunked') {
      this.#state = 'chunked';
      this.#chunks = new ChunkedDecoder(Math.max(0, this.#maxHeadBytes - text.length));
    } else if (body === 'until-close') {
      this.#state = 'until-close';
    } else if (body > 0) {
      this.#state = 'length';
      this.#remaining = body;
    } else {
      this.#sink.onComplete(isLast);
    }
  }

  #readLength(bytes: Buffer, at: number): number {
    const end = Math.min(bytes.length, at + this.#remaining);
    this.#remaining -= end - at;
    this.#sink.onBody(bytes, at, end);
    if (this.#remaining === 0) this.#complete(end === bytes.length);
    return end;
  }

  #readChunks(bytes: Buffer, at: number): number {
    const chunks = this.#chunks as ChunkedDecoder;
    const end = chunks.decode(bytes, at, this);
    if (chunks.failed) return this.#fail('chunks-malformed');
    if (chunks.done) this.#complete(end === bytes.length);
    return end;
  }

  #complete(isLast: boolean): void {
    if (this.#state === 'stopped') return;
    this.#state = 'head';
    this.#chunks = undefined;
    this.#sink.onComplete(isLast);
  }

  #fail(fault: MessageFault): number {
    this.stop();
    this.#sink.onFault(fault);
    return Number.MAX_SAFE_INTEGER;
  }
}
