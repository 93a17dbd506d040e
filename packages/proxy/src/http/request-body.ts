/**
 * Gathers the pieces of a body. Large ones are kept as they are and small ones are copied together, so that a body of
 * many tiny chunks takes little more memory than its bytes.
 */
export class RequestBody {
  /** Bytes so far. */
  length = 0;
  #parts: Buffer[] = [];
  /** What small pieces are copied to; `[#from, #to)` of it is not yet a part. */
  #block: Buffer | undefined;
  #from = 0;
  #to = 0;

  /** Adds `[start, end)` of what was read, which must not change afterwards. */
  add(bytes: Buffer, start: number, end: number): void {
    const isFirst = this.length === 0;
    this.length += end - start;
    if (isFirst || end - start >= smallBytes) {
      this.#endPart();
      this.#parts.push(bytes.subarray(start, end));
      return;
    }
    if (!this.#block || this.#to + end - start > this.#block.length) {
      this.#endPart();
      this.#block = Buffer.allocUnsafeSlow(blockBytes);
      this.#from = this.#to = 0;
    }
    this.#to += bytes.copy(this.#block, this.#to, start, end);
  }

  /** The whole body; nothing is kept of it here. */
  take(): Buffer {
    this.#endPart();
    const parts = this.#parts;
    this.drop();
    return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts);
  }

  /** Forgets the body. */
  drop(): void {
    this.#parts = [];
    this.#block = undefined;
    this.#from = this.#to = 0;
  }

  #endPart(): void {
    if (this.#block && this.#to > this.#from) this.#parts.push(this.#block.subarray(this.#from, this.#to));
    this.#from = this.#to;
  }
}

const smallBytes = 1_024;
const blockBytes = 16_384;
