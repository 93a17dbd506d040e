import { createCipheriv, createDecipheriv, createHash, type KeyObject, timingSafeEqual } from 'node:crypto';
import { digestOf, isKind, makeSnapshot, type Snapshot, type StoredResource } from '@signalbox/config';

/** The set of a scope as it was last activated, and the manifest that it matched. */
export interface LastGoodSet {
  readonly snapshot: Snapshot;
  /** Version of the Manifest on the discovery stream; empty when the set did not come from one. */
  readonly manifestVersion: string;
}

/** How a file is protected: with a key it is sealed, so that it can neither be read nor changed. */
export interface Protection {
  /** 32 bytes, for AES-256-GCM. */
  readonly key: KeyObject | undefined;
  /** 12 bytes that were never used with this key before. */
  nonce(): Buffer;
}

/*
 * The file is: 8 bytes magic with the format version, 1 byte mode, 12 bytes nonce (zeros when plain), the payload, and a
 * trailer: the AES-256-GCM tag (sealed; the head is authenticated too) or the SHA-256 of all before (plain).
 * The payload is a sequence of fields, each a 32-bit length and its bytes: a JSON head, then key and body of each resource.
 */
const magic = Buffer.from('SBXSET\0\x01', 'latin1');
const plainMode = 0;
const sealedMode = 1;
const nonceLength = 12;
const headLength = magic.length + 1 + nonceLength;
const tagLength = 16;
const checksumLength = 32;
const chunkBytes = 64 * 1024;

interface PayloadHead {
  readonly scope: string;
  readonly revision: string;
  readonly hash: string;
  readonly manifestVersion: string;
  readonly count: number;
}

/** The file's bytes, in pieces of about 64 KiB, so that a large set can be written without holding anything up. */
export function* encodeLastGood(set: LastGoodSet, protection: Protection): Generator<Buffer, void, void> {
  const { key } = protection;
  const nonce = key ? protection.nonce() : Buffer.alloc(nonceLength);
  const head = Buffer.concat([magic, Buffer.of(key ? sealedMode : plainMode), nonce]);
  yield head;
  if (key) {
    const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(head);
    for (const chunk of chunksOf(payloadFields(set))) yield cipher.update(chunk);
    cipher.final();
    yield cipher.getAuthTag();
  } else {
    const checksum = createHash('sha256').update(head);
    for (const chunk of chunksOf(payloadFields(set))) {
      checksum.update(chunk);
      yield chunk;
    }
    yield checksum.digest();
  }
}

/** The set in a file, or why the file cannot be trusted. */
export function decodeLastGood(file: Buffer, key: KeyObject | undefined): LastGoodSet | { readonly damage: string } {
  if (file.length < headLength || !file.subarray(0, magic.length).equals(magic)) {
    return { damage: 'it is not a set, or was written by another version' };
  }
  const payload = file[magic.length] === sealedMode ? unseal(file, key) : verifyPlain(file, key);
  if ('damage' in payload) return payload;
  try {
    return readPayload(payload);
  } catch (error) {
    return { damage: `its content cannot be read: ${String(error)}` };
  }
}

function unseal(file: Buffer, key: KeyObject | undefined): Buffer | { readonly damage: string } {
  if (!key) return { damage: 'it is sealed and no key is set' };
  try {
    const decipher = createDecipheriv('aes-256-gcm', key, file.subarray(magic.length + 1, headLength))
      .setAAD(file.subarray(0, headLength))
      .setAuthTag(file.subarray(-tagLength));
    const payload = decipher.update(file.subarray(headLength, -tagLength));
    decipher.final();
    return payload;
  } catch {
    return { damage: 'it was changed, or sealed with another key' };
  }
}

function verifyPlain(file: Buffer, key: KeyObject | undefined): Buffer | { readonly damage: string } {
  if (key) return { damage: 'it is not sealed although a key is set' };
  if (file[magic.length] !== plainMode || file.length < headLength + checksumLength)
    return { damage: 'it is incomplete' };
  const checksum = createHash('sha256').update(file.subarray(0, -checksumLength)).digest();
  if (!timingSafeEqual(checksum, file.subarray(-checksumLength))) return { damage: 'its checksum does not match' };
  return file.subarray(headLength, -checksumLength);
}

function* payloadFields(set: LastGoodSet): Generator<Uint8Array, void, void> {
  const { scope, revision, hash, resources } = set.snapshot;
  const head: PayloadHead = {
    scope,
    revision: revision.toString(),
    hash,
    manifestVersion: set.manifestVersion,
    count: resources.size,
  };
  yield Buffer.from(JSON.stringify(head));
  for (const { kind, name, body } of resources.values()) {
    yield Buffer.from(`${kind}/${name}`);
    yield body;
  }
}

/** Puts a length before each field and gathers small fields into chunks. */
function* chunksOf(fields: Iterable<Uint8Array>): Generator<Buffer, void, void> {
  let pending: Uint8Array[] = [];
  let size = 0;
  for (const field of fields) {
    const length = Buffer.allocUnsafe(4);
    length.writeUInt32BE(field.length);
    pending.push(length, field);
    size += length.length + field.length;
    if (size < chunkBytes) continue;
    yield Buffer.concat(pending);
    pending = [];
    size = 0;
  }
  if (size > 0) yield Buffer.concat(pending);
}

function readPayload(payload: Buffer): LastGoodSet | { readonly damage: string } {
  const fields = readFields(payload);
  const head = JSON.parse(nextField(fields).toString()) as PayloadHead;
  const resources: StoredResource[] = [];
  for (let i = 0; i < head.count; i += 1) resources.push(readResource(nextField(fields), nextField(fields)));
  if (!fields.next().done) return { damage: 'it has more in it than it says' };
  const snapshot = makeSnapshot(head.scope, BigInt(head.revision), resources);
  if (snapshot.hash !== head.hash) return { damage: 'its resources do not have the hash that it names' };
  return { snapshot, manifestVersion: head.manifestVersion };
}

function readResource(key: Buffer, body: Buffer): StoredResource {
  const [kind = '', name = ''] = key.toString().split('/');
  if (!isKind(kind) || name === '') throw new Error(`unknown resource ${key.toString()}`);
  return { kind, name, body: new Uint8Array(body), digest: digestOf(body) };
}

function* readFields(payload: Buffer): Generator<Buffer, void, void> {
  let at = 0;
  while (at < payload.length) {
    const start = at + 4;
    at = start + payload.readUInt32BE(at);
    if (at > payload.length) throw new Error('a field is cut off');
    yield payload.subarray(start, at);
  }
}

function nextField(fields: Generator<Buffer, void, void>): Buffer {
  const field = fields.next();
  if (field.done) throw new Error('a field is missing');
  return field.value;
}
