/** What was found of a head. */
export type HeadScan = 'complete' | 'partial' | 'too-large' | 'malformed';

/**
 * Finds the head of an HTTP/1.1 message in what is read, wherever that is cut. A head that comes in pieces is given up
 * at the first byte that no head contains, before its end is there.
 */
export class HeadScanner {
  /** The complete head, one character a byte, without the empty line at its end. */
  text = '';
  /** Where the body begins in what was read last. */
  next = 0;
  readonly #maxBytes: number;
  #partial: Buffer | undefined;
  #length = 0;

  /** @param maxBytes bound on a head, its empty line not counted. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Not a byte of a head has come. */
  get untouched(): boolean {
    return this.#length === 0;
  }

  /** Forgets what has come. */
  reset(): void {
    this.#partial = undefined;
    this.#length = 0;
    this.text = '';
  }

  /** Reads from `at`. When the head is complete, `text` and `next` say what it is and where it ends. */
  scan(bytes: Buffer, at: number): HeadScan {
    if (this.#length > 0) return this.#scanPartial(bytes, at);
    const end = bytes.indexOf(emptyLine, at);
    if (end < 0) return this.#scanPartial(bytes, at);
    if (end - at > this.#maxBytes) return 'too-large';
    this.text = bytes.toString('latin1', at, end);
    this.next = end + emptyLine.length;
    return 'complete';
  }

  #scanPartial(bytes: Buffer, at: number): HeadScan {
    const partial = (this.#partial ??= Buffer.allocUnsafe(this.#maxBytes + emptyLine.length));
    const before = this.#length;
    const length = before + bytes.copy(partial, before, at);
    this.#length = length;
    const end = partial.subarray(0, length).indexOf(emptyLine, Math.max(0, before - 3));
    const added = partial.toString('latin1', Math.max(0, before - 1), end < 0 ? length : end);
    if (illegal.test(before === 0 ? added : added.slice(1)) || bareLineFeed.test(before === 0 ? `.${added}` : added))
      return 'malformed';
    if (end < 0) return length === partial.length ? 'too-large' : 'partial';
    this.text = partial.toString('latin1', 0, end);
    this.next = at + (end + emptyLine.length - before);
    this.#partial = undefined;
    this.#length = 0;
    return 'complete';
  }
}

const emptyLine = Buffer.from('\r\n\r\n');
const illegal = /[^\t\r\n\x20-\x7e\x80-\xff]/;
const bareLineFeed = /[^\r]\n/;
