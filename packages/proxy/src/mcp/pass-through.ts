import type { UpstreamExchange } from '../upstream/upstream.ts';
import { idAtHead, idAtTail } from './answer-id.ts';
import type { AnswerRewriter } from './answer-rewriter.ts';
import { type Call, jsonHeaders } from './call.ts';
import { refusals } from './errors.ts';
import { PacedWriter } from './paced-writer.ts';

/** Room behind the minted id at the tail for `"id":`, the closing brace, and blanks. */
const tailSlack = 64;

/**
 * A large JSON answer on its way through: pieces go on as they come, unread. Only the id is exchanged. When it is not at
 * the head, the last bytes are held back until the end shows whether it is at the tail; if it is at neither, the answer
 * is broken off rather than given to the client under a foreign id.
 *
 * While the client takes everything no memory is allocated: what is only lent, or changed, is written into spare memory.
 * Fresh memory would cost more than the copy, mostly by the collections of garbage that it brings about.
 */
export class PassThrough {
  readonly #call: Call;
  readonly #rewriter: AnswerRewriter;
  readonly #writer: PacedWriter;
  #hasBegun = false;
  #tail: Buffer | undefined;

  /** @param contentLength length that the upstream announced. */
  constructor(
    call: Call,
    rewriter: AnswerRewriter,
    upstream: UpstreamExchange | undefined,
    contentLength: number | undefined,
  ) {
    this.#call = call;
    this.#rewriter = rewriter;
    const length = contentLength === undefined ? undefined : contentLength + rewriter.growth;
    this.#writer = new PacedWriter(call.stream(200, jsonHeaders, length), upstream);
  }

  /**
   * @param chunk the first one must be long enough to show an id at its head.
   * @param lent its bytes change after the call.
   * @returns true when nobody holds the piece any more.
   */
  push(chunk: Buffer, lent: boolean): boolean {
    if (this.#call.ended) return true;
    if (!this.#hasBegun) return this.#begin(chunk, lent);
    if (this.#tail) {
      this.#passAllButTail(Buffer.concat([this.#tail, chunk]));
      return true;
    }
    return this.#pass(chunk, lent);
  }

  /** The upstream has sent everything. */
  finish(): void {
    if (this.#call.ended) return;
    const id = this.#tail && idAtTail(this.#tail, this.#rewriter.upstreamId);
    if (this.#tail && !id) {
      this.#call.services.requestMetrics.upstreamInvalid.add();
      return this.#call.abandon(refusals.upstreamInvalid);
    }
    this.#writer.end(id && this.#tail && this.#rewriter.restoreId(this.#tail, id));
    this.#call.end('');
  }

  #begin(first: Buffer, lent: boolean): boolean {
    this.#hasBegun = true;
    const id = idAtHead(first, this.#rewriter.upstreamId);
    if (id) this.#writeFrom((memory) => this.#rewriter.restoreId(first, id, memory));
    else this.#passAllButTail(lent ? Buffer.from(first) : first);
    return id !== undefined;
  }

  #pass(bytes: Buffer, lent: boolean): boolean {
    if (lent) {
      this.#writeFrom((memory) =>
        bytes.copy(memory) === bytes.length ? memory.subarray(0, bytes.length) : Buffer.from(bytes),
      );
      return true;
    }
    this.#writer.write(bytes);
    return this.#writer.bufferedBytes === 0;
  }

  /** Writes what is made in spare memory, or beside it when it has no room. */
  #writeFrom(make: (memory: Buffer) => Buffer): void {
    const { answerBuffers } = this.#call.services;
    const memory = answerBuffers.take();
    this.#writer.write(make(memory));
    if (this.#writer.bufferedBytes === 0) answerBuffers.give(memory);
  }

  #passAllButTail(bytes: Buffer): void {
    const keep = Math.min(bytes.length, this.#rewriter.upstreamId.length + tailSlack);
    if (keep < bytes.length) this.#writer.write(bytes.subarray(0, bytes.length - keep));
    this.#tail = bytes.subarray(bytes.length - keep);
  }
}
