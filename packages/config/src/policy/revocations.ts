import type { Revocation } from '@signalbox/proto/signalbox/config/v1/revocation_pb.ts';
import { digestOf } from '../digest.ts';
import { timeMs } from '../resources/revocation.ts';
import type { AuthenticationTable } from './authentication.ts';

/** Tokens that are not accepted any more. */
export interface RevocationTable {
  /** Hash of the content. */
  readonly digest: string;
  readonly entries: readonly RevocationEntry[];
}

export interface RevocationEntry {
  /** Empty: of every issuer. */
  readonly issuer: string;
  readonly tokenIds: ReadonlySet<string>;
  readonly subjects: ReadonlySet<string>;
  /** Of the subjects, or without any of everybody: only tokens that were issued before, milliseconds since the epoch. */
  readonly issuedBeforeMs: number | null;
}

/** What a token says of itself. */
export interface RevocableToken {
  readonly issuer: string;
  readonly subject: string;
  /** Its `jti`; undefined when it has none. */
  readonly tokenId: string | undefined;
  /** Milliseconds since the epoch. */
  readonly issuedAtMs: number;
}

export function compileRevocation({ issuer, tokenIds, subjects, issuedBefore }: Revocation): RevocationEntry {
  return Object.freeze({
    issuer,
    tokenIds: new Set(tokenIds),
    subjects: new Set(subjects),
    issuedBeforeMs: timeMs(issuedBefore) ?? null,
  });
}

/** An authentication that refuses what is revoked; the same one if no token concerns it. */
export function withRevocations(
  authentication: AuthenticationTable,
  entries: readonly RevocationEntry[],
): AuthenticationTable {
  const concerned = entries.filter(({ issuer }) => issuer === '' || authentication.jwt.has(issuer));
  if (authentication.jwt.size === 0 || concerned.length === 0) return authentication;
  const content = concerned.map(({ issuer, tokenIds, subjects, issuedBeforeMs }) => {
    return [issuer, [...tokenIds].sort(), [...subjects].sort(), issuedBeforeMs];
  });
  const revocations = Object.freeze({ digest: digestOf(JSON.stringify(content)), entries: concerned });
  const digest = digestOf(JSON.stringify([authentication.digest, revocations.digest]));
  return Object.freeze({ ...authentication, digest, revocations });
}

export function isRevoked(revocations: RevocationTable | null, token: RevocableToken): boolean {
  return revocations?.entries.some((entry) => concerns(entry, token)) === true;
}

/** Whether no token of a subject is accepted, whenever it was or will be issued. */
export function isSubjectRevoked(revocations: RevocationTable | null, issuer: string, subject: string): boolean {
  const last = { issuer, subject, tokenId: undefined, issuedAtMs: Number.POSITIVE_INFINITY };
  return isRevoked(revocations, last);
}

function concerns(entry: RevocationEntry, { issuer, subject, tokenId, issuedAtMs }: RevocableToken): boolean {
  if (entry.issuer !== '' && entry.issuer !== issuer) return false;
  if (tokenId !== undefined && entry.tokenIds.has(tokenId)) return true;
  const { issuedBeforeMs, subjects } = entry;
  if (issuedBeforeMs !== null && !(issuedAtMs < issuedBeforeMs)) return false;
  return subjects.size > 0 ? subjects.has(subject) : issuedBeforeMs !== null;
}
