import { ChunkedDecoder, type ChunkSink } from '../http/chunked-decoder.ts';
import { HeadScanner } from '../http/head-scanner.ts';
import { parseResponseHead, type ResponseHead } from './response-head.ts';

/** Takes an answer as it is read. Any call may lead to `stop`. */
export interface ResponseSink {
  onHead(head: ResponseHead): void;
  /** Bytes `[start, end)` of what was read; they may be overwritten after the call. */
  onBody(bytes: Buffer, start: number, end: number): void;
  /** The answer is complete. @param reusable the connection may carry another exchange. */
  onComplete(reusable: boolean): void;
  /** The answer cannot be understood. */
  onProblem(problem: string): void;
}

type State = 'idle' | 'head' | 'length' | 'chunked' | 'close' | 'stopped';

/** Reads the answers of one connection, one after the other. Input may be cut anywhere. Never throws. */
export class ResponseParser implements ChunkSink {
  readonly #sink: ResponseSink;
  readonly #maxHeadBytes: number;
  readonly #scanner: HeadScanner;
  #state: State = 'idle';
  #method = '';
  #head: ResponseHead | undefined;
  #remaining = 0;
  #chunks: ChunkedDecoder | undefined;
  #informational = 0;

  constructor(sink: ResponseSink, maxHeadBytes: number) {
    this.#sink = sink;
    this.#maxHeadBytes = maxHeadBytes;
    this.#scanner = new HeadScanner(maxHeadBytes);
  }

  /** A request was sent: an answer is due. */
  begin(method: string): void {
    this.#state = 'head';
    this.#method = method;
    this.#informational = 0;
    this.#scanner.reset();
  }

  /** Nothing more is reported. */
  stop(): void {
    this.#state = 'stopped';
    this.#scanner.reset();
  }

  /** No byte of an answer has come since `begin`. */
  get untouched(): boolean {
    return this.#state === 'head' && this.#scanner.untouched && this.#informational === 0;
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
        case 'close':
          this.#sink.onBody(bytes, at, bytes.length);
          return;
        case 'idle':
          return this.#fail('the upstream sent something without being asked');
        case 'stopped':
          return;
      }
    }
  }

  /** The peer will send nothing more. @returns false if that cuts an answer short. */
  end(): boolean {
    if (this.#state === 'idle' || this.#state === 'stopped') return true;
    if (this.#state !== 'close') return false;
    this.#complete(true);
    return true;
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
        return this.#tooLarge();
      case 'malformed':
        this.#fail('the head has a bare line break or a control character');
        return bytes.length;
      case 'complete':
        this.#takeHead(scanner.text, bytes, scanner.next);
        scanner.text = '';
        return scanner.next;
    }
  }

  /** @param next where the body begins in what was read. */
  #takeHead(text: string, bytes: Buffer, next: number): void {
    const head = parseResponseHead(text, this.#method);
    if (typeof head === 'string') return this.#fail(head);
    if (head.status < 200) return this.#skipInformational(head.status);
    this.#head = head;
    // Set before the sink hears of it, since it may stop the parser.
    this.#state = head.framing === 'none' ? 'length' : head.framing;
    this.#remaining = head.framing === 'length' ? (head.contentLength as number) : 0;
    this.#chunks = head.framing === 'chunked' ? new ChunkedDecoder(this.#maxHeadBytes) : undefined;
    this.#sink.onHead(head);
    if (head.framing === 'none' && this.#isReading()) this.#complete(next === bytes.length);
  }

  #skipInformational(status: number): void {
    this.#informational += 1;
    if (status === 101) this.#fail('the upstream switched protocols without being asked');
    else if (this.#informational > maxInformational) this.#fail('too many informational answers');
  }

  #readLength(bytes: Buffer, at: number): number {
    const end = Math.min(bytes.length, at + this.#remaining);
    this.#remaining -= end - at;
    this.#sink.onBody(bytes, at, end);
    if (this.#remaining === 0 && this.#isReading()) this.#complete(end === bytes.length);
    return end;
  }

  #readChunks(bytes: Buffer, at: number): number {
    const decoder = this.#chunks as ChunkedDecoder;
    const end = decoder.decode(bytes, at, this);
    if (decoder.failed) this.#fail('the chunked body is malformed');
    else if (decoder.done && this.#isReading()) this.#complete(end === bytes.length);
    return end;
  }

  /** @param exact nothing came behind the answer. Else its end is where peers may disagree (response splitting). */
  #complete(exact: boolean): void {
    if (!exact) return this.#fail('there is more behind the answer');
    const reusable = this.#head?.keepAlive === true;
    this.#state = reusable ? 'idle' : 'stopped';
    this.#head = undefined;
    this.#chunks = undefined;
    this.#sink.onComplete(reusable);
  }

  #tooLarge(): number {
    this.#fail(`the head exceeds ${this.#maxHeadBytes} bytes`);
    return Number.MAX_SAFE_INTEGER;
  }

  #fail(problem: string): void {
    this.stop();
    this.#sink.onProblem(problem);
  }

  #isReading(): boolean {
    return this.#state !== 'stopped';
  }
}

/** Answers like 100 and 103 before the final one. */
const maxInformational = 16;
