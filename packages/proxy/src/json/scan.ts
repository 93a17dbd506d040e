import { isUtf8 } from 'node:buffer';
import {
  backslash,
  closeBrace,
  closeBracket,
  colon,
  comma,
  dot,
  escapable,
  hexDigits,
  minus,
  nine,
  openBrace,
  openBracket,
  plus,
  quote,
  special,
  zero,
} from './bytes.ts';
import { KeyTable, hashKey, hashPrime, hashSeed } from './key-table.ts';
import { MessageParts } from './message-parts.ts';
import type { ScanFault, ScannedBody, ScannedMessage, Span } from './message.ts';
import { decodeString } from './string.ts';

/** Bounds of one JSON document. */
export interface ScanLimits {
  /** Open objects and arrays around a value. Beyond: `depth`. */
  readonly maxDepth: number;
  /** Members of all objects of the document together. Beyond: `too-many-keys`. */
  readonly maxKeys: number;
  /** Elements of one array. Beyond: `too-large`. */
  readonly maxElements: number;
  /** Bytes of one string as it stands in the document. Beyond: `too-large`. */
  readonly maxStringBytes: number;
  /** Messages of one batch. Beyond: `batch-too-long`. */
  readonly maxBatch: number;
}

/** Bounds for what clients send. */
export const requestScanLimits: ScanLimits = Object.freeze({
  maxDepth: 64,
  maxKeys: 10_000,
  maxElements: 100_000,
  maxStringBytes: 1_048_576,
  maxBatch: 100,
});

/** Bounds for what upstreams answer: large results are legitimate. */
export const responseScanLimits: ScanLimits = Object.freeze({
  maxDepth: 128,
  maxKeys: 1_000_000,
  maxElements: 1_000_000,
  maxStringBytes: 16_777_216,
  maxBatch: 100,
});

/**
 * Reads a body strictly, once. Accepts a subset of what `JSON.parse` accepts: no repeated keys at any depth (compared
 * after decoding), no `__proto__`, no second spelling of a reserved key (`Method`, `paramſ`), no byte that is not
 * UTF-8, nothing beyond the limits. Never throws.
 */
export function scanBody(bytes: Buffer, limits: ScanLimits): ScannedBody {
  return scanner.scan(bytes, limits);
}

/** What an object is to us: which of its members are kept. */
type Role = 'plain' | 'message' | 'params';

interface Reserved {
  readonly key: string;
  readonly bytes: Buffer;
  readonly hash: number;
}

const messageKeys = reserve(['jsonrpc', 'id', 'method', 'params', 'result', 'error']);
const paramsKeys = reserve(['name', 'arguments', '_meta', 'uri']);
const protoKey = reserve(['__proto__'])[0] as Reserved;
/** Bytes of the longest second spelling of a reserved key: `argumentſ`. */
const longestSpelling = 11;
const trueBytes = Buffer.from('true');
const falseBytes = Buffer.from('false');
const nullBytes = Buffer.from('null');
const emptyBuffer = Buffer.alloc(0);
const emptyView = new DataView(new ArrayBuffer(0));
const noMessage = new MessageParts(emptyBuffer);

/** A recursive-descent reader. Positions go in and out; -1 means that `#fault` says why. */
class Scanner {
  readonly #keys = new KeyTable();
  #bytes: Buffer = emptyBuffer;
  #view: DataView = emptyView;
  #limits: ScanLimits = requestScanLimits;
  #fault: ScanFault | undefined;
  #objects = 0;
  /** The key read last: its hash, and its bytes when it was written with escapes. */
  #keyHash = 0;
  #keyDecoded: Buffer | undefined;
  /** The message being read. */
  #message = noMessage;

  scan(bytes: Buffer, limits: ScanLimits): ScannedBody {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#limits = limits;
    this.#fault = undefined;
    this.#objects = 0;
    this.#keys.begin(bytes);
    const body = this.#body();
    this.#keys.finish();
    this.#bytes = emptyBuffer;
    this.#view = emptyView;
    this.#message = noMessage;
    return body ?? { kind: 'fault', fault: this.#fault ?? { fault: 'syntax', at: 0 } };
  }

  #body(): ScannedBody | undefined {
    const bytes = this.#bytes;
    if (!isUtf8(bytes)) return this.#refuse('utf8', firstNotUtf8(bytes));
    const start = this.#skip(0);
    if (start === bytes.length) return this.#refuse('empty', start);
    const opening = bytes[start];
    if (opening === openBrace) {
      const message = this.#readMessage(start, 1);
      return message && this.#ended(message.span.end) ? { kind: 'message', message } : undefined;
    }
    if (opening === openBracket) return this.#batch(start);
    const end = this.#value(start, 0);
    return end >= 0 && this.#ended(end) ? { kind: 'not-a-message' } : undefined;
  }

  #batch(start: number): ScannedBody | undefined {
    const items: ScannedMessage[] = [];
    let onlyMessages = true;
    let at = this.#skip(start + 1);
    if (this.#bytes[at] === closeBracket) {
      return this.#ended(at + 1) ? { kind: 'batch', items } : undefined;
    }
    for (let elements = 1; ; elements += 1) {
      if (elements > this.#limits.maxElements) return this.#refuse('too-large', at);
      if (this.#bytes[at] === openBrace) {
        if (items.length === this.#limits.maxBatch) return this.#refuse('batch-too-long', at);
        const message = this.#readMessage(at, 2);
        if (!message) return undefined;
        items.push(message);
        at = message.span.end;
      } else {
        onlyMessages = false;
        at = this.#value(at, 1);
        if (at < 0) return undefined;
      }
      at = this.#skip(at);
      if (this.#bytes[at] === closeBracket) break;
      if (this.#bytes[at] !== comma) return this.#refuse('syntax', at);
      at = this.#skip(at + 1);
    }
    if (!this.#ended(at + 1)) return undefined;
    return onlyMessages ? { kind: 'batch', items } : { kind: 'not-a-message' };
  }

  #readMessage(start: number, depth: number): MessageParts | undefined {
    const message = new MessageParts(this.#bytes);
    this.#message = message;
    const end = this.#object(start + 1, depth, 'message');
    if (end < 0) return undefined;
    message.span = { start, end };
    if (message.illFormedAt >= 0) return this.#refuse('utf8', message.illFormedAt);
    return message;
  }

  #ended(at: number): boolean {
    const end = this.#skip(at);
    if (end === this.#bytes.length) return true;
    this.#refuse('trailing', end);
    return false;
  }

  #value(at: number, depth: number): number {
    const byte = this.#bytes[at] as number;
    if (byte === quote) {
      const end = this.#string(at + 1);
      return end < 0 ? -1 : end + 1;
    }
    if (byte === openBrace) return this.#object(at + 1, depth + 1, 'plain');
    if (byte === openBracket) return this.#array(at + 1, depth + 1);
    if (byte === 0x74) return this.#literal(at, trueBytes);
    if (byte === 0x66) return this.#literal(at, falseBytes);
    if (byte === 0x6e) return this.#literal(at, nullBytes);
    return this.#number(at);
  }

  /** @param at behind the opening brace. @returns behind the closing one. */
  #object(at: number, depth: number, role: Role): number {
    if (depth > this.#limits.maxDepth) return this.#fail('depth', at - 1);
    const bytes = this.#bytes;
    const owner = (this.#objects += 1);
    at = this.#skip(at);
    if (bytes[at] === closeBrace) return at + 1;
    for (;;) {
      if (bytes[at] !== quote) return this.#fail('syntax', at);
      const keyStart = at + 1;
      const keyEnd = this.#key(keyStart, owner);
      if (keyEnd < 0) return -1;
      at = this.#skip(keyEnd + 1);
      if (bytes[at] !== colon) return this.#fail('syntax', at);
      at = this.#skip(at + 1);
      at = role === 'plain' ? this.#value(at, depth) : this.#member(at, depth, role, { start: keyStart, end: keyEnd });
      if (at < 0) return -1;
      at = this.#skip(at);
      const byte = bytes[at];
      if (byte === closeBrace) return at + 1;
      if (byte !== comma) return this.#fail('syntax', at);
      at = this.#skip(at + 1);
    }
  }

  /** A member of a message or of its params: the parts that routing and policy need are noted. */
  #member(at: number, depth: number, role: Role, rawKey: Span): number {
    const key = this.#reservedKey(role === 'message' ? messageKeys : paramsKeys, rawKey);
    if (key === undefined) return -1;
    const isParams = role === 'message' && key === 'params' && this.#bytes[at] === openBrace;
    const end = isParams ? this.#object(at + 1, depth + 1, 'params') : this.#value(at, depth);
    if (end >= 0 && key !== '') this.#message.note(key, { start: at, end });
    return end;
  }

  /** Which reserved key was read; empty for another one; undefined when it is a second spelling of a reserved key. */
  #reservedKey(reserved: readonly Reserved[], raw: Span): string | undefined {
    const decoded = this.#keyDecoded;
    const length = decoded ? decoded.length : raw.end - raw.start;
    for (let i = 0; i < reserved.length; i += 1) {
      const candidate = reserved[i] as Reserved;
      if (candidate.hash !== this.#keyHash || candidate.bytes.length !== length) continue;
      if (decoded ? candidate.bytes.equals(decoded) : sameBytes(this.#bytes, raw.start, candidate.bytes)) {
        return candidate.key;
      }
    }
    if (length > longestSpelling) return '';
    const spelled = decoded ? decoded.toString() : this.#bytes.toString('utf8', raw.start, raw.end);
    const folded = spelled.replaceAll('ſ', 's').replaceAll('\u212a', 'k').toLowerCase();
    if (!reserved.some((candidate) => candidate.key === folded)) return '';
    this.#refuse('forbidden-key', raw.start);
    return undefined;
  }

  /** @param at behind the opening bracket. @returns behind the closing one. */
  #array(at: number, depth: number): number {
    if (depth > this.#limits.maxDepth) return this.#fail('depth', at - 1);
    const bytes = this.#bytes;
    at = this.#skip(at);
    if (bytes[at] === closeBracket) return at + 1;
    for (let elements = 1; ; elements += 1) {
      if (elements > this.#limits.maxElements) return this.#fail('too-large', at);
      at = this.#value(at, depth);
      if (at < 0) return -1;
      at = this.#skip(at);
      const byte = bytes[at];
      if (byte === closeBracket) return at + 1;
      if (byte !== comma) return this.#fail('syntax', at);
      at = this.#skip(at + 1);
    }
  }

  /** @param at behind the opening quote. @returns the closing quote. */
  #string(at: number): number {
    const bytes = this.#bytes;
    const view = this.#view;
    const end = bytes.length;
    const lastWord = end - 4;
    let i = at;
    for (;;) {
      while (i <= lastWord && !hasSpecialByte(view.getInt32(i, true))) i += 4;
      while (i < end && special[bytes[i] as number] === 0) i += 1;
      if (i >= end) return this.#fail('syntax', end);
      const byte = bytes[i] as number;
      if (byte === quote) return i - at > this.#limits.maxStringBytes ? this.#fail('too-large', at) : i;
      if (byte !== backslash) return this.#fail('syntax', i);
      i = this.#escape(i);
      if (i < 0) return -1;
    }
  }

  /** @param at the backslash. @returns behind the escape. */
  #escape(at: number): number {
    const bytes = this.#bytes;
    const kind = bytes[at + 1] as number;
    if (kind !== 0x75) return escapable[kind] === 1 ? at + 2 : this.#fail('syntax', at + 1);
    for (let i = at + 2; i < at + 6; i += 1) {
      if (hexDigits[bytes[i] as number] !== 1) return this.#fail('syntax', Math.min(i, bytes.length));
    }
    return at + 6;
  }

  /** Like `#string`, and enters the key into the table. Sets the fields of the key read last. */
  #key(at: number, owner: number): number {
    if (this.#keys.count === this.#limits.maxKeys) return this.#fail('too-many-keys', at - 1);
    const bytes = this.#bytes;
    const end = bytes.length;
    let hash = hashSeed;
    let i = at;
    for (; i < end; i += 1) {
      const byte = bytes[i] as number;
      if (special[byte] === 1) break;
      hash = Math.imul(hash ^ byte, hashPrime);
    }
    this.#keyDecoded = undefined;
    if (bytes[i] !== quote) return this.#escapedKey(at, owner);
    if (i - at > this.#limits.maxStringBytes) return this.#fail('too-large', at);
    this.#keyHash = hash;
    if (hash === protoKey.hash && i - at === protoKey.bytes.length && sameBytes(bytes, at, protoKey.bytes)) {
      return this.#fail('forbidden-key', at);
    }
    return this.#entered(this.#keys.add(owner, hash, at, i), at, i);
  }

  #escapedKey(at: number, owner: number): number {
    const end = this.#string(at);
    if (end < 0) return -1;
    const key = decodeString(this.#bytes, at, end);
    if (!key.isWellFormed()) return this.#fail('utf8', at);
    if (key === protoKey.key) return this.#fail('forbidden-key', at);
    const decoded = Buffer.from(key);
    this.#keyDecoded = decoded;
    this.#keyHash = hashKey(decoded, 0, decoded.length);
    return this.#entered(this.#keys.addDecoded(owner, decoded), at, end);
  }

  #entered(result: 'added' | 'repeated' | 'attack', at: number, end: number): number {
    if (result === 'added') return end;
    return this.#fail(result === 'repeated' ? 'duplicate-key' : 'too-many-keys', at);
  }

  #number(at: number): number {
    const bytes = this.#bytes;
    let i = bytes[at] === minus ? at + 1 : at;
    if (bytes[i] === zero) i += 1;
    else {
      const digits = this.#digits(i);
      if (digits === i) return this.#fail('syntax', i);
      i = digits;
    }
    if (bytes[i] === dot) {
      const digits = this.#digits(i + 1);
      if (digits === i + 1) return this.#fail('syntax', digits);
      i = digits;
    }
    if (bytes[i] === 0x65 || bytes[i] === 0x45) {
      const sign = bytes[i + 1];
      const from = sign === minus || sign === plus ? i + 2 : i + 1;
      const digits = this.#digits(from);
      if (digits === from) return this.#fail('syntax', Math.min(digits, bytes.length));
      i = digits;
    }
    return i;
  }

  #digits(at: number): number {
    const bytes = this.#bytes;
    let i = at;
    while (i < bytes.length && (bytes[i] as number) >= zero && (bytes[i] as number) <= nine) i += 1;
    return i;
  }

  #literal(at: number, expected: Buffer): number {
    return sameBytes(this.#bytes, at, expected) ? at + expected.length : this.#fail('syntax', at);
  }

  #skip(at: number): number {
    const bytes = this.#bytes;
    while (at < bytes.length) {
      const byte = bytes[at] as number;
      if (byte > 0x20 || (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09)) break;
      at += 1;
    }
    return at;
  }

  #fail(fault: ScanFault['fault'], at: number): -1 {
    this.#fault = { fault, at };
    return -1;
  }

  #refuse(fault: ScanFault['fault'], at: number): undefined {
    this.#fault = { fault, at };
  }
}

const scanner = new Scanner();

/**
 * True if one of the four bytes ends or interrupts a run of string bytes: a quote, a backslash, a control character.
 * A difference borrows into the high bit of a byte only where that byte is below the subtrahend's.
 */
function hasSpecialByte(word: number): boolean {
  const quotes = word ^ 0x22222222;
  const backslashes = word ^ 0x5c5c5c5c;
  const found =
    ((quotes - 0x01010101) & ~quotes) | ((backslashes - 0x01010101) & ~backslashes) | ((word - 0x20202020) & ~word);
  return (found & 0x80808080) !== 0;
}

function reserve(keys: readonly string[]): Reserved[] {
  return keys.map((key) => ({ key, bytes: Buffer.from(key), hash: hashKey(Buffer.from(key), 0, key.length) }));
}

function sameBytes(bytes: Buffer, at: number, expected: Buffer): boolean {
  for (let i = 0; i < expected.length; i += 1) if (bytes[at + i] !== expected[i]) return false;
  return true;
}

/** Decoding replaces what is not UTF-8, so the first difference to the original is where it went wrong. */
function firstNotUtf8(bytes: Buffer): number {
  const replaced = Buffer.from(bytes.toString());
  let at = 0;
  while (at < bytes.length && bytes[at] === replaced[at]) at += 1;
  return at;
}
