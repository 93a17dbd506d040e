import type { RevocationTable } from './revocations.ts';

/** Which credentials a route accepts, compiled from the narrowest policy that says so. */
export interface AuthenticationTable {
  /** Policy that it came from, `policy/<name>`; empty when no policy says anything, which accepts nobody. */
  readonly source: string;
  /** Hash of the content: a verified credential may be cached under (credential, digest). */
  readonly digest: string;
  /** By lower-case hex SHA-256 of the key. */
  readonly apiKeys: ReadonlyMap<string, ApiKeyPrincipal>;
  /** By issuer. */
  readonly jwt: ReadonlyMap<string, JwtVerifierConfig>;
  /** Tokens that are refused all the same; null: none. */
  readonly revocations: RevocationTable | null;
  /** Principal of requests without a credential; null refuses them. */
  readonly anonymous: { readonly subject: string } | null;
}

export interface ApiKeyPrincipal {
  readonly subject: string;
  readonly groups: readonly string[];
}

export interface JwtVerifierConfig {
  readonly issuer: string;
  readonly audiences: readonly string[];
  readonly groupsClaim: string;
  readonly jwks: { readonly uri: string } | { readonly inline: string };
}

/** Who calls: the verified identity. */
export interface Principal {
  /** Unique within the tenant: credential kind, issuer and subject. Sessions are bound to it. */
  readonly id: string;
  readonly kind: 'api-key' | 'jwt' | 'anonymous';
  readonly subject: string;
  /** Empty unless `kind` is `jwt`. */
  readonly issuer: string;
  readonly groups: readonly string[];
  /** All claims of the token; empty for other kinds. */
  readonly claims: ReadonlyMap<string, unknown>;
}
