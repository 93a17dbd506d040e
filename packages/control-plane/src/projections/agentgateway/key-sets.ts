import type { JwtVerifierConfig } from '@signalbox/config';

/** What agentgateway can verify tokens with. */
export interface UsableKeySet {
  /** JSON, with public members only; undefined if there is nothing in it. */
  readonly keySet: string | undefined;
  /** What is missing from it. */
  readonly problem: string | undefined;
}

/**
 * The keys of a set that agentgateway can use as our proxy does: one without `kid` would make it drop the set, and one
 * without `alg` would let it take algorithms that our proxy refuses.
 */
export function usableKeySet(jwks: JwtVerifierConfig['jwks']): UsableKeySet {
  if ('uri' in jwks) return { keySet: undefined, problem: 'agentgateway takes key sets inline only' };
  const keys = keysOf(jwks.inline);
  const usable = keys.map(usableKey).filter((key) => key !== undefined);
  const names = new Set(usable.map(({ kid }) => kid));
  const problem =
    usable.length < keys.length || names.size < usable.length || keys.length === 0
      ? 'agentgateway takes only keys for signatures that have a kid of their own, of the types RSA, P-256 and Ed25519'
      : undefined;
  return { keySet: usable.length === 0 ? undefined : JSON.stringify({ keys: usable }), problem };
}

type Key = Readonly<Record<string, unknown>>;

function keysOf(text: string): readonly Key[] {
  try {
    const set: unknown = JSON.parse(text);
    const keys = typeof set === 'object' && set !== null && 'keys' in set ? set.keys : [];
    return Array.isArray(keys) ? keys.filter((key): key is Key => typeof key === 'object' && key !== null) : [];
  } catch {
    // Our proxy does not know any key of it either.
    return [];
  }
}

/** For each type of key: which algorithms our proxy takes with it, the first if the key names none; and its members. */
const keyTypes: readonly {
  readonly kty: string;
  readonly crv?: string;
  readonly algorithms: readonly [string, ...string[]];
  readonly members: readonly string[];
}[] = [
  { kty: 'RSA', algorithms: ['RS256', 'PS256'], members: ['n', 'e'] },
  { kty: 'EC', crv: 'P-256', algorithms: ['ES256'], members: ['x', 'y'] },
  { kty: 'OKP', crv: 'Ed25519', algorithms: ['EdDSA'], members: ['x'] },
];

interface UsableKey {
  readonly kid: string;
  readonly [member: string]: string;
}

function usableKey(key: Key): UsableKey | undefined {
  const type = keyTypes.find(({ kty, crv }) => key['kty'] === kty && (crv === undefined || key['crv'] === crv));
  const { kid, alg = type?.algorithms[0], use = 'sig' } = key;
  if (!type || typeof kid !== 'string' || kid === '' || use !== 'sig') return undefined;
  if (typeof alg !== 'string' || !type.algorithms.includes(alg)) return undefined;
  const members = type.members.map((name) => [name, key[name]] as const);
  if (!members.every((member): member is readonly [string, string] => typeof member[1] === 'string')) return undefined;
  return {
    ...{ kid, kty: type.kty, alg, use: 'sig' },
    ...(type.crv === undefined ? {} : { crv: type.crv }),
    ...Object.fromEntries(members),
  };
}
