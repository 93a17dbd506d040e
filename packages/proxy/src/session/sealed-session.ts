import type { Random } from '@signalbox/runtime';
import { Seal } from './seal.ts';
import type { SessionKeys } from './session-keys.ts';

/** What a legacy session id carries. The upstream's own session id stands nowhere else. */
export interface SessionFacts {
  /** The gateway's own name of the session, random: for audit, where the id itself must not stand. */
  readonly name: string;
  readonly tenant: string;
  readonly route: string;
  /** Key of the backend that the upstream session is on, or of the federation. */
  readonly backend: string;
  /** Whom the session belongs to. */
  readonly principal: string;
  /** Negotiated protocol version. */
  readonly version: string;
  /** Empty when the upstream keeps no sessions, and for a federation, whose members have their own. */
  readonly upstreamId: string;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
  /** Of a federation. */
  readonly federation?: FederationFacts;
}

/** What any node needs to go on with the sessions that members keep, or to begin them again. */
export interface FederationFacts {
  /** Raw JSON of what the client can do. */
  readonly capabilities: string;
  /** Raw JSON of who the client is. */
  readonly clientInfo: string;
  /** Sessions as they were when the id was sealed. */
  readonly members: readonly MemberFacts[];
}

export interface MemberFacts {
  /** Digest of the key of the member's backend. */
  readonly backend: string;
  /** Empty when the member keeps no sessions. */
  readonly id: string;
  readonly version: string;
}

/** Where the facts of a session are that do not fit into its id. */
export interface SessionReference {
  readonly name: string;
  readonly tenant: string;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
}

/** An id, and what has to be kept elsewhere for it; undefined when everything is in it. */
export interface SealedSession {
  readonly id: string;
  readonly record: string | undefined;
}

/** Session ids as sealed letters. */
export class SessionSeal {
  readonly #seal: Seal;

  constructor(keys: SessionKeys, random: Random) {
    this.#seal = new Seal(keys, random, '');
  }

  seal(facts: SessionFacts): SealedSession {
    const plain = encode(facts);
    const id = this.#seal.seal(plain);
    if (id.length <= maxIdLength) return { id, record: undefined };
    const { name, tenant, expiresAt } = facts;
    return { id: this.#seal.seal(JSON.stringify([formats.reference, name, tenant, expiresAt])), record: plain };
  }

  /** @returns undefined for everything that was not sealed with one of the keys. */
  open(sealedId: string): SessionFacts | SessionReference | undefined {
    const plain = sealedId.length > maxIdLength ? undefined : this.#seal.open(sealedId);
    return plain === undefined ? undefined : decode(plain);
  }
}

/** The facts that a reference leads to; undefined for a text that holds those of another session. */
export function readRecord({ name, tenant }: SessionReference, record: string): SessionFacts | undefined {
  const facts = decode(record);
  return facts && 'route' in facts && facts.name === name && facts.tenant === tenant ? facts : undefined;
}

/** Header values beyond this are cut off by many servers. */
export const maxIdLength = 4_096;

/** First element of the sealed list; a change of the list takes another number. */
const formats = { direct: 1, federated: 2, reference: 3 } as const;

type Direct = [number, string, string, string, string, string, string, string, number];
type Members = readonly (readonly [string, string, string])[];

function encode(facts: SessionFacts): string {
  const { name, tenant, route, backend, principal, version, upstreamId, expiresAt, federation } = facts;
  const fields = [name, tenant, route, backend, principal, version, upstreamId, expiresAt];
  if (!federation) return JSON.stringify([formats.direct, ...fields]);
  const members = federation.members.map((member) => [member.backend, member.id, member.version]);
  return JSON.stringify([formats.federated, ...fields, federation.capabilities, federation.clientInfo, members]);
}

function decode(plain: string): SessionFacts | SessionReference | undefined {
  const parts = JSON.parse(plain) as readonly unknown[];
  if (parts[0] !== formats.reference) return decodeFacts(parts);
  const [, name, tenant, expiresAt] = parts as [number, string, string, number];
  return { name, tenant, expiresAt };
}

function decodeFacts(parts: readonly unknown[]): SessionFacts | undefined {
  const [format, name, tenant, route, backend, principal, version, upstreamId, expiresAt, ...more] = parts as [
    ...Direct,
    ...unknown[],
  ];
  const facts = { name, tenant, route, backend, principal, version, upstreamId, expiresAt };
  if (format === formats.direct) return facts;
  if (format !== formats.federated) return undefined;
  const [capabilities, clientInfo, sealed] = more as [string, string, Members];
  const members = sealed.map(([of, id, speaks]): MemberFacts => ({ backend: of, id, version: speaks }));
  return { ...facts, federation: { capabilities, clientInfo, members } };
}
