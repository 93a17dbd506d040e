import type { JsonWebKey } from 'node:crypto';

/** The keys of a set by name, as agentgateway takes them; undefined if one of them makes it drop the whole set. */
export function usableKeys(text: string): ReadonlyMap<string, JsonWebKey & { readonly alg: string }> | undefined {
  const { keys } = JSON.parse(text) as { readonly keys: readonly (JsonWebKey & { readonly kid?: string })[] };
  const byName = new Map<string, JsonWebKey & { readonly alg: string }>();
  for (const key of keys) {
    if (key.kid === undefined || !['RSA', 'EC', 'OKP'].includes(key.kty ?? '')) return undefined;
    if (key.kty === 'OKP' && key.crv !== 'Ed25519') return undefined;
    byName.set(key.kid, { ...key, alg: typeof key['alg'] === 'string' ? key['alg'] : '' });
  }
  return byName;
}
