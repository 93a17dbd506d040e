import { describe, expect, it } from 'vitest';
import type { FakeExchange, FakeRequest } from '../testing/fake-exchange.ts';
import { RequestPath, type RequestPathOptions } from '../testing/request-path.ts';

type Resource = readonly [kind: string, name: string, spec: object];

const backend: Resource = ['Backend', 'orders', { http: { url: 'http://127.0.0.1:4000/v2' } }];
const route: Resource = [
  'Route',
  'orders',
  { gateway: 'default', match: { path: '/acme/orders' }, http: { backend: 'orders' } },
];

/** A node with an HTTP route at `/acme/orders`, where GET is allowed. */
function node(more: readonly Resource[] = [route], options: RequestPathOptions = {}): RequestPath {
  return new RequestPath({ allow: ['http.method == "GET"'], more: [backend, ...more], ...options });
}

function withRoute(changes: object): Resource {
  return [route[0], route[1], { ...route[2], ...changes }];
}

async function send(path: RequestPath, request: FakeRequest): Promise<FakeExchange> {
  const { headers = { authorization: 'Bearer alice-key' } } = request;
  const exchange = path.send({ method: 'GET', ...request, headers });
  await path.settled();
  return exchange;
}

describe('a request of an HTTP route', () => {
  it('goes to the backend, whose path takes the place of the route’s, and comes back', async () => {
    const path = node();
    const exchange = await send(path, { path: '/acme/orders/17/lines', query: 'page=2&page=3' });
    const { request } = path.upstream.last;
    expect(request).toMatchObject({
      origin: 'http://127.0.0.1:4000',
      method: 'GET',
      target: '/v2/17/lines?page=2&page=3',
    });
    path.upstream.last.answer('{"id":17}', { status: 206, headers: { 'x-answer': 'yes' } });
    expect(exchange).toMatchObject({ status: 206, text: '{"id":17}', ended: true, contentLength: 9 });
    expect(exchange.headers).toMatchObject({ 'content-type': 'application/json', 'x-answer': 'yes' });
    expect(path.events).toMatchObject([
      {
        ...{ tenant: 'acme', route: 'orders', backend: 'orders', principal: 'api-key:alice', protocol: 'http' },
        ...{ method: 'GET', path: '/acme/orders/17/lines', decision: 'allow', rule: 'policy/access/allow-0' },
        ...{ status: 206, error: '', responseBytes: 9 },
      },
    ]);
  });

  it('is served at the path itself and below it, and nowhere beside it', async () => {
    const path = node();
    await send(path, { path: '/acme/orders' });
    await send(path, { path: '/acme/orders/' });
    expect(path.upstream.calls.map(({ request }) => request.target)).toEqual(['/v2', '/v2/']);
    expect((await send(path, { path: '/acme/orders-2' })).status).toBe(404);
  });

  it('leaves MCP routes alone that lie below it', async () => {
    const path = node([withRoute({ match: { path: '/acme' } })]);
    const session = await path.initialize();
    await path.request(session, 'tools/list');
    expect(path.upstream.last.message.method).toBe('tools/list');
  });

  it('keeps credentials, cookies and the fields of a connection to itself, and says where it came from', async () => {
    const path = node();
    const headers = {
      ...{ authorization: 'Bearer alice-key', cookie: 'a=b', connection: 'close, x-hop', 'x-hop': '1', te: 'trailers' },
      ...{ host: 'localhost:8080', forwarded: 'for=1.2.3.4', 'x-forwarded-for': '1.2.3.4', accept: 'text/plain' },
    };
    await send(path, { path: '/acme/orders', headers });
    expect(path.upstream.last.request.headers).toEqual([
      ...['accept', 'text/plain', 'x-forwarded-for', '127.0.0.1', 'x-forwarded-proto', 'http'],
      ...['x-forwarded-host', 'localhost:8080'],
    ]);
  });

  it('keeps cookies and challenges of the backend from callers, whose host is the gateway’s', async () => {
    const path = node();
    const exchange = await send(path, { path: '/acme/orders' });
    const headers = { 'set-cookie': 'a=b', 'www-authenticate': 'Basic', date: 'now', 'alt-svc': 'h3', etag: '"1"' };
    path.upstream.last.answer('{}', { status: 401, headers });
    expect(exchange.status).toBe(401);
    expect(exchange.headers).toEqual({ 'content-type': 'application/json', etag: '"1"' });
  });

  it('has its header fields changed as the route says', async () => {
    const path = node([
      withRoute({
        requestHeaderModifier: {
          set: [{ name: 'X-Team', value: 'orders' }],
          add: [{ name: 'x-tag', value: 'b' }],
          remove: ['X-Debug'],
        },
        responseHeaderModifier: { set: [{ name: 'cache-control', value: 'no-store' }], remove: ['server'] },
      }),
    ]);
    const headers = { authorization: 'Bearer alice-key', 'x-team': 'a', 'x-tag': 'a', 'x-debug': '1' };
    const exchange = await send(path, { path: '/acme/orders', headers });
    expect(path.upstream.last.request.headers).toEqual([
      ...['x-tag', 'a', 'x-forwarded-for', '127.0.0.1', 'x-forwarded-proto', 'http', 'x-forwarded-host', 'localhost'],
      ...['x-team', 'orders', 'x-tag', 'b'],
    ]);
    path.upstream.last.answer('', { headers: { server: 'x', 'cache-control': 'public' } });
    expect(exchange.headers).toEqual({ 'content-type': 'application/json', 'cache-control': 'no-store' });
  });
});

describe('policy of an HTTP route', () => {
  it('decides by method, path and headers, and denies by default', async () => {
    const allow = [
      'http.method == "GET" && http.path.startsWith("/acme/orders/public/")',
      '"x-team" in http.headers && http.headers["x-team"] == "a"',
    ];
    const path = node([route], { allow });
    const statuses = async (...requests: FakeRequest[]): Promise<number[]> => {
      const exchanges = [];
      for (const request of requests) {
        const exchange = await send(path, request);
        if (exchange.status === 0) path.upstream.last.answer('');
        exchanges.push(exchange.status);
      }
      return exchanges;
    };
    const headers = (team: string) => ({ authorization: 'Bearer alice-key', 'x-team': team });
    expect(
      await statuses(
        { path: '/acme/orders/public/1' },
        { path: '/acme/orders/1' },
        { path: '/acme/orders/public/1', method: 'DELETE' },
        { path: '/acme/orders/1', headers: headers('a') },
        { path: '/acme/orders/1', headers: headers('b') },
      ),
    ).toEqual([200, 403, 403, 200, 403]);
    expect(path.events[1]).toMatchObject({ decision: 'deny', rule: '', error: 'denied', status: 403 });
  });

  it('says why in a problem document', async () => {
    const exchange = await send(node([route], { allow: [] }), { path: '/acme/orders' });
    expect(exchange.headers['content-type']).toBe('application/problem+json');
    expect(exchange.json).toEqual({ type: 'about:blank', title: 'Not allowed here', status: 403, code: 'denied' });
  });

  it('asks for a credential first, and does not take a wrong one', async () => {
    const path = node([route], {
      jwt: { issuer: 'https://idp.example', jwks: { inline: '{"keys":[{"kty":"OKP"}]}' } },
    });
    const missing = await send(path, { path: '/acme/orders', headers: { host: 'gw.example' } });
    expect(missing.status).toBe(401);
    expect(missing.headers['www-authenticate']).toBe(
      'Bearer resource_metadata="http://gw.example/.well-known/oauth-protected-resource/acme/orders"',
    );
    const metadata = await send(path, { path: '/.well-known/oauth-protected-resource/acme/orders', headers: {} });
    expect(metadata.json).toMatchObject({ resource: 'http://localhost/acme/orders' });
    const wrong = await send(path, { path: '/acme/orders', headers: { authorization: 'Bearer nobody' } });
    expect(wrong).toMatchObject({ status: 401 });
    expect(path.events.map(({ decision }) => decision)).toEqual(['unauthenticated', 'none', 'unauthenticated']);
    expect(path.upstream.calls).toEqual([]);
  });

  it('is never asked about a path that can be spelled in another way', async () => {
    const path = node();
    for (const odd of ['/acme/orders//1', '/acme/orders/%61dmin', '/acme/orders/%c3%A9', '/acme/orders/a%7Eb']) {
      expect(await send(path, { path: odd })).toMatchObject({ status: 400 });
    }
    expect(path.events[0]).toMatchObject({ error: 'ambiguous_path', decision: 'invalid' });
    expect((await send(path, { path: '/acme/orders/a%20b%C3%A9' })).status).toBe(0);
    expect(path.upstream.last.request.target).toBe('/v2/a%20b%C3%A9');
  });

  it('holds for an answer that lasts: it is broken off when a change withdraws the permission', async () => {
    const path = node();
    const exchange = await send(path, { path: '/acme/orders/events' });
    const upstream = path.upstream.last;
    upstream.openEvents();
    upstream.data('data: 1\n\n');
    await path.swap({ allow: ['http.method == "GET"', 'true'] });
    expect(exchange.closed).toBe(false);
    await path.swap({ allow: [] });
    expect(exchange.aborted).toBe(true);
    expect(upstream.aborted).toBe(true);
    expect(path.events.at(-1)).toMatchObject({ error: 'revoked', status: 200 });
    expect(path.streams.size).toBe(0);
  });

  it('holds for a request that waits for its answer, however that will come', async () => {
    const path = node();
    const exchange = await send(path, { path: '/acme/orders/slow' });
    const upstream = path.upstream.last;
    await path.swap({ allow: ['http.method == "GET"', 'true'] });
    expect(exchange.answered).toBe(false);
    await path.swap({ allow: [] });
    expect([exchange.status, upstream.aborted]).toEqual([403, true]);
    expect(path.events.at(-1)).toMatchObject({ error: 'revoked' });
    expect(path.streams.calls.size).toBe(0);
  });

  it('lets a request that waits run on when its route goes', async () => {
    const path = node();
    const exchange = await send(path, { path: '/acme/orders/slow' });
    await path.swap({ more: [backend] });
    path.upstream.last.answer({ done: true });
    expect([exchange.status, exchange.json]).toEqual([200, { done: true }]);
    expect(path.streams.calls.size).toBe(0);
  });

  it('ends an answer that lasts when its route goes', async () => {
    const path = node();
    const exchange = await send(path, { path: '/acme/orders/events' });
    path.upstream.last.openEvents();
    await path.swap({ more: [backend] });
    expect(exchange.aborted).toBe(true);
    expect(path.events.at(-1)).toMatchObject({ error: 'route_removed' });
  });
});

describe('bodies of an HTTP route', () => {
  const write = { allow: ['true'] };

  it('travel with their head when they are short', async () => {
    const path = node([route], write);
    const headers = { authorization: 'Bearer alice-key', 'content-length': '7', 'content-type': 'text/plain' };
    await send(path, { method: 'POST', path: '/acme/orders', headers, body: '"hello"' });
    expect(path.upstream.last.request).toMatchObject({ body: Buffer.from('"hello"'), safeToResend: false });
    path.upstream.last.answer('');
    expect(path.events[0]).toMatchObject({ requestBytes: 7 });
  });

  it('are passed on as they come when they are long, at the pace of the backend', async () => {
    const path = node([route], write);
    const headers = { authorization: 'Bearer alice-key', 'transfer-encoding': 'chunked' };
    const exchange = await send(path, { method: 'PUT', path: '/acme/orders/1', headers, bodyLater: true });
    const upstream = path.upstream.last;
    expect(upstream.request).toMatchObject({ streamed: 'chunked', body: undefined });
    expect(exchange.sink?.onBodyData(Buffer.from('one'))).toBe(true);
    upstream.taking = false;
    expect(exchange.sink?.onBodyData(Buffer.from('two'))).toBe(false);
    expect(exchange.bodyResumed).toBe(0);
    upstream.drain();
    expect(exchange.bodyResumed).toBe(1);
    exchange.sink?.onBodyEnd();
    expect(upstream.bodyEnded).toBe(true);
    expect(Buffer.concat(upstream.uploaded).toString()).toBe('onetwo');
    upstream.answer('ok');
    expect(exchange).toMatchObject({ status: 200, text: 'ok' });
    expect(path.events[0]).toMatchObject({ requestBytes: 6, responseBytes: 2 });
  });

  it('are given up when the client leaves', async () => {
    const path = node([route], write);
    const headers = { authorization: 'Bearer alice-key', 'content-length': '100000' };
    const exchange = await send(path, { method: 'PUT', path: '/acme/orders/1', headers, bodyLater: true });
    expect(path.upstream.last.request.streamed).toBe(100_000);
    exchange.leave();
    expect(path.upstream.last.aborted).toBe(true);
    expect(path.events).toMatchObject([{ error: 'client_gone', status: 0 }]);
  });

  it('come back at the pace of the client', async () => {
    const path = node();
    const exchange = await send(path, { path: '/acme/orders' });
    const upstream = path.upstream.last;
    upstream.head(200, {});
    exchange.taking = false;
    upstream.data('one');
    expect(upstream.paused).toBe(true);
    exchange.takeAll();
    expect(upstream.paused).toBe(false);
    upstream.end();
    expect(exchange).toMatchObject({ text: 'one', ended: true });
  });

  it('are broken off when the backend breaks them off', async () => {
    const path = node();
    const exchange = await send(path, { path: '/acme/orders' });
    path.upstream.last.head(200, {}, 10);
    path.upstream.last.data('one');
    path.upstream.last.fail('closed-early');
    expect(exchange).toMatchObject({ aborted: true, ended: false });
    expect(path.events).toMatchObject([{ error: 'upstream_failed', status: 200, decision: 'allow' }]);
  });
});

describe('a backend that fails', () => {
  it.each([
    ['connect-failed', 502, 'upstream_unreachable'],
    ['connect-timeout', 502, 'upstream_unreachable'],
    ['pool-full', 503, 'upstream_busy'],
    ['head-timeout', 504, 'upstream_timeout'],
    ['closed-early', 502, 'upstream_failed'],
    ['protocol', 502, 'upstream_invalid'],
  ] as const)('is told of: %s', async (code, status, error) => {
    const path = node();
    const exchange = await send(path, { path: '/acme/orders' });
    path.upstream.last.fail(code);
    expect(exchange.status).toBe(status);
    expect(exchange.json).toMatchObject({ code: error });
    expect(path.events).toMatchObject([{ error, status, decision: 'allow' }]);
  });

  it('is asked again as often as the route says, for requests that do no harm', async () => {
    const path = node([withRoute({ retry: { attempts: 2, codes: [502, 503] } })], { allow: ['true'] });
    const exchange = await send(path, { path: '/acme/orders' });
    path.upstream.last.answer('busy', { status: 503 });
    path.upstream.last.fail('connect-failed');
    expect(path.upstream.calls).toHaveLength(3);
    expect(path.upstream.calls[0]?.aborted).toBe(true);
    path.upstream.last.answer('busy still', { status: 502 });
    expect(exchange).toMatchObject({ status: 502, text: 'busy still', answers: 1 });
    const headers = { authorization: 'Bearer alice-key', 'content-length': '1' };
    await send(path, { method: 'POST', path: '/acme/orders', headers, body: 'x' });
    path.upstream.last.fail('connect-failed');
    expect(path.upstream.calls).toHaveLength(4);
    expect(path.events).toHaveLength(2);
  });

  it('is not asked again once the time of the request is over', async () => {
    const path = node([withRoute({ retry: { attempts: 2 }, timeouts: { request: '2s', backendRequest: '1s' } })]);
    const exchange = await send(path, { path: '/acme/orders' });
    expect(path.upstream.last.request.timeouts).toMatchObject({ headMs: 1_000, totalMs: 2_000 });
    await path.clock.advance(1_500);
    path.upstream.last.fail('connect-timeout');
    expect(path.upstream.last.request.timeouts.totalMs).toBeLessThanOrEqual(500);
    await path.clock.advance(600);
    path.upstream.last.fail('connect-timeout');
    expect(path.upstream.calls).toHaveLength(2);
    expect(exchange.status).toBe(504);
  });
});

describe('the bounds of a route and its backend', () => {
  it('go with the request', async () => {
    const bounds = { timeouts: { connect: '500ms', idle: '5s' }, connections: { maxConnections: 3 } };
    const special: Resource = ['Backend', 'orders', { http: { url: 'http://127.0.0.1:4000' }, ...bounds }];
    const path = new RequestPath({
      allow: ['true'],
      more: [special, withRoute({ timeouts: { request: '0s', idle: '10s' } })],
    });
    await send(path, { path: '/acme/orders' });
    const { timeouts, peer } = path.upstream.last.request;
    expect(timeouts).toMatchObject({ headMs: 60_000, idleMs: 10_000, totalMs: 86_400_000 });
    expect(peer?.connection).toEqual({ connectMs: 500, idleMs: 5_000, maxConnections: 3, maxPending: null });
  });

  it('include how many answers may last at once', async () => {
    const path = node([route], { maxStreams: 1 });
    await send(path, { path: '/acme/orders/1' });
    path.upstream.last.openEvents();
    const second = await send(path, { path: '/acme/orders/2' });
    path.upstream.last.openEvents();
    expect(second).toMatchObject({ status: 503 });
    expect(path.upstream.last.aborted).toBe(true);
    expect(path.events).toMatchObject([{ error: 'too_many_streams' }]);
  });
});
