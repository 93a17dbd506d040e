import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose';

import { startHttpFixture } from './http-fixture.ts';

export interface TokenOptions {
  readonly audience?: string;
  /** Seconds from now; negative for a token that has expired. */
  readonly expiresInSeconds?: number;
  readonly claims?: JWTPayload;
}

/** An identity provider: signs tokens and publishes its key set. */
export interface JwtIssuer {
  /** Value of `iss`; also the origin of the key set. */
  readonly issuer: string;
  readonly jwksUri: string;
  /** The key set as JSON text, for policies that carry it inline. */
  readonly jwks: string;
  /** How often the key set was fetched. */
  readonly fetches: () => number;
  /** A signed token for a subject; audience `signalbox` and five minutes unless told otherwise. */
  token(subject: string, options?: TokenOptions): Promise<string>;
  stop(): Promise<void>;
}

export async function startJwtIssuer(): Promise<JwtIssuer> {
  const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true });
  const jwks = JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), kid: 'key-1', alg: 'ES256', use: 'sig' }] });
  let fetches = 0;
  const server = await startHttpFixture((request, response) => {
    if (request.url !== '/jwks') return void response.writeHead(404).end();
    fetches += 1;
    response.writeHead(200, { 'content-type': 'application/json' }).end(jwks);
  });
  return {
    issuer: server.origin,
    jwksUri: `${server.origin}/jwks`,
    jwks,
    fetches: () => fetches,
    token: (subject, { audience = 'signalbox', expiresInSeconds = 300, claims = {} } = {}) =>
      new SignJWT(claims)
        .setProtectedHeader({ alg: 'ES256', kid: 'key-1', typ: 'JWT' })
        .setIssuer(server.origin)
        .setSubject(subject)
        .setAudience(audience)
        .setIssuedAt()
        .setExpirationTime(Math.floor(Date.now() / 1_000) + expiresInSeconds)
        .sign(privateKey),
    stop: () => server.stop(),
  };
}
