import type { UpstreamExchange } from '../upstream/upstream.ts';
import { idAtHead, idAtTail } from './answer-id.ts';
import type { AnswerRewriter } from './answer-rewriter.ts';
import { type Call, jsonHeaders } from './call.ts';
import { refusals } from './errors.ts';
import { PacedWriter } from './paced-writer.ts';

/** Room behind the minted id at the tail for `"id":`, the closing brace, and blanks. */
const tailSlack = 64;

/**
 * A large JSON answer on its way through: chunks go on as they come, unread. Only the id is exchanged. When it is not at
 * the head, the last bytes are held back until the end shows whether it is at the tail; if it is at neither, the answer
 * is broken off rather than given to the client under a foreign id.
 */
export class PassThrough {
  readonly #call: Call;
  readonly #rewriter: AnswerRewriter;
  readonly #writer: PacedWriter;
  #tail: Buffer | undefined;

  /** @param first the bytes that have come so far. @param contentLength length that the upstream announced. */
  constructor(
    call: Call,
    rewriter: AnswerRewriter,
    upstream: UpstreamExchange | undefined,
    { first, contentLength }: { readonly first: Buffer; readonly contentLength: number | undefined },
  ) {
    this.#call = call;
    this.#rewriter = rewriter;
    const length = contentLength === undefined ? undefined : contentLength + rewriter.growth;
    this.#writer = new PacedWriter(call.stream(200, jsonHeaders, length), upstream);
    const id = idAtHead(first, rewriter.upstreamId);
    if (id) this.#writer.write(rewriter.restoreId(first, id));
    else this.#passAllButTail(first);
  }

  /** @returns true when the bytes are on their way and nobody holds them any more. */
  push(chunk: Buffer): boolean {
    if (this.#call.ended) return true;
    if (this.#tail) {
      this.#passAllButTail(Buffer.concat([this.#tail, chunk]));
      return true;
    }
    this.#writer.write(chunk);
    return this.#writer.bufferedBytes === 0;
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

  #passAllButTail(bytes: Buffer): void {
    const keep = Math.min(bytes.length, this.#rewriter.upstreamId.length + tailSlack);
    if (keep < bytes.length) this.#writer.write(bytes.subarray(0, bytes.length - keep));
    this.#tail = bytes.subarray(bytes.length - keep);
  }
}
