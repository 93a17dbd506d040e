/**
 * Messages in the body of a gRPC call: each behind a flag (compressed or not) and its length ("gRPC over HTTP2", section
 * "Length-Prefixed-Message").
 */
const prefixBytes = 5;

/** Room for the prefix of a message, whose length is known once its parts are put together. */
export function frameMessage(parts: readonly Uint8Array[]): Buffer {
  let length = 0;
  for (const part of parts) length += part.length;
  const frame = Buffer.allocUnsafe(prefixBytes + length);
  frame[0] = 0;
  frame.writeUInt32BE(length, 1);
  let at = prefixBytes;
  for (const part of parts) {
    frame.set(part, at);
    at += part.length;
  }
  return frame;
}

/** The message in a frame that holds one: the same bytes, not a copy. */
export function messageIn(frame: Buffer): Buffer {
  return frame.subarray(prefixBytes);
}

/** Why the bytes of a call cannot be read any further. */
export type FramingFault = 'compressed' | 'too-large';

/** Cuts what arrives into messages. Holds at most one that is not complete, and never more than the limit. */
export class MessageReader {
  readonly #maxBytes: number;
  /** Unread bytes; several chunks only while a message is not complete. */
  #chunks: Buffer[] = [];
  #size = 0;
  #wanted = prefixBytes;

  /** @param maxBytes of one message. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#size += chunk.length;
  }

  /** The next message; undefined: it has not arrived yet. */
  next(): Buffer | FramingFault | undefined {
    if (this.#size < this.#wanted) return undefined;
    const bytes = this.#joined();
    if (bytes[0] !== 0) return 'compressed';
    const end = prefixBytes + bytes.readUInt32BE(1);
    if (end - prefixBytes > this.#maxBytes) return 'too-large';
    this.#wanted = end;
    if (this.#size < end) return undefined;
    this.#wanted = prefixBytes;
    this.#size -= end;
    this.#chunks = this.#size === 0 ? [] : [bytes.subarray(end)];
    return bytes.subarray(prefixBytes, end);
  }

  #joined(): Buffer {
    const [first] = this.#chunks;
    if (first && this.#chunks.length === 1) return first;
    const whole = Buffer.concat(this.#chunks);
    this.#chunks = [whole];
    return whole;
  }
}
