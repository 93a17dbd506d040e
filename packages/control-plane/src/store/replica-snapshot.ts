import { createHash, timingSafeEqual } from 'node:crypto';

import { digestOf, type StoredResource } from '@signalbox/config';

import type { CommittedScope, StagedScope } from './change-feed.ts';
import type { RememberedToken } from './remembered-tokens.ts';
import { kindOf } from './rows.ts';
import type { TokenRecord } from './tokens.ts';

/** What a replica needs to serve without its database. */
export interface ReplicaSnapshot {
  readonly scopes: readonly CommittedScope[];
  /** Of these some nodes get the newest revision, and the others what is in here. */
  readonly staged: readonly StagedScope[];
  readonly tokens: readonly RememberedToken[];
}

const magic = Buffer.from('SBXREPL1');
const checksumLength = 32;
const chunkBytes = 64 * 1024;

interface ScopeHead {
  readonly scope: string;
  readonly revision: string;
  readonly committedAtMs: number;
  readonly removalsConfirmed: string;
  readonly count: number;
}

/** The file: magic, fields with their lengths, SHA-256 over both. In pieces, so that writing holds nothing up. */
export function* encodeReplicaSnapshot(snapshot: ReplicaSnapshot): Generator<Buffer, void, void> {
  const checksum = createHash('sha256').update(magic);
  yield magic;
  let pending: Uint8Array[] = [];
  let size = 0;
  for (const field of fieldsOf(snapshot)) {
    const length = Buffer.allocUnsafe(4);
    length.writeUInt32BE(field.length);
    pending.push(length, field);
    size += length.length + field.length;
    if (size < chunkBytes) continue;
    const chunk = Buffer.concat(pending);
    checksum.update(chunk);
    yield chunk;
    pending = [];
    size = 0;
  }
  const last = Buffer.concat(pending);
  yield last;
  yield checksum.update(last).digest();
}

/** @throws Error saying why the file cannot be trusted. */
export function decodeReplicaSnapshot(file: Buffer): ReplicaSnapshot {
  if (file.length < magic.length + checksumLength || !file.subarray(0, magic.length).equals(magic)) {
    throw new Error('it is not a snapshot, or was written by another version');
  }
  const content = file.subarray(0, -checksumLength);
  const checksum = createHash('sha256').update(content).digest();
  if (!timingSafeEqual(checksum, file.subarray(-checksumLength))) throw new Error('its checksum does not match');
  const next = fieldReader(content.subarray(magic.length));
  const { scopes, staged = 0, tokens } = json<{ scopes: number; staged?: number; tokens: number }>(next());
  return {
    scopes: Array.from({ length: scopes }, () => readScope(next)),
    staged: Array.from({ length: staged }, () => readStaged(next)),
    tokens: Array.from({ length: tokens }, () => readToken(next())),
  };
}

function* fieldsOf({ scopes, staged, tokens }: ReplicaSnapshot): Generator<Uint8Array, void, void> {
  const held = staged.filter(({ base }) => base.state !== undefined);
  yield jsonField({ scopes: scopes.length, staged: held.length, tokens: tokens.length });
  for (const scope of scopes) yield* fieldsOfScope(scope);
  for (const { members, base } of held) {
    yield jsonField(members);
    if (base.state) yield* fieldsOfScope(base.state);
  }
  for (const { record, hash } of tokens) yield jsonField({ ...record, hash: hash.toString('hex') });
}

function* fieldsOfScope(state: CommittedScope): Generator<Uint8Array, void, void> {
  const { scope, revision, committedAtMs, removalsConfirmed, resources } = state;
  const numbers = { revision: String(revision), removalsConfirmed: String(removalsConfirmed) };
  yield jsonField({ scope, committedAtMs, ...numbers, count: resources.length } satisfies ScopeHead);
  for (const { kind, name, body } of resources) {
    yield Buffer.from(`${kind}/${name}`);
    yield body;
  }
}

function readStaged(next: () => Buffer): StagedScope {
  const members = json<StagedScope['members']>(next());
  const state = readScope(next);
  return { scope: state.scope, members, base: { revision: state.revision, state } };
}

function readScope(next: () => Buffer): CommittedScope {
  const head = json<ScopeHead>(next());
  const resources: StoredResource[] = [];
  for (let i = 0; i < head.count; i += 1) {
    const [kind = '', name = ''] = next().toString().split('/');
    const body = new Uint8Array(next());
    resources.push({ kind: kindOf(kind), name, body, digest: digestOf(body) });
  }
  const { scope, committedAtMs } = head;
  const revision = BigInt(head.revision);
  return { scope, revision, committedAtMs, removalsConfirmed: BigInt(head.removalsConfirmed), resources };
}

function readToken(field: Buffer): RememberedToken {
  const { hash, ...stored } = json<Record<keyof TokenRecord, string | null> & { hash: string }>(field);
  const date = (text: string | null) => (text === null ? null : new Date(text));
  const record = {
    ...stored,
    // A file of an earlier version has neither.
    selector: stored.selector ?? '',
    groups: stored.groups ?? [],
    createdAt: new Date(stored.createdAt ?? 0),
    expiresAt: date(stored.expiresAt),
    revokedAt: date(stored.revokedAt),
    lastUsedAt: date(stored.lastUsedAt),
  };
  return { record: record as unknown as TokenRecord, hash: Buffer.from(hash, 'hex') };
}

function fieldReader(content: Buffer): () => Buffer {
  let at = 0;
  return () => {
    const start = at + 4;
    at = start + content.readUInt32BE(at);
    if (at > content.length) throw new Error('a field is cut off');
    return content.subarray(start, at);
  };
}

function jsonField(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}

function json<T>(field: Buffer): T {
  return JSON.parse(field.toString()) as T;
}
