import type {
  ApiKey,
  Authentication,
  Jwks,
  JwtProvider,
} from '@signalbox/proto/signalbox/config/v1/authentication_pb.ts';
import type { ProblemList } from '../problem.ts';
import { sha256Hex } from '../digest.ts';
import { textFault } from './name.ts';
import { urlFault } from './url.ts';

const limits = {
  apiKeys: 1_000,
  groups: 64,
  text: 256,
  jwt: 16,
  audiences: 16,
  keyLength: 16,
  jwks: 256 * 1024,
  keys: 50,
};
const base = 'spec.authentication';

/** What the `authentication` of a Policy must be. No message repeats a key, a hash or a key set. */
export function checkAuthentication(authentication: Authentication, found: ProblemList): void {
  const { apiKeys, jwt, anonymous } = authentication;
  if (found.bounded(`${base}.apiKeys`, apiKeys, limits.apiKeys)) checkApiKeys(apiKeys, found);
  if (found.bounded(`${base}.jwt`, jwt, limits.jwt)) checkProviders(jwt, found);
  if (anonymous !== undefined) found.check(`${base}.anonymous.subject`, textFault(anonymous.subject, limits.text));
  if (apiKeys.length === 0 && jwt.length === 0 && anonymous === undefined) {
    found.warn('missing-field', base, 'accepts nobody: add apiKeys, jwt or anonymous');
  }
}

/** Lower-case hex SHA-256 of the key, however it is given; undefined when neither form is. */
export function apiKeyHash(key: ApiKey): string | undefined {
  switch (key.credential.case) {
    case 'sha256':
      return key.credential.value;
    case 'key':
      return sha256Hex(key.credential.value);
    case undefined:
      return undefined;
  }
}

function checkApiKeys(apiKeys: readonly ApiKey[], found: ProblemList): void {
  const hashes = new Set<string>();
  for (const [at, key] of apiKeys.entries()) {
    const field = `${base}.apiKeys[${at}]`;
    found.require(`${field}.subject`, key.subject, (text) => textFault(text, limits.text));
    found.checkEach(`${field}.groups`, key.groups, limits.groups, (text) => textFault(text, limits.text));
    checkCredential(key, field, found);
    const hash = apiKeyHash(key);
    if (hash !== undefined && hashes.has(hash)) found.error('duplicate', field, 'another entry has the same key');
    if (hash !== undefined) hashes.add(hash);
  }
}

function checkCredential({ credential }: ApiKey, field: string, found: ProblemList): void {
  switch (credential.case) {
    case 'sha256':
      if (/^[0-9a-f]{64}$/.test(credential.value)) return;
      found.error('invalid-value', `${field}.sha256`, 'is not a SHA-256: use 64 lower-case hex digits');
      return;
    case 'key':
      if (/^[\x21-\x7e]+$/.test(credential.value) && credential.value.length >= limits.keyLength) return;
      found.error(
        'invalid-value',
        `${field}.key`,
        `must have at least ${limits.keyLength} printable ASCII characters and no space; make one with: openssl rand -hex 32`,
      );
      return;
    case undefined:
      found.error('missing-field', field, 'needs sha256, the hash of the key');
  }
}

function checkProviders(providers: readonly JwtProvider[], found: ProblemList): void {
  const issuers = new Set<string>();
  for (const [at, provider] of providers.entries()) {
    const field = `${base}.jwt[${at}]`;
    const { issuer, audiences } = provider;
    found.require(`${field}.issuer`, issuer, (text) => textFault(text, 2048));
    if (issuers.has(issuer)) found.error('duplicate', `${field}.issuer`, 'another entry has the same issuer');
    issuers.add(issuer);
    if (audiences.length === 0) found.error('missing-field', `${field}.audiences`, 'needs at least one audience');
    found.checkEach(`${field}.audiences`, audiences, limits.audiences, (text) =>
      text === '' ? 'must not be empty' : textFault(text, 2048),
    );
    found.check(`${field}.groupsClaim`, textFault(provider.groupsClaim, limits.text));
    checkJwks(provider.jwks, `${field}.jwks`, found);
  }
}

function checkJwks(jwks: Jwks | undefined, field: string, found: ProblemList): void {
  switch (jwks?.source.case) {
    case 'uri':
      found.require(`${field}.uri`, jwks.source.value, urlFault);
      return;
    case 'inline':
      found.require(`${field}.inline`, jwks.source.value, keySetFault);
      return;
    case undefined:
      found.error('missing-field', field, 'needs uri or inline');
  }
}

/** Why a text is no JWK Set (RFC 7517 section 5) of public keys. */
function keySetFault(text: string): string | undefined {
  if (text.length > limits.jwks) return `has ${text.length} characters; at most ${limits.jwks} are allowed`;
  const keys = keysOf(text);
  if (keys === undefined) return 'is not a JWK Set: use the JSON text {"keys":[...]}';
  if (keys.length === 0 || keys.length > limits.keys) {
    return `has ${keys.length} keys; a key set has between 1 and ${limits.keys}`;
  }
  const secret = keys.some((key) => 'd' in key || 'k' in key);
  return secret ? 'contains a private or symmetric key; publish public keys only, and replace this one' : undefined;
}

function keysOf(text: string): readonly object[] | undefined {
  try {
    const set: unknown = JSON.parse(text);
    if (typeof set !== 'object' || set === null || !('keys' in set) || !Array.isArray(set.keys)) return undefined;
    const keys: readonly unknown[] = set.keys;
    const isKey = (key: unknown): key is object => typeof key === 'object' && key !== null && 'kty' in key;
    return keys.every(isKey) ? keys : undefined;
  } catch {
    return undefined;
  }
}
