import { createHash, createSecretKey, type KeyObject } from 'node:crypto';
import type { Random } from '@signalbox/runtime';

/** A key that seals session ids. */
export interface SessionKey {
  /** Stands in front of every id that the key sealed: the first 6 base64url characters of the key's SHA-256. */
  readonly id: string;
  readonly key: KeyObject;
}

/**
 * Keys of a fleet, newest first: the first one seals, all of them open. To rotate, put a new key first on every node,
 * and take the old one away once the sessions that it sealed have expired.
 */
export type SessionKeys = readonly [SessionKey, ...SessionKey[]];

/** Reads keys as the setting holds them: 32 bytes each in base64 or base64url, separated by commas, newest first. */
export function parseSessionKeys(text: string): { keys: SessionKeys } | { problem: string } {
  const [first, ...rest] = text.split(',').map((part) => Buffer.from(part.trim(), 'base64'));
  if (!first || [first, ...rest].some((bytes) => bytes.length !== keyBytes)) {
    return {
      problem: `expected keys of ${keyBytes} bytes in base64, separated by commas; make one: openssl rand -base64 32`,
    };
  }
  return { keys: [sessionKey(first), ...rest.map((bytes) => sessionKey(bytes))] };
}

/** A key of its own for a process: its sessions end with it, and no other node can open them. */
export function randomSessionKeys(random: Random): SessionKeys {
  return [sessionKey(random.bytes(keyBytes))];
}

const keyBytes = 32;

function sessionKey(bytes: Buffer): SessionKey {
  const id = createHash('sha256').update(bytes).digest('base64url').slice(0, 6);
  return { id, key: createSecretKey(bytes) };
}
