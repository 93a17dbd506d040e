import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose';
import { beforeAll, describe, expect, it } from 'vitest';
import type { FakeExchange } from '../testing/fake-exchange.ts';
import { audience, RequestPath, type RequestPathOptions } from '../testing/request-path.ts';

const issuer = 'https://idp.example';
const jwksUri = 'http://127.0.0.1:7777/jwks';
const ping = { jsonrpc: '2.0', id: 1, method: 'ping' };

type Keys = Awaited<ReturnType<typeof generateKeyPair>>;

let keys: Keys;
let strangers: Keys;
let rsa: Keys;
let jwks: string;

beforeAll(async () => {
  [keys, strangers, rsa] = await Promise.all([
    generateKeyPair('ES256'),
    generateKeyPair('ES256'),
    generateKeyPair('RS256'),
  ]);
  jwks = await keySet({ k1: keys, rsa });
});

async function keySet(pairs: Record<string, Keys>): Promise<string> {
  const entries = Object.entries(pairs).map(async ([kid, { publicKey }]) => ({ ...(await exportJWK(publicKey)), kid }));
  return JSON.stringify({ keys: await Promise.all(entries) });
}

interface TokenOptions {
  readonly claims?: JWTPayload;
  readonly alg?: string;
  readonly kid?: string;
  readonly key?: Keys['privateKey'];
  readonly without?: string;
}

function token(path: RequestPath, options: TokenOptions = {}): Promise<string> {
  const now = Math.floor(path.clock.now() / 1000);
  const claims: Record<string, unknown> = {
    iss: issuer,
    aud: audience,
    sub: 'carol',
    iat: now,
    exp: now + 600,
    ...options.claims,
  };
  if (options.without !== undefined) delete claims[options.without];
  const header = { alg: options.alg ?? 'ES256', kid: options.kid ?? 'k1' };
  return new SignJWT(claims).setProtectedHeader(header).sign(options.key ?? keys.privateKey);
}

/** The credential is good exactly if the request gets as far as asking for a session: 400. */
async function post(path: RequestPath, credential: string | undefined): Promise<FakeExchange> {
  const exchange = await path.post(ping, { authorization: credential ?? '' });
  // Signatures are checked on other threads.
  for (let i = 0; i < 100_000 && exchange.status === 0 && !waitsForKeys(path); i += 1) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  return exchange;
}

function waitsForKeys(path: RequestPath): boolean {
  return path.upstream.calls.length > 0;
}

/** A session of the credential with its GET stream open. */
async function openGet(path: RequestPath, authorization: string): Promise<FakeExchange> {
  const headers = await path.initialize({ key: authorization.slice('Bearer '.length), upstreamSession: '' });
  return path.send({ method: 'GET', headers: { ...headers, accept: 'text/event-stream' } });
}

const accepted = 400;
const inline = (): RequestPathOptions => ({ jwt: { issuer, jwks: { inline: jwks } } });

describe('an API key', () => {
  it('is accepted for its subject', async () => {
    const path = new RequestPath();
    expect((await post(path, 'Bearer alice-key')).status).toBe(accepted);
    expect((await post(path, 'bearer  bob-key')).status).toBe(accepted);
    expect(path.events.map(({ principal }) => principal)).toEqual(['api-key:alice', 'api-key:bob']);
  });

  it.each([
    undefined,
    '',
    'Bearer',
    'Bearer ',
    'Bearer wrong',
    'Basic YTpi',
    'Bearer ALICE-KEY',
    `Bearer ${'x'.repeat(9_000)}`,
  ])('is refused with 401 and a challenge when it is %j', async (credential) => {
    const path = new RequestPath();
    const exchange = await post(path, credential);
    expect(exchange.status).toBe(401);
    expect(exchange.headers['www-authenticate']).toMatch(/^Bearer/);
    expect(path.events.at(-1)).toMatchObject({ decision: 'unauthenticated', principal: '' });
  });

  it('is no longer accepted under a table without it, though it was verified a moment ago', async () => {
    const path = new RequestPath();
    expect((await post(path, 'Bearer alice-key')).status).toBe(accepted);
    await path.swap({ apiKeys: { 'bob-key': 'bob' } });
    expect((await post(path, 'Bearer alice-key')).status).toBe(401);
  });

  it('is not needed where a policy lets everyone in', async () => {
    const path = new RequestPath({ anonymous: true });
    expect((await post(path, undefined)).status).toBe(accepted);
    expect(path.events.at(-1)).toMatchObject({ principal: 'anonymous:anonymous' });
    expect((await post(path, 'Bearer wrong')).status).toBe(401);
  });
});

describe('a token', () => {
  it('is accepted when issuer, audience, times and signature are right', async () => {
    const path = new RequestPath(inline());
    expect((await post(path, `Bearer ${await token(path)}`)).status).toBe(accepted);
    expect(path.events.at(-1)).toMatchObject({ principal: 'jwt:https://idp.example#carol' });
    const rs256 = await token(path, { alg: 'RS256', kid: 'rsa', key: rsa.privateKey });
    expect((await post(path, `Bearer ${rs256}`)).status).toBe(accepted);
    const several = await token(path, { claims: { aud: ['other', audience] } });
    expect((await post(path, `Bearer ${several}`)).status).toBe(accepted);
  });

  const hour = 3_600;
  const wrong: readonly (readonly [string, (now: number) => TokenOptions])[] = [
    ['another issuer', () => ({ claims: { iss: 'https://evil.example' } })],
    ['an issuer with a slash more', () => ({ claims: { iss: `${issuer}/` } })],
    ['another audience', () => ({ claims: { aud: 'other' } })],
    ['no audience', () => ({ without: 'aud' })],
    ['no expiry', () => ({ without: 'exp' })],
    ['no time of issue', () => ({ without: 'iat' })],
    ['no subject', () => ({ without: 'sub' })],
    ['an empty subject', () => ({ claims: { sub: '' } })],
    ['an expiry in the past', (now) => ({ claims: { iat: now - hour, exp: now - 61 } })],
    ['a start in the future', (now) => ({ claims: { nbf: now + 120 } })],
    ['an issue in the future', (now) => ({ claims: { iat: now + 120 } })],
    ['an issue two days ago', (now) => ({ claims: { iat: now - 48 * hour } })],
    ['an unknown key', () => ({ kid: 'k9' })],
    ["a stranger's signature", () => ({ key: strangers.privateKey })],
  ];
  it.each(wrong)('is refused with 401 for %s', async (_what, options) => {
    const path = new RequestPath(inline());
    const exchange = await post(path, `Bearer ${await token(path, options(Math.floor(path.clock.now() / 1000)))}`);
    expect(exchange.status).toBe(401);
    expect(exchange.headers['www-authenticate']).toContain('error="invalid_token"');
  });

  it('is refused with 401 when it is unsigned, or signed with the public key as a secret', async () => {
    const path = new RequestPath(inline());
    const [, payload] = (await token(path)).split('.');
    const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const unsigned = `${encode({ alg: 'none', kid: 'k1' })}.${payload}.`;
    const secret = new TextEncoder().encode(jwks);
    const confused = await new SignJWT({ iss: issuer, aud: audience })
      .setProtectedHeader({ alg: 'HS256', kid: 'rsa' })
      .sign(secret);
    for (const bad of [unsigned, confused, 'a.b.c', '..', `${await token(path)}x`]) {
      expect((await post(path, `Bearer ${bad}`)).status).toBe(401);
    }
  });

  it('is not verified with keys that it names itself: nothing is fetched for it', async () => {
    const path = new RequestPath(inline());
    const now = Math.floor(path.clock.now() / 1000);
    const forged = await new SignJWT({ sub: 'carol', iat: now, exp: now + 60 })
      .setProtectedHeader({ alg: 'ES256', kid: 'k9', jku: 'http://169.254.169.254/jwks', x5u: 'http://127.0.0.1/x' })
      .setIssuer(issuer)
      .setAudience(audience)
      .sign(strangers.privateKey);
    expect((await post(path, `Bearer ${forged}`)).status).toBe(401);
    expect(path.upstream.calls).toEqual([]);
  });

  it('is verified once, and again when its expiry or a minute has passed', async () => {
    const path = new RequestPath(inline());
    const now = Math.floor(path.clock.now() / 1000);
    const short = await token(path, { claims: { exp: now + 30 } });
    expect((await post(path, `Bearer ${short}`)).status).toBe(accepted);
    await path.clock.advance(29_000);
    expect((await post(path, `Bearer ${short}`)).status).toBe(accepted);
    await path.clock.advance(100_000);
    expect((await post(path, `Bearer ${short}`)).status).toBe(401);
  });

  it('ends the streams that it opened a minute after it has expired', async () => {
    const path = new RequestPath({ ...inline(), anonymous: true });
    const now = Math.floor(path.clock.now() / 1000);
    const credential = `Bearer ${await token(path, { claims: { exp: now + 300 } })}`;
    expect((await post(path, credential)).status).toBe(accepted);
    const stream = await openGet(path, credential);
    const other = await openGet(path, 'Bearer alice-key');
    await path.clock.advance(355_000);
    expect(stream.ended).toBe(false);
    await path.clock.advance(10_000);
    expect([stream.ended, other.ended]).toEqual([true, false]);
    expect(stream.events).toMatchObject([{ method: 'notifications/message', params: { data: { reason: 'expired' } } }]);
  });

  it('is not accepted on a table that has another issuer, though it was verified a moment ago', async () => {
    const path = new RequestPath(inline());
    const good = await token(path);
    expect((await post(path, `Bearer ${good}`)).status).toBe(accepted);
    await path.swap({ jwt: { issuer: 'https://new.example', jwks: { inline: jwks } } });
    expect((await post(path, `Bearer ${good}`)).status).toBe(401);
  });
});

describe('a key set', () => {
  const remote = (): RequestPathOptions => ({ jwt: { issuer, jwks: { uri: jwksUri } } });

  async function settle(path: RequestPath, ...exchanges: FakeExchange[]): Promise<void> {
    for (let i = 0; i < 10_000 && exchanges.some(({ status }) => status === 0); i += 1) await path.settled();
  }

  it('is fetched once for all who wait for it, without any credential', async () => {
    const path = new RequestPath(remote());
    const good = `Bearer ${await token(path)}`;
    const first = await post(path, good);
    const second = await post(path, good);
    expect(path.upstream.calls).toHaveLength(1);
    expect(path.upstream.last.request).toMatchObject({
      method: 'GET',
      origin: 'http://127.0.0.1:7777',
      target: '/jwks',
    });
    expect(path.upstream.last.header('authorization')).toBeUndefined();
    path.upstream.last.answer(jwks);
    await settle(path, first, second);
    expect([first.status, second.status]).toEqual([accepted, accepted]);
    expect(path.upstream.calls).toHaveLength(1);
  });

  it('is fetched again for an unknown key, but not more often than every 30 s', async () => {
    const path = new RequestPath(remote());
    path.upstream.onCall = (call) => call.answer(jwks);
    const first = await post(path, `Bearer ${await token(path)}`);
    await settle(path, first);
    const rotated = await keySet({ k2: strangers });
    path.upstream.onCall = (call) => call.answer(rotated);
    const options = { kid: 'k2', key: strangers.privateKey };
    const early = await post(path, `Bearer ${await token(path, options)}`);
    await settle(path, early);
    expect(early.status).toBe(401);
    expect(path.upstream.calls).toHaveLength(1);
    await path.clock.advance(31_000);
    const later = await post(path, `Bearer ${await token(path, options)}`);
    await settle(path, later);
    expect(later.status).toBe(accepted);
    expect(path.upstream.calls).toHaveLength(2);
  });

  it.each([
    ['fails', (path: RequestPath) => path.upstream.last.fail()],
    ['answers 500', (path: RequestPath) => path.upstream.last.answer('', { status: 500 })],
    ['is no key set', (path: RequestPath) => path.upstream.last.answer('{"keys":5}')],
    [
      'has too many keys',
      (path: RequestPath) => path.upstream.last.answer({ keys: Array.from({ length: 51 }, () => ({})) }),
    ],
    ['is too large', (path: RequestPath) => path.upstream.last.answer(`{"keys":[],"x":"${'x'.repeat(300_000)}"}`)],
  ])('that %s leaves nobody to say who the caller is: 503', async (_what, answer) => {
    const path = new RequestPath(remote());
    const exchange = await post(path, `Bearer ${await token(path)}`);
    answer(path);
    await settle(path, exchange);
    expect(exchange.status).toBe(503);
    expect(path.events.at(-1)).toMatchObject({ error: 'keys_unavailable' });
  });

  it('serves for a day when it cannot be fetched again', async () => {
    const path = new RequestPath(remote());
    path.upstream.onCall = (call) => call.answer(jwks);
    await settle(path, await post(path, `Bearer ${await token(path)}`));
    path.upstream.onCall = (call) => call.fail();
    await path.clock.advance(23 * 3_600_000);
    const stale = await post(path, `Bearer ${await token(path)}`);
    await settle(path, stale);
    expect(stale.status).toBe(accepted);
    await path.clock.advance(2 * 3_600_000);
    const tooOld = await post(path, `Bearer ${await token(path)}`);
    await settle(path, tooOld);
    expect(tooOld.status).toBe(503);
  });
});

describe('protected-resource metadata', () => {
  const metadataPath = '/.well-known/oauth-protected-resource/acme/assistant/mcp';

  it('is named in the challenge and served to everyone', async () => {
    const path = new RequestPath(inline());
    const headers = { host: 'localhost:8080' };
    const challenged = path.send({ headers });
    expect(challenged.headers['www-authenticate']).toBe(
      `Bearer resource_metadata="http://localhost:8080${metadataPath}"`,
    );
    const metadata = path.send({ method: 'GET', path: metadataPath, headers });
    expect(metadata.status).toBe(200);
    expect(metadata.json).toMatchObject({
      resource: 'http://localhost:8080/acme/assistant/mcp',
      authorization_servers: [issuer],
    });
  });

  it('does not exist for a route without token issuers, nor for other paths', () => {
    const path = new RequestPath();
    expect(path.send({ method: 'GET', path: metadataPath }).status).toBe(404);
    const withJwt = new RequestPath(inline());
    expect(withJwt.send({ method: 'GET', path: `${metadataPath}/x` }).status).toBe(404);
    expect(withJwt.send({ method: 'POST', path: metadataPath }).status).toBe(405);
  });
});
