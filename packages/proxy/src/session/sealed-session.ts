import { createCipheriv, createDecipheriv } from 'node:crypto';
import type { Random } from '@signalbox/runtime';
import type { SessionKey, SessionKeys } from './session-keys.ts';

/** What a legacy session id carries. The upstream's own session id stands nowhere else. */
export interface SessionFacts {
  /** The gateway's own name of the session, random: for audit, where the id itself must not stand. */
  readonly name: string;
  readonly tenant: string;
  readonly route: string;
  /** Key of the backend that the upstream session is on. */
  readonly backend: string;
  /** Whom the session belongs to. */
  readonly principal: string;
  /** Negotiated protocol version. */
  readonly version: string;
  /** Empty when the upstream keeps no sessions. */
  readonly upstreamId: string;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
}

/**
 * Session ids as sealed letters: `<key id>.<base64url of nonce, AES-256-GCM ciphertext and tag>`, visible ASCII. Any
 * node with the key opens them; nobody else can read, make or change one.
 */
export class SessionSeal {
  readonly #keys: SessionKeys;
  readonly #random: Random;

  constructor(keys: SessionKeys, random: Random) {
    this.#keys = keys;
    this.#random = random;
  }

  seal(facts: SessionFacts): string {
    const [{ id, key }] = this.#keys;
    const nonce = this.#random.bytes(nonceBytes);
    const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(id));
    const sealed = Buffer.concat([nonce, cipher.update(encode(facts)), cipher.final(), cipher.getAuthTag()]);
    return `${id}.${sealed.toString('base64url')}`;
  }

  /** @returns undefined for everything that was not sealed with one of the keys. */
  open(sealedId: string): SessionFacts | undefined {
    const dot = sealedId.indexOf('.');
    const key = this.#keys.find(({ id }) => id === sealedId.slice(0, dot));
    if (!key || sealedId.length > maxIdLength) return undefined;
    const text = sealedId.slice(dot + 1);
    const sealed = Buffer.from(text, 'base64url');
    if (sealed.length < nonceBytes + tagBytes || sealed.toString('base64url') !== text) return undefined;
    const plain = unseal(key, sealed);
    return plain && decode(plain);
  }
}

const nonceBytes = 12;
const tagBytes = 16;
/** Header values beyond this are cut off by many servers. */
const maxIdLength = 4_096;

function unseal({ id, key }: SessionKey, sealed: Buffer): Buffer | undefined {
  const nonce = sealed.subarray(0, nonceBytes);
  const tag = sealed.subarray(sealed.length - tagBytes);
  const decipher = createDecipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(id)).setAuthTag(tag);
  const opened = decipher.update(sealed.subarray(nonceBytes, sealed.length - tagBytes));
  try {
    return Buffer.concat([opened, decipher.final()]);
  } catch {
    // GCM reports a wrong tag only by throwing.
    return undefined;
  }
}

/** First element of the sealed list; a change of the list takes another number. */
const format = 1;

function encode(facts: SessionFacts): string {
  const { name, tenant, route, backend, principal, version, upstreamId, expiresAt } = facts;
  return JSON.stringify([format, name, tenant, route, backend, principal, version, upstreamId, expiresAt]);
}

function decode(plain: Buffer): SessionFacts | undefined {
  const [read, name, tenant, route, backend, principal, version, upstreamId, expiresAt] = JSON.parse(
    plain.toString('utf8'),
  ) as [number, string, string, string, string, string, string, string, number];
  if (read !== format) return undefined;
  return { name, tenant, route, backend, principal, version, upstreamId, expiresAt };
}
