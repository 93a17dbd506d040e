import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';

import { type Random, Secret } from '@signalbox/runtime';

const secretBytes = 32;
const idBytes = 8;
const pattern = /^sbk_([0-9a-f]{16})_[0-9a-f]{64}_([0-9a-f]{8})$/;

/** Makes a credential: `sbk_<id>_<secret>_<crc>`, where the secret is 256 random bits and all parts are hex. */
export function newToken(random: Random): { readonly id: string; readonly text: Secret } {
  const id = random.bytes(idBytes).toString('hex');
  const body = `sbk_${id}_${random.bytes(secretBytes).toString('hex')}`;
  return { id, text: new Secret(`${body}_${checksum(body)}`) };
}

/** The id within a credential; undefined if the text is none. The checksum finds typing errors without the database. */
export function tokenId(text: string): string | undefined {
  const [, id, crc] = pattern.exec(text) ?? [];
  if (id === undefined || crc === undefined) return undefined;
  return checksum(text.slice(0, -crc.length - 1)) === crc ? id : undefined;
}

/** What is stored of a credential, and compared. */
export function tokenHash(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

function checksum(body: string): string {
  return crc32(body).toString(16).padStart(8, '0');
}
