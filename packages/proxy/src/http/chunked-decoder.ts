/** Takes the bytes of chunks: `[start, end)` of what was read. */
export interface ChunkSink {
  /** @returns false to stop decoding. */
  onChunkData(bytes: Buffer, start: number, end: number): boolean;
}

type State =
  | 'size'
  | 'extension'
  | 'extension-name'
  | 'extension-value-start'
  | 'extension-value'
  | 'extension-quoted'
  | 'extension-unquoted'
  | 'size-lf'
  | 'data'
  | 'data-cr'
  | 'data-lf'
  | 'line-start'
  | 'trailer-name'
  | 'trailer-value'
  | 'trailer-lf'
  | 'last-lf'
  | 'done'
  | 'failed';

/**
 * The chunked transfer coding (RFC 9112 §7.1), strictly: sizes of one to eight hexadecimal digits, CRLF everywhere, no
 * blanks around the parts of extensions, trailers that are header lines and do not speak of framing. Extensions and trailers are read, bounded
 * together, and dropped. Input may be cut anywhere.
 */
export class ChunkedDecoder {
  readonly #maxOverheadBytes: number;
  #state: State = 'size';
  #remaining = 0;
  #digits = 0;
  #overhead = 0;
  /** Name of the trailer that is being read. */
  #trailer = '';

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
      case 'extension-name':
      case 'extension-value-start':
      case 'extension-value':
      case 'extension-unquoted':
        return this.#extensionByte(byte);
      case 'extension-quoted':
        if (byte === quote) return this.#dropped('extension-unquoted');
        return isVisible(byte) && byte < 0x80 && byte !== backslash ? this.#dropped('extension-quoted') : 'failed';
      case 'size-lf':
        return byte === lf ? this.#sizeEnded() : 'failed';
      case 'data-cr':
        return byte === cr ? 'data-lf' : 'failed';
      case 'data-lf':
        return byte === lf ? 'size' : 'failed';
      case 'line-start':
        // A line that begins with a blank would continue the one before (obs-fold).
        if (byte === cr) return 'last-lf';
        this.#trailer = '';
        return this.#trailerNameByte(byte);
      case 'trailer-name':
        return byte === colon ? this.#trailerNamed() : this.#trailerNameByte(byte);
      case 'trailer-value':
        if (byte === cr) return 'trailer-lf';
        return isVisible(byte) ? this.#dropped('trailer-value') : 'failed';
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
    return byte === semicolon ? this.#dropped('extension') : 'failed';
  }

  /** `;name`, `;name=value` or `;name="value"`, without escapes. */
  #extensionByte(byte: number): State {
    const state = this.#state;
    if (isToken(byte)) {
      if (state === 'extension-unquoted') return 'failed';
      if (state === 'extension') return this.#dropped('extension-name');
      return this.#dropped(state === 'extension-value-start' ? 'extension-value' : state);
    }
    if (state === 'extension-value-start' && byte === quote) return this.#dropped('extension-quoted');
    if (state === 'extension' || state === 'extension-value-start') return 'failed';
    if (byte === cr) return 'size-lf';
    if (byte === semicolon) return this.#dropped('extension');
    return byte === equals && state === 'extension-name' ? this.#dropped('extension-value-start') : 'failed';
  }

  #trailerNameByte(byte: number): State {
    if (!isToken(byte)) return 'failed';
    // Longer than any name that matters is as good as whole.
    if (this.#trailer.length < longestName) this.#trailer += String.fromCharCode(byte);
    return this.#dropped('trailer-name');
  }

  #trailerNamed(): State {
    return notTrailers.has(this.#trailer.toLowerCase()) ? 'failed' : this.#dropped('trailer-value');
  }

  #sizeEnded(): State {
    this.#digits = 0;
    return this.#remaining === 0 ? 'line-start' : 'data';
  }

  #dropped(state: State): State {
    this.#overhead += 1;
    return this.#overhead <= this.#maxOverheadBytes ? state : 'failed';
  }
}

const cr = 0x0d;
const lf = 0x0a;
const colon = 0x3a;
const semicolon = 0x3b;
const equals = 0x3d;
const quote = 0x22;
const backslash = 0x5c;

/** What says how a message is framed, or what becomes of its connection, cannot come behind it (RFC 9110 §6.5.1). */
const notTrailers: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'host',
  'proxy-connection',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);
const longestName = 32;

/** Characters of names (RFC 9110 §5.6.2). */
const tokenBytes = new Uint8Array(256);
for (const character of "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") {
  tokenBytes[character.charCodeAt(0)] = 1;
}

function isToken(byte: number): boolean {
  return tokenBytes[byte] === 1;
}

function isVisible(byte: number): boolean {
  return byte === 0x09 || (byte >= 0x20 && byte !== 0x7f);
}

function hexValue(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}
