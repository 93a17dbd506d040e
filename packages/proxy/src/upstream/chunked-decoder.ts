/** Takes the bytes of chunks: `[start, end)` of what was read. */
export interface ChunkSink {
  /** @returns false to stop decoding. */
  onChunkData(bytes: Buffer, start: number, end: number): boolean;
}

type State =
  | 'size'
  | 'extension'
  | 'size-lf'
  | 'data'
  | 'data-cr'
  | 'data-lf'
  | 'line-start'
  | 'trailer'
  | 'trailer-lf'
  | 'last-lf'
  | 'done'
  | 'failed';

/**
 * The chunked transfer coding (RFC 9112 §7.1), strictly: sizes of one to eight hexadecimal digits, CRLF everywhere, no
 * blanks before an extension. Extensions and trailers are read, bounded together, and dropped. Input may be cut
 * anywhere.
 */
export class ChunkedDecoder {
  readonly #maxOverheadBytes: number;
  #state: State = 'size';
  #remaining = 0;
  #digits = 0;
  #overhead = 0;

  /** @param maxOverheadBytes bound on extensions and trailers of the whole body. */
  constructor(maxOverheadBytes: number) {
    this.#maxOverheadBytes = maxOverheadBytes;
  }

  /** The body is complete. */
  get done(): boolean {
    return this.#state === 'done';
  }

  /** The body is malformed. */
  get failed(): boolean {
    return this.#state === 'failed';
  }

  /** Reads from `start` until the body ends, fails or the sink stops. @returns how far it read. */
  decode(bytes: Buffer, start: number, sink: ChunkSink): number {
    let at = start;
    while (at < bytes.length) {
      if (this.#state === 'data') {
        const end = Math.min(bytes.length, at + this.#remaining);
        this.#remaining -= end - at;
        if (this.#remaining === 0) this.#state = 'data-cr';
        const goOn = sink.onChunkData(bytes, at, end);
        at = end;
        if (!goOn) return at;
      } else {
        this.#state = this.#step(bytes[at] as number);
        at += 1;
        if (this.#state === 'done' || this.#state === 'failed') return at;
      }
    }
    return at;
  }

  #step(byte: number): State {
    switch (this.#state) {
      case 'size':
        return this.#sizeByte(byte);
      case 'extension':
        return byte === cr ? 'size-lf' : this.#dropped(byte, 'extension');
      case 'size-lf':
        return byte === lf ? this.#sizeEnded() : 'failed';
      case 'data-cr':
        return byte === cr ? 'data-lf' : 'failed';
      case 'data-lf':
        return byte === lf ? 'size' : 'failed';
      case 'line-start':
        if (byte === cr) return 'last-lf';
        // A line that begins with a blank would continue the one before (obs-fold).
        return byte === 0x20 || byte === 0x09 ? 'failed' : this.#dropped(byte, 'trailer');
      case 'trailer':
        return byte === cr ? 'trailer-lf' : this.#dropped(byte, 'trailer');
      case 'trailer-lf':
        return byte === lf ? 'line-start' : 'failed';
      case 'last-lf':
        return byte === lf ? 'done' : 'failed';
      case 'data':
      case 'done':
      case 'failed':
        return 'failed';
    }
  }

  #sizeByte(byte: number): State {
    const digit = hexValue(byte);
    if (digit >= 0) {
      this.#digits += 1;
      this.#remaining = this.#remaining * 16 + digit;
      return this.#digits > 8 ? 'failed' : 'size';
    }
    if (this.#digits === 0) return 'failed';
    if (byte === cr) return 'size-lf';
    return byte === semicolon ? this.#dropped(byte, 'extension') : 'failed';
  }

  #sizeEnded(): State {
    this.#digits = 0;
    return this.#remaining === 0 ? 'line-start' : 'data';
  }

  #dropped(byte: number, state: State): State {
    this.#overhead += 1;
    const legal = byte === 0x09 || (byte >= 0x20 && byte !== 0x7f);
    return legal && this.#overhead <= this.#maxOverheadBytes ? state : 'failed';
  }
}

const cr = 0x0d;
const lf = 0x0a;
const semicolon = 0x3b;

function hexValue(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}
