import type { RouteEntry } from '@signalbox/config';
import { anonymousCredential } from './credential.ts';
import type { TokenVerifier, Verified, VerifiedTokens } from './token-verifier.ts';

/** Who calls; `missing`: there is no credential, and the route lets nobody in without one. */
export type Identified = Verified | 'missing';

/** What a route knows about callers. */
export interface IdentifyingRoute {
  readonly entry: Pick<RouteEntry, 'tenant' | 'authentication'>;
  /** Credentials that were verified a moment ago. */
  readonly verified: VerifiedTokens;
}

/**
 * Who sends a request with this `Authorization` header? At once for what was verified before.
 * @param nowMs milliseconds since the epoch.
 */
export function identify(
  tokens: TokenVerifier,
  { entry, verified }: IdentifyingRoute,
  header: string | undefined,
  nowMs: number,
): Identified | Promise<Identified> {
  if (header === undefined) return anonymousCredential(entry.authentication) ?? 'missing';
  const known = verified.get(header);
  if (known && known.until > nowMs) return known.credential;
  const token = bearerToken(header);
  if (token === undefined) return 'refused';
  return tokens.verify(entry.tenant, entry.authentication, header, token);
}

const scheme = 'bearer ';

function bearerToken(header: string): string | undefined {
  if (header.length <= scheme.length || header.slice(0, scheme.length).toLowerCase() !== scheme) return undefined;
  return header.slice(scheme.length).trim();
}
