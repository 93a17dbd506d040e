import type { BodyWriter } from './exchange.ts';
import type { ExchangeConnection, Http1Exchange } from './http1-exchange.ts';

/** How a streamed body is framed: its length in bytes, chunks, or not at all because there must be none. */
export type AnswerFraming = number | 'chunked' | 'none';

/** The body of a streamed answer. The head waits for the first piece, for one turn of the loop at most. */
export class Http1BodyWriter implements BodyWriter {
  readonly #exchange: Http1Exchange;
  readonly #connection: ExchangeConnection;
  readonly #framing: AnswerFraming;
  #head: string;
  #drain: (() => void) | undefined;

  /** @param head with its empty line. */
  constructor(exchange: Http1Exchange, connection: ExchangeConnection, head: string, framing: AnswerFraming) {
    this.#exchange = exchange;
    this.#connection = connection;
    this.#head = head;
    this.#framing = framing;
  }

  write(chunk: Buffer | string): boolean {
    const length = Buffer.byteLength(chunk);
    if (!this.#accept(length)) return false;
    if (length > 0) this.#send(chunk, length, '');
    return !this.#connection.needsDrain;
  }

  onDrain(listener: () => void): void {
    this.#drain = listener;
  }

  end(chunk?: Buffer | string): void {
    const length = chunk === undefined ? 0 : Buffer.byteLength(chunk);
    if (!this.#accept(length)) return;
    if (typeof this.#framing === 'number' && this.#exchange.responseBytes < this.#framing) return this.abort();
    const ending = this.#framing === 'chunked' ? '0\r\n\r\n' : '';
    if (chunk !== undefined && length > 0) this.#send(chunk, length, ending);
    else this.#connection.send(this.#takeHead() + ending, undefined);
    this.#exchange.streamEnded();
  }

  abort(): void {
    if (!this.#exchange.closed) this.#connection.breakOff();
  }

  get bufferedBytes(): number {
    return this.#exchange.closed ? 0 : this.#connection.bufferedBytes;
  }

  /** Sends the head if it still waits. */
  flushHead(): void {
    if (this.#head !== '' && !this.#exchange.closed) this.#connection.send(this.#takeHead(), undefined);
  }

  drained(): void {
    this.#drain?.();
  }

  /** @returns false when nothing may be written any more; more than was announced breaks the answer off. */
  #accept(length: number): boolean {
    if (!this.#exchange.accept(length)) return false;
    if (typeof this.#framing !== 'number' || this.#exchange.responseBytes <= this.#framing) return true;
    this.abort();
    return false;
  }

  #send(chunk: Buffer | string, length: number, ending: string): void {
    const head = this.#takeHead();
    if (this.#framing === 'none') {
      if (head !== '') this.#connection.send(head, undefined);
    } else if (this.#framing === 'chunked') {
      this.#connection.send(`${head}${length.toString(16)}\r\n`, chunk, `\r\n${ending}`);
    } else {
      this.#connection.send(head, chunk);
    }
  }

  #takeHead(): string {
    const head = this.#head;
    this.#head = '';
    return head;
  }
}
