import type { UpstreamHandler } from '../upstream/upstream.ts';
import { headOf, jsonType } from './local-answer.ts';

/** Sizes of memory, in bytes, and how much of each is kept for the next answers. */
const kinds = [
  { bytes: 65_536, kept: 16 },
  { bytes: 1_310_720, kept: 8 },
  { bytes: 4_456_448, kept: 2 },
] as const;

/**
 * Memory in which answers of servers are put together and worded anew, used again: fresh memory of that size makes the
 * garbage collector look through everything. What is larger is fresh.
 */
export class AnswerMemory {
  readonly #spare: readonly Buffer[][] = kinds.map(() => []);

  /** @returns at least so many bytes. */
  take(bytes: number): Buffer {
    const at = kinds.findIndex((kind) => kind.bytes >= bytes);
    return this.#spare[at]?.pop() ?? Buffer.allocUnsafeSlow(kinds[at]?.bytes ?? bytes);
  }

  /** @param memory that was taken, and that nobody reads or writes any more. */
  give(memory: Buffer): void {
    const at = kinds.findIndex((kind) => kind.bytes === memory.length);
    const spare = this.#spare[at];
    if (spare && spare.length < (kinds[at]?.kept ?? 0)) spare.push(memory);
  }
}

/** Gives a handler a whole JSON answer that consists of these bytes, block by block. The bytes may change afterwards. */
export function answerWith(handler: UpstreamHandler, parts: readonly Buffer[], memory: AnswerMemory): void {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  handler.onHead(headOf(200, jsonType, length));
  let block = memory.take(blockBytes);
  let used = 0;
  const hand = () => {
    const lent = length <= blockBytes && handler.borrows === true;
    const isFree = handler.onData(block.subarray(0, used), lent) === true;
    if (lent || isFree) memory.give(block);
  };
  for (const part of parts) {
    for (let from = 0; from < part.length;) {
      if (used === block.length) {
        hand();
        block = memory.take(blockBytes);
        used = 0;
      }
      const copied = part.copy(block, used, from);
      from += copied;
      used += copied;
    }
  }
  hand();
  handler.onEnd();
}

/** An answer that fits into one block is lent, since it goes on in one piece; those that do not are handed over. */
const blockBytes = kinds[0].bytes;
