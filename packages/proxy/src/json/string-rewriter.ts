import { backslash, closeBrace, closeBracket, colon, comma, openBrace, openBracket, quote } from './bytes.ts';
import { decodeString } from './string.ts';

/** A place in a document, by the way that leads there. */
export interface Place {
  /** What its members lead to, by key. */
  readonly members?: ReadonlyMap<string, Place>;
  /** What its elements are. */
  readonly elements?: Place;
  /** A string that stands here is rewritten. */
  readonly isWanted?: true;
}

/** Rewrites a document that comes in pieces, cut anywhere. */
export interface PieceRewriter {
  /** @returns what is ready of the document: views of `bytes`, and what takes the place of others. */
  push(bytes: Buffer): readonly Buffer[];
  /** The document is complete. @returns what was held back. */
  end(): readonly Buffer[];
}

type State =
  | 'value'
  | 'key-or-end'
  | 'key'
  | 'colon'
  | 'behind-value'
  | 'scalar'
  | 'string'
  | 'wanted'
  | 'nested'
  | 'nested-string'
  /** There is nothing more to find: the document has ended, or what came is none. */
  | 'over';

/**
 * Rewrites the strings at certain places of a JSON document as it passes, and leaves every other byte as it came. Each
 * byte is looked at once at most, long strings natively, and only the key or the wanted string that is being read is
 * held. It judges nothing: from the first thing on that cannot be JSON everything passes unchanged.
 */
export class StringRewriter implements PieceRewriter {
  readonly #rewrite: (text: string) => string;
  #state: State = 'value';
  /** What the value that comes next is; undefined where nothing is wanted. */
  #next: Place | undefined;
  /** Open objects and arrays on the way to wanted strings. */
  readonly #open: { readonly place: Place; readonly isArray: boolean }[] = [];
  /** Open objects and arrays within one that leads nowhere, and that one. */
  #depth = 0;
  /** The string that is being read was cut behind a backslash. */
  #isEscaped = false;
  /** What came of the key, or of the wanted string with its opening quote, in earlier pieces. */
  #held: Buffer[] = [];
  #heldBytes = 0;
  #ready: Buffer[] = [];
  /** From where on the piece was not yet given out. */
  #from = 0;

  /** @param rewrite what a wanted string, decoded, becomes. */
  constructor(root: Place, rewrite: (text: string) => string) {
    this.#next = root;
    this.#rewrite = rewrite;
  }

  push(bytes: Buffer): readonly Buffer[] {
    if (this.#state === 'over') return [bytes];
    this.#ready = [];
    this.#from = 0;
    let at = 0;
    while (at < bytes.length) at = this.#step(bytes, at);
    if (this.#state === 'wanted') this.#holdWanted(bytes);
    this.#giveUpTo(bytes, bytes.length);
    return this.#ready;
  }

  end(): readonly Buffer[] {
    return this.#state === 'wanted' ? this.#takeHeld() : [];
  }

  /** @returns how far it read. */
  #step(bytes: Buffer, at: number): number {
    switch (this.#state) {
      case 'value':
        return this.#value(bytes, at);
      case 'key-or-end':
        return this.#keyOrEnd(bytes, at);
      case 'key':
        return this.#key(bytes, at);
      case 'colon':
        return this.#colon(bytes, at);
      case 'behind-value':
        return this.#behindValue(bytes, at);
      case 'scalar':
        return this.#scalar(bytes, at);
      case 'string':
        return this.#string(bytes, at, 'behind-value');
      case 'wanted':
        return this.#wanted(bytes, at);
      case 'nested':
        return this.#nested(bytes, at);
      case 'nested-string':
        return this.#string(bytes, at, 'nested');
      case 'over':
        return bytes.length;
    }
  }

  #value(bytes: Buffer, start: number): number {
    const at = skipSpace(bytes, start);
    if (at === bytes.length) return at;
    const byte = bytes[at];
    const place = this.#next;
    if (byte === quote) {
      if (place?.isWanted === true) {
        this.#giveUpTo(bytes, at);
        this.#from = at;
        this.#state = 'wanted';
      } else this.#state = 'string';
      return at + 1;
    }
    if (byte === openBrace || byte === openBracket) return this.#opened(place, byte === openBracket, at + 1);
    if (byte === closeBracket && this.#open.at(-1)?.isArray === true) return this.#closed(at + 1);
    if (byte === closeBrace || byte === closeBracket || byte === comma || byte === colon) return this.#stop(bytes);
    this.#state = 'scalar';
    return at + 1;
  }

  #opened(place: Place | undefined, isArray: boolean, next: number): number {
    if (place === undefined || (isArray ? place.elements : place.members) === undefined) {
      this.#depth = 1;
      this.#state = 'nested';
    } else {
      this.#open.push({ place, isArray });
      this.#next = place.elements;
      this.#state = isArray ? 'value' : 'key-or-end';
    }
    return next;
  }

  #closed(next: number): number {
    this.#open.pop();
    this.#state = this.#open.length === 0 ? 'over' : 'behind-value';
    return next;
  }

  #keyOrEnd(bytes: Buffer, start: number): number {
    const at = skipSpace(bytes, start);
    if (at === bytes.length) return at;
    if (bytes[at] === closeBrace) return this.#closed(at + 1);
    if (bytes[at] !== quote) return this.#stop(bytes);
    this.#state = 'key';
    return at + 1;
  }

  #key(bytes: Buffer, start: number): number {
    const end = this.#skipString(bytes, start);
    if (end < 0) {
      this.#hold(bytes.subarray(start), maxKeyBytes);
      return bytes.length;
    }
    const key = this.#joined(bytes.subarray(start, end - 1));
    const text = key.length > maxKeyBytes ? '' : decodeString(key, 0, key.length);
    this.#next = this.#open.at(-1)?.place.members?.get(text);
    this.#state = 'colon';
    return end;
  }

  #colon(bytes: Buffer, start: number): number {
    const at = skipSpace(bytes, start);
    if (at === bytes.length) return at;
    if (bytes[at] !== colon) return this.#stop(bytes);
    this.#state = 'value';
    return at + 1;
  }

  #behindValue(bytes: Buffer, start: number): number {
    const at = skipSpace(bytes, start);
    if (at === bytes.length) return at;
    const around = this.#open.at(-1);
    const byte = bytes[at];
    if (around === undefined) return this.#stop(bytes);
    if (byte === (around.isArray ? closeBracket : closeBrace)) return this.#closed(at + 1);
    if (byte !== comma) return this.#stop(bytes);
    this.#next = around.place.elements;
    this.#state = around.isArray ? 'value' : 'key-or-end';
    return at + 1;
  }

  #scalar(bytes: Buffer, start: number): number {
    let at = start;
    while (at < bytes.length && !endsScalar(bytes[at] as number)) at += 1;
    if (at < bytes.length) this.#state = 'behind-value';
    return at;
  }

  #string(bytes: Buffer, start: number, behind: State): number {
    const end = this.#skipString(bytes, start);
    if (end < 0) return bytes.length;
    this.#state = behind;
    return end;
  }

  /** Objects and arrays that lead nowhere: only their end is looked for. */
  #nested(bytes: Buffer, start: number): number {
    let at = start;
    let depth = this.#depth;
    while (at < bytes.length) {
      const byte = bytes[at] as number;
      at += 1;
      if (byte === quote) {
        at = this.#skipString(bytes, at);
        if (at < 0) {
          this.#state = 'nested-string';
          at = bytes.length;
        }
      } else if (byte === openBrace || byte === openBracket) depth += 1;
      else if (byte === closeBrace || byte === closeBracket) {
        depth -= 1;
        if (depth === 0) {
          this.#state = 'behind-value';
          break;
        }
      }
    }
    this.#depth = depth;
    return at;
  }

  #wanted(bytes: Buffer, start: number): number {
    const end = this.#skipString(bytes, start);
    if (end < 0) return bytes.length;
    const raw = this.#joined(bytes.subarray(this.#from, end));
    this.#ready.push(Buffer.from(JSON.stringify(this.#rewrite(decodeString(raw, 1, raw.length - 1)))));
    this.#from = end;
    this.#state = 'behind-value';
    return end;
  }

  /** The wanted string goes on in the next piece. */
  #holdWanted(bytes: Buffer): void {
    if (!this.#hold(bytes.subarray(this.#from), maxWantedBytes)) {
      this.#ready.push(...this.#takeHeld());
      this.#state = 'string';
    }
    this.#from = bytes.length;
  }

  /** @returns behind the closing quote; -1 if it has not come yet. */
  #skipString(bytes: Buffer, start: number): number {
    const end = bytes.length;
    let at = this.#isEscaped ? start + 1 : start;
    let byHand = nearBytes;
    this.#isEscaped = false;
    for (;;) {
      const near = Math.min(end, at + byHand);
      while (at < near) {
        const byte = bytes[at];
        if (byte === quote) return at + 1;
        at += byte === backslash ? 2 : 1;
      }
      if (at >= end) {
        this.#isEscaped = at > end;
        return -1;
      }
      const found = bytes.indexOf(quote, at);
      const stop = found < 0 ? end : found;
      let before = stop;
      while (before > at && bytes[before - 1] === backslash) before -= 1;
      const isEscaped = (stop - before) % 2 === 1;
      if (found < 0) {
        this.#isEscaped = isEscaped;
        return -1;
      }
      if (!isEscaped) return found + 1;
      at = found + 1;
      // Where one quote is escaped there are more: JSON in a text.
      byHand = farBytes;
    }
  }

  /** Keeps a copy of what was cut. @returns false when it is too long to be anything that is looked for. */
  #hold(bytes: Buffer, maxBytes: number): boolean {
    if (this.#heldBytes <= maxBytes) this.#held.push(Buffer.from(bytes));
    this.#heldBytes += bytes.length;
    return this.#heldBytes <= maxBytes;
  }

  #joined(last: Buffer): Buffer {
    return this.#held.length === 0 ? last : Buffer.concat([...this.#takeHeld(), last]);
  }

  #takeHeld(): readonly Buffer[] {
    const held = this.#held;
    this.#held = [];
    this.#heldBytes = 0;
    return held;
  }

  #giveUpTo(bytes: Buffer, end: number): void {
    if (end > this.#from) this.#ready.push(bytes.subarray(this.#from, end));
    this.#from = end;
  }

  /** This is no JSON. */
  #stop(bytes: Buffer): number {
    this.#state = 'over';
    return bytes.length;
  }
}

/** Bytes of a key that may be one of those that are looked for, escapes included. */
const maxKeyBytes = 256;
/** Bytes of a wanted string. A longer one passes as it came. */
const maxWantedBytes = 65_536;
/** How far a string is read by hand before it is searched natively: a search costs as much as that. */
const nearBytes = 64;
const farBytes = 4_096;

function skipSpace(bytes: Buffer, start: number): number {
  let at = start;
  while (at < bytes.length && (bytes[at] as number) <= 0x20) at += 1;
  return at;
}

function endsScalar(byte: number): boolean {
  return byte <= 0x20 || byte === comma || byte === closeBrace || byte === closeBracket;
}
