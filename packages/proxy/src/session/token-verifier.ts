import { createHash } from 'node:crypto';
import { argsFromValue, type AuthenticationTable, type JwtVerifierConfig } from '@signalbox/config';
import type { Clock } from '@signalbox/runtime';
import { decodeJwt, errors, type JWTPayload, jwtVerify } from 'jose';
import { apiKeyCredential, type Credential, expiryToleranceMs, isTokenRevoked, jwtCredential } from './credential.ts';
import type { FindKey, KeySet, KeySets } from './key-sets.ts';

export interface TokenVerifierOptions {
  readonly keySets: KeySets;
  readonly clock: Clock;
  readonly limits: TokenLimits;
}

/** Bounds of the verifier; see `RequestLimits` for what each means. */
interface TokenLimits {
  readonly tokenBytes: number;
  readonly verifiedTokens: number;
  readonly verifiedTokenMs: number;
}

/** What came of a bearer token. `unavailable`: the issuer's keys are not there, so nobody can say. */
export type Verified = Credential | 'refused' | 'unavailable';

/** A credential that was verified a moment ago. */
export interface VerifiedToken {
  readonly credential: Credential;
  /** Milliseconds since the epoch. */
  readonly until: number;
}

/** Verified tokens of one authentication table, by the `Authorization` header that brought them. */
export type VerifiedTokens = ReadonlyMap<string, VerifiedToken>;

/** Where a verified token is remembered, to forget it again. */
interface Place {
  readonly scope: Map<string, VerifiedToken>;
  readonly header: string;
}

/**
 * Verifies bearer tokens and remembers for a short time which ones are good. What it remembers is
 * bound to the authentication table, so that neither another tenant nor another table finds an old verdict.
 */
export class TokenVerifier {
  readonly #options: TokenVerifierOptions;
  readonly #scopes = new WeakMap<AuthenticationTable, Map<string, VerifiedToken>>();
  /** All that is remembered, oldest first. */
  readonly #places = new Set<Place>();

  constructor(options: TokenVerifierOptions) {
    this.#options = options;
  }

  /** What is remembered for a table; whoever reads it checks `until`. */
  verifiedTokens(table: AuthenticationTable): VerifiedTokens {
    return this.#scopeOf(table);
  }

  /** At once for API keys. @param header the whole `Authorization` header that the token comes from. */
  verify(tenant: string, table: AuthenticationTable, header: string, token: string): Verified | Promise<Verified> {
    const { clock, limits, keySets } = this.#options;
    if (token.length > limits.tokenBytes) return 'refused';
    const keyHash = createHash('sha256').update(token).digest('hex');
    const apiKey = apiKeyCredential(table, keyHash);
    const latest = clock.now() + limits.verifiedTokenMs;
    if (apiKey) return this.#remember(table, header, { credential: apiKey, until: latest });
    const verifier = verifierOf(table, token);
    if (!verifier) return 'refused';
    return this.#verifyJwt(keySets.of(tenant, verifier), verifier, token).then((payload) => {
      if (typeof payload === 'string') return payload;
      const claims = argsFromValue(payload);
      if (!claims || typeof payload.sub !== 'string' || payload.sub === '') return 'refused';
      const until = Math.min((payload.exp ?? 0) * 1000, latest);
      const credential = jwtCredential(verifier, claims);
      return isTokenRevoked(table, credential) ? 'refused' : this.#remember(table, header, { credential, until });
    });
  }

  async #verifyJwt(
    set: KeySet,
    verifier: JwtVerifierConfig,
    token: string,
  ): Promise<JWTPayload | 'refused' | 'unavailable'> {
    const keys = await set.keys();
    if (!keys) return 'unavailable';
    const first = await this.#tryKeys(keys, verifier, token);
    if (first !== 'unknown-key') return first;
    const renewed = await set.renew();
    const second = renewed && renewed !== keys ? await this.#tryKeys(renewed, verifier, token) : 'refused';
    return second === 'unknown-key' ? 'refused' : second;
  }

  async #tryKeys(
    keys: FindKey,
    verifier: JwtVerifierConfig,
    token: string,
  ): Promise<JWTPayload | 'refused' | 'unknown-key'> {
    try {
      const { payload } = await jwtVerify(token, keys, {
        algorithms: ['RS256', 'PS256', 'ES256', 'EdDSA'],
        issuer: verifier.issuer,
        audience: [...verifier.audiences],
        requiredClaims: ['exp', 'iat', 'sub'],
        maxTokenAge: '24 hours',
        clockTolerance: expiryToleranceMs / 1000,
        currentDate: new Date(this.#options.clock.now()),
      });
      return payload;
    } catch (error) {
      // jose says what is wrong with a token only by throwing; every reason refuses it.
      return error instanceof errors.JWKSNoMatchingKey ? 'unknown-key' : 'refused';
    }
  }

  #remember(table: AuthenticationTable, header: string, verified: VerifiedToken): Credential {
    const scope = this.#scopeOf(table);
    if (!scope.has(header)) {
      this.#makeRoom();
      this.#places.add({ scope, header });
    }
    scope.set(header, verified);
    return verified.credential;
  }

  #makeRoom(): void {
    if (this.#places.size < this.#options.limits.verifiedTokens) return;
    for (const oldest of this.#places) {
      this.#places.delete(oldest);
      oldest.scope.delete(oldest.header);
      return;
    }
  }

  #scopeOf(table: AuthenticationTable): Map<string, VerifiedToken> {
    let scope = this.#scopes.get(table);
    if (!scope) {
      scope = new Map();
      this.#scopes.set(table, scope);
    }
    return scope;
  }
}

/** The verifier for the issuer that the token claims; what it claims is believed only after the verification. */
function verifierOf(table: AuthenticationTable, token: string): JwtVerifierConfig | undefined {
  if (table.jwt.size === 0) return undefined;
  try {
    const { iss } = decodeJwt(token);
    return iss === undefined ? undefined : table.jwt.get(iss);
  } catch {
    // Not a JWT at all.
    return undefined;
  }
}
