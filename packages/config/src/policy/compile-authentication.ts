import type { Authentication, JwtProvider } from '@signalbox/proto/signalbox/config/v1/authentication_pb.ts';
import { digestOf } from '../digest.ts';
import { apiKeyHash } from '../resources/authentication.ts';
import type { ApiKeyPrincipal, AuthenticationTable, JwtVerifierConfig } from './authentication.ts';

/** The authentication of a checked policy. */
export function compileAuthentication(policyName: string, authentication: Authentication): AuthenticationTable {
  const apiKeys = new Map<string, ApiKeyPrincipal>();
  for (const key of authentication.apiKeys) {
    const hash = apiKeyHash(key);
    const principal = Object.freeze({ subject: key.subject, groups: Object.freeze([...key.groups]) });
    if (hash !== undefined) apiKeys.set(hash, principal);
  }
  const jwt = new Map(authentication.jwt.map((provider) => [provider.issuer, verifierConfig(provider)]));
  const anonymous = authentication.anonymous && { subject: authentication.anonymous.subject || 'anonymous' };
  return makeTable(`policy/${policyName}`, apiKeys, jwt, anonymous ?? null);
}

function makeTable(
  source: string,
  apiKeys: AuthenticationTable['apiKeys'],
  jwt: AuthenticationTable['jwt'],
  anonymous: AuthenticationTable['anonymous'],
): AuthenticationTable {
  const content = [sorted(apiKeys), sorted(jwt), anonymous];
  return Object.freeze({
    source,
    digest: digestOf(JSON.stringify(content)),
    apiKeys,
    jwt,
    anonymous,
    revocations: null,
  });
}

function sorted<T>(map: ReadonlyMap<string, T>): [string, T][] {
  return [...map].sort(([a], [b]) => (a < b ? -1 : 1));
}

/** What applies where no policy says who may come in: nobody may. */
export const nobody: AuthenticationTable = makeTable('', new Map(), new Map(), null);

function verifierConfig({ issuer, audiences, groupsClaim, jwks }: JwtProvider): JwtVerifierConfig {
  const source = jwks?.source;
  return Object.freeze({
    issuer,
    audiences: Object.freeze([...audiences]),
    groupsClaim: groupsClaim || 'groups',
    jwks: source?.case === 'inline' ? { inline: source.value } : { uri: source?.value ?? '' },
  });
}
