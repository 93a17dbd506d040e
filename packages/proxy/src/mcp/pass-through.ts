import type { Span } from '../json/message.ts';
import type { PieceRewriter } from '../json/string-rewriter.ts';
import type { UpstreamExchange } from '../upstream/upstream.ts';
import { idAtHead, idAtTail } from './answer-id.ts';
import type { AnswerRewriter } from './answer-rewriter.ts';
import { type Call, jsonHeaders } from './call.ts';
import { refusals } from './errors.ts';
import { PacedWriter } from './paced-writer.ts';

/** Room behind the minted id at the tail for `"id":`, the closing brace, and blanks. */
const tailSlack = 64;

/**
 * A large JSON answer on its way through: pieces go on as they come, and are read no further than its members are to be
 * changed. Of most only the id is exchanged. When it is not at the head, the last bytes are held back until the end shows
 * whether it is at the tail; if it is at neither, the answer is broken off rather than given to the client under a
 * foreign id.
 *
 * While the client takes everything no memory is allocated: what is only lent, or changed, is written into spare memory.
 * Fresh memory would cost more than the copy, mostly by the collections of garbage that it brings about.
 */
export class PassThrough {
  readonly #call: Call;
  readonly #rewriter: AnswerRewriter;
  readonly #pieces: PieceRewriter | undefined;
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
    this.#pieces = rewriter.member?.pieces?.();
    const isKnown = contentLength !== undefined && this.#pieces === undefined;
    const length = isKnown ? contentLength + rewriter.growth : undefined;
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
    if (this.#tail) return this.#passAllButTail([this.#tail, chunk], chunk, lent);
    return this.#pass([chunk], chunk, lent);
  }

  /** The upstream has sent everything. */
  finish(): void {
    if (this.#call.ended) return;
    const tail = this.#tail;
    const id = tail && idAtTail(tail, this.#rewriter.upstreamId);
    if (tail && !id) {
      this.#call.services.requestMetrics.upstreamInvalid.add();
      return this.#call.abandon(refusals.upstreamInvalid);
    }
    const last = this.#rewritten(tail && id ? this.#withClientId(tail, id) : []);
    this.#writer.end(Buffer.concat([...last, ...(this.#pieces?.end() ?? [])]));
    this.#call.end('');
  }

  #begin(first: Buffer, lent: boolean): boolean {
    this.#hasBegun = true;
    const id = idAtHead(first, this.#rewriter.upstreamId);
    return id ? this.#pass(this.#withClientId(first, id), first, lent) : this.#passAllButTail([first], first, lent);
  }

  /** @param chunk what the bytes came in. @returns true when nobody holds it any more. */
  #pass(bytes: readonly Buffer[], chunk: Buffer, lent: boolean): boolean {
    const ready = this.#rewritten(bytes);
    if (lent || ready.length > 1) {
      this.#writeCopies(ready);
      return true;
    }
    const [only] = ready;
    if (only) this.#writer.write(only);
    return only?.buffer !== chunk.buffer || this.#writer.bufferedBytes === 0;
  }

  #passAllButTail(bytes: readonly Buffer[], chunk: Buffer, lent: boolean): boolean {
    const tailBytes = this.#rewriter.upstreamId.length + tailSlack;
    const all = chunk.length >= tailBytes ? bytes : [Buffer.concat(bytes)];
    const last = all.at(-1) as Buffer;
    const end = Math.max(0, last.length - tailBytes);
    this.#tail = Buffer.from(last.subarray(end));
    return this.#pass([...all.slice(0, -1), last.subarray(0, end)], chunk, lent);
  }

  #withClientId(bytes: Buffer, { start, end }: Span): readonly Buffer[] {
    return [bytes.subarray(0, start), this.#rewriter.clientIdBytes, bytes.subarray(end)];
  }

  #rewritten(bytes: readonly Buffer[]): readonly Buffer[] {
    const pieces = this.#pieces;
    return pieces ? bytes.flatMap((part) => pieces.push(part)) : bytes;
  }

  /** Writes bytes one behind the other from spare memory. */
  #writeCopies(parts: readonly Buffer[]): void {
    const { answerBuffers } = this.#call.services;
    let memory = answerBuffers.take();
    let used = 0;
    const write = () => {
      this.#writer.write(memory.subarray(0, used));
      if (this.#writer.bufferedBytes === 0) answerBuffers.give(memory);
    };
    for (const part of parts) {
      for (let from = 0; from < part.length;) {
        if (used === memory.length) {
          write();
          memory = answerBuffers.take();
          used = 0;
        }
        const copied = part.copy(memory, used, from);
        from += copied;
        used += copied;
      }
    }
    write();
  }
}
