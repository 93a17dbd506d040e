/** Size of the buffers of a large answer, in bytes: fewer, larger pieces cost less on their way. */
const bulkBytes = 262_144;
/** Buffers that are kept for the next large answers. More are left to the garbage collector. */
const maxSpare = 64;

/** Memory for large answers, used again while it is warm: fresh memory costs more than the copy into it, since it
 * makes the garbage collector look through everything. */
export class SpareBuffers {
  readonly #spare: Buffer[] = [];

  take(): Buffer {
    return this.#spare.pop() ?? Buffer.allocUnsafeSlow(bulkBytes);
  }

  /** @param buffer one that was taken, and that nobody reads or writes any more. */
  give(buffer: Buffer): void {
    if (this.#spare.length < maxSpare) this.#spare.push(buffer);
  }
}
