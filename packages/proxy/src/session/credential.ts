import {
  type AuthenticationTable,
  isRevoked,
  isSubjectRevoked,
  type JwtVerifierConfig,
  type Principal,
} from '@signalbox/config';

/** A caller's verified identity, and what is needed to see later whether it is still accepted. */
export interface Credential {
  readonly principal: Principal;
  /** Lower-case hex SHA-256 of an API key; empty for other kinds. */
  readonly keyHash: string;
  /** When streams opened with it end, milliseconds since the epoch; infinite for what does not expire. */
  readonly expiresAt: number;
}

/** Principal of an API key; undefined when the table does not have the key. */
export function apiKeyCredential(table: AuthenticationTable, keyHash: string): Credential | undefined {
  const found = table.apiKeys.get(keyHash);
  if (!found) return undefined;
  const { subject, groups } = found;
  return {
    keyHash,
    expiresAt: Number.POSITIVE_INFINITY,
    principal: { id: principalId('api-key', '', subject), kind: 'api-key', subject, issuer: '', groups, claims: none },
  };
}

/** Principal of requests without a credential; undefined when the table refuses them. */
export function anonymousCredential(table: AuthenticationTable): Credential | undefined {
  if (!table.anonymous) return undefined;
  const { subject } = table.anonymous;
  return {
    keyHash: '',
    expiresAt: Number.POSITIVE_INFINITY,
    principal: {
      ...{ id: principalId('anonymous', '', subject), kind: 'anonymous', subject, issuer: '' },
      ...{ groups: [], claims: none },
    },
  };
}

/** Principal of a token whose signature and times were verified. */
export function jwtCredential(verifier: JwtVerifierConfig, claims: ReadonlyMap<string, unknown>): Credential {
  const { issuer } = verifier;
  const subject = String(claims.get('sub'));
  const groups = groupsOf(claims.get(verifier.groupsClaim));
  return {
    keyHash: '',
    expiresAt: Number(claims.get('exp')) * 1000 + expiryToleranceMs,
    principal: { id: principalId('jwt', issuer, subject), kind: 'jwt', subject, issuer, groups, claims },
  };
}

/**
 * The credential as another table sees it: open streams ask after a swap. Groups may have changed. @returns undefined
 * when the table does not accept it.
 */
export function reaccept(table: AuthenticationTable, credential: Credential): Credential | undefined {
  const { principal, keyHash } = credential;
  switch (principal.kind) {
    case 'api-key': {
      const found = apiKeyCredential(table, keyHash);
      return found?.principal.id === principal.id ? found : undefined;
    }
    case 'anonymous': {
      const found = anonymousCredential(table);
      return found?.principal.id === principal.id ? found : undefined;
    }
    case 'jwt': {
      const verifier = table.jwt.get(principal.issuer);
      if (!verifier || !isForAudience(principal.claims.get('aud'), verifier.audiences)) return undefined;
      const accepted = jwtCredential(verifier, principal.claims);
      return isTokenRevoked(table, accepted) ? undefined : accepted;
    }
  }
}

/** Whether a table refuses a token that is sound in itself. */
export function isTokenRevoked({ revocations }: AuthenticationTable, { principal }: Credential): boolean {
  if (!revocations) return false;
  const { issuer, subject, claims } = principal;
  const jti = claims.get('jti');
  const tokenId = typeof jti === 'string' ? jti : undefined;
  return isRevoked(revocations, { issuer, subject, tokenId, issuedAtMs: Number(claims.get('iat')) * 1000 });
}

/** Whether a principal may have a credential that the table accepts. @param id of the principal. */
export function acceptsPrincipal({ apiKeys, jwt, anonymous, revocations }: AuthenticationTable, id: string): boolean {
  if (anonymous && id === principalId('anonymous', '', anonymous.subject)) return true;
  for (const { subject } of apiKeys.values()) if (id === principalId('api-key', '', subject)) return true;
  for (const issuer of jwt.keys()) {
    const start = principalId('jwt', issuer, '');
    if (id.startsWith(start)) return !isSubjectRevoked(revocations, issuer, id.slice(start.length));
  }
  return false;
}

/** Whether a token's `aud` names one of the audiences. */
function isForAudience(aud: unknown, audiences: readonly string[]): boolean {
  if (typeof aud === 'string') return audiences.includes(aud);
  return Array.isArray(aud) && aud.some((one) => typeof one === 'string' && audiences.includes(one));
}

/** Clocks of issuers may differ from ours. */
export const expiryToleranceMs = 60_000;

const none: ReadonlyMap<string, unknown> = new Map();

/** Unique within a tenant: an issuer's `#` is escaped, so the first `#` ends it. */
function principalId(kind: Principal['kind'], issuer: string, subject: string): string {
  return issuer === '' ? `${kind}:${subject}` : `${kind}:${issuer.replaceAll('#', '%23')}#${subject}`;
}

function groupsOf(claim: unknown): readonly string[] {
  if (typeof claim === 'string') return [claim];
  return Array.isArray(claim) ? claim.filter((one) => typeof one === 'string') : [];
}
