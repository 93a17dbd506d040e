import { createCipheriv, createDecipheriv, createHmac } from 'node:crypto';
import type { Random } from '@signalbox/runtime';
import type { SessionKey, SessionKeys } from './session-keys.ts';

/**
 * Sealed letters: `<key id>.<base64url of nonce, AES-256-GCM ciphertext and tag>`, visible ASCII. Any node with the key
 * opens them; nobody else can read, make or change one.
 */
export class Seal {
  readonly #keys: SessionKeys;
  readonly #random: Random;
  readonly #purpose: string;

  /** @param purpose what the letters are for: one for another purpose does not open. */
  constructor(keys: SessionKeys, random: Random, purpose: string) {
    this.#keys = keys;
    this.#random = random;
    this.#purpose = purpose;
  }

  seal(text: string): string {
    return this.#sealed(text, this.#random.bytes(nonceBytes));
  }

  /** Equal texts give equal letters for as long as the newest key is the same: for names that clients compare. */
  sealAlike(text: string): string {
    const [{ id, key }] = this.#keys;
    const nonce = createHmac('sha256', key).update(this.#context(id)).update('\n').update(text).digest();
    return this.#sealed(text, nonce.subarray(0, nonceBytes));
  }

  #sealed(text: string, nonce: Buffer): string {
    const [{ id, key }] = this.#keys;
    const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(this.#context(id));
    const sealed = Buffer.concat([nonce, cipher.update(text), cipher.final(), cipher.getAuthTag()]);
    return `${id}.${sealed.toString('base64url')}`;
  }

  /** @returns undefined for everything that was not sealed with one of the keys for this purpose. */
  open(letter: string): string | undefined {
    const dot = letter.indexOf('.');
    const key = this.#keys.find(({ id }) => id === letter.slice(0, dot));
    if (!key) return undefined;
    const text = letter.slice(dot + 1);
    const sealed = Buffer.from(text, 'base64url');
    if (sealed.length < nonceBytes + tagBytes || sealed.toString('base64url') !== text) return undefined;
    return this.#unseal(key, sealed)?.toString('utf8');
  }

  #unseal({ id, key }: SessionKey, sealed: Buffer): Buffer | undefined {
    const nonce = sealed.subarray(0, nonceBytes);
    const tag = sealed.subarray(sealed.length - tagBytes);
    const decipher = createDecipheriv('aes-256-gcm', key, nonce).setAAD(this.#context(id)).setAuthTag(tag);
    const opened = decipher.update(sealed.subarray(nonceBytes, sealed.length - tagBytes));
    try {
      return Buffer.concat([opened, decipher.final()]);
    } catch {
      // GCM reports a wrong tag only by throwing.
      return undefined;
    }
  }

  #context(id: string): Buffer {
    return Buffer.from(id + this.#purpose);
  }
}

const nonceBytes = 12;
const tagBytes = 16;
