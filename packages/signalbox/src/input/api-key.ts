import { createHash } from 'node:crypto';
import type { Random } from '@signalbox/runtime';
import { Secret } from '@signalbox/runtime/secret';

/** A new API key for an agent: 256 unpredictable bits, recognisable for people and for scanners of leaked secrets. */
export function newApiKey(random: Random): Secret {
  return new Secret(`sba_${random.bytes(32).toString('base64url')}`);
}

/** The hash by which a Policy knows the key: lower-case hex SHA-256. */
export function apiKeyHash(key: Secret): string {
  return createHash('sha256').update(key.reveal()).digest('hex');
}

/** 256 unpredictable bits as text. */
export function newPassword(random: Random): Secret {
  return new Secret(random.bytes(32).toString('base64url'));
}
