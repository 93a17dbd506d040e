import { createHash, hash } from 'node:crypto';

/** Content hash of a resource's canonical bytes: the first 16 bytes of SHA-256, as lower-case hex. */
export function digestOf(bytes: Uint8Array | string): string {
  return hash('sha256', bytes, 'hex').slice(0, 32);
}

/** Lower-case hex SHA-256 of a text in UTF-8: how API keys are stored and looked up. */
export function sha256Hex(text: string): string {
  return hash('sha256', text, 'hex');
}

/** A hash fed piece by piece, so that hashing a large set can be spread over time. Same form as {@link digestOf}. */
export class DigestBuilder {
  readonly #hash = createHash('sha256');

  add(text: string): void {
    this.#hash.update(text);
  }

  finish(): string {
    return this.#hash.digest('hex').slice(0, 32);
  }
}
