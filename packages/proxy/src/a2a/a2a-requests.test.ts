import { describe, expect, it } from 'vitest';
import type { FakeExchange, FakeRequest } from '../testing/fake-exchange.ts';
import { RequestPath, type RequestPathOptions } from '../testing/request-path.ts';

type Resource = readonly [kind: string, name: string, spec: object];

const agent: readonly Resource[] = [
  ['Backend', 'planner', { a2a: { url: 'http://agents.internal:9000/a2a' } }],
  ['Route', 'planner', { gateway: 'default', match: { path: '/acme/planner' }, a2a: { backend: 'planner' } }],
];

function node(options: RequestPathOptions = {}): RequestPath {
  return new RequestPath({ allow: ['a2a.method != "CancelTask"'], more: agent, ...options });
}

async function post(path: RequestPath, message: unknown, more: FakeRequest = {}): Promise<FakeExchange> {
  const headers = {
    ...{ authorization: 'Bearer alice-key', 'content-type': 'application/json', 'a2a-version': '1.0' },
    ...more.headers,
  };
  const body = typeof message === 'string' ? message : JSON.stringify(message);
  const exchange = path.send({ method: 'POST', path: '/acme/planner', body, ...more, headers });
  await path.settled();
  return exchange;
}

function request(method: string, params: object = {}, id: unknown = 7): object {
  return { jsonrpc: '2.0', id, method, params };
}

const card = {
  name: 'planner',
  version: '1',
  supportedInterfaces: [
    { url: 'http://agents.internal:9000/a2a', protocolBinding: 'JSONRPC', protocolVersion: '1.0', tenant: 't' },
    { url: 'agents.internal:9001', protocolBinding: 'GRPC', protocolVersion: '1.0' },
    { url: 'http://agents.internal:9000/rest', protocolBinding: 'HTTP+JSON', protocolVersion: '1.0' },
  ],
  capabilities: { streaming: true, pushNotifications: true, extendedAgentCard: true },
  securitySchemes: { internal: { apiKeySecurityScheme: { name: 'x-key' } } },
  securityRequirements: [{ schemes: { internal: {} } }],
  skills: [{ id: 'plan', securityRequirements: [{ schemes: { internal: {} } }], examples: ['x'] }],
  signatures: [{ protected: 'e30', signature: 'x' }],
  documentationUrl: 'http://agents.internal:9000/docs',
  unknownField: { kept: true },
};

async function fetchCard(path: RequestPath, given: object | string, headers: Record<string, string> = {}) {
  const exchange = path.send({
    ...{ method: 'GET', path: '/acme/planner/.well-known/agent-card.json' },
    headers: { authorization: 'Bearer alice-key', host: 'gw.example:8080', 'a2a-version': '1.0', ...headers },
  });
  await path.settled();
  path.upstream.calls.at(-1)?.answer(given);
  await path.settled();
  return exchange;
}

describe('the card of an agent', () => {
  it('names the gateway in its interfaces, and only those that are served', async () => {
    const path = node();
    const exchange = await fetchCard(path, card);
    expect(path.upstream.last.request).toMatchObject({
      ...{ origin: 'http://agents.internal:9000', target: '/.well-known/agent-card.json', method: 'GET' },
    });
    expect(exchange.status).toBe(200);
    expect(exchange.json).toEqual({
      ...{ name: 'planner', version: '1', unknownField: { kept: true } },
      supportedInterfaces: [
        {
          ...{ url: 'http://gw.example:8080/acme/planner', protocolBinding: 'JSONRPC', protocolVersion: '1.0' },
          tenant: 't',
        },
      ],
      capabilities: { streaming: true, pushNotifications: false, extendedAgentCard: false },
      skills: [{ id: 'plan', examples: ['x'] }],
      securitySchemes: { bearer: { httpAuthSecurityScheme: { scheme: 'Bearer' } } },
      securityRequirements: [{ schemes: { bearer: { list: [] } } }],
    });
    expect(exchange.text).not.toContain('agents.internal');
    expect(path.events).toMatchObject([
      { protocol: 'a2a', method: 'GetAgentCard', decision: 'allow', protocolVersion: '1.0' },
    ]);
  });

  it('of 0.3 is rewritten in its own shape', async () => {
    const older = {
      ...{ name: 'planner', url: 'http://agents.internal:9000/a2a', preferredTransport: 'GRPC' },
      additionalInterfaces: [{ url: 'http://agents.internal:9000/a2a', transport: 'JSONRPC' }],
      ...{ supportsAuthenticatedExtendedCard: true, security: [{ key: [] }], protocolVersion: '0.3.0' },
    };
    const exchange = await fetchCard(node(), older, { 'a2a-version': '0.3' });
    expect(exchange.json).toEqual({
      ...{ name: 'planner', protocolVersion: '0.3.0', url: 'http://gw.example:8080/acme/planner' },
      ...{ preferredTransport: 'JSONRPC', supportsAuthenticatedExtendedCard: false },
      additionalInterfaces: [{ url: 'http://gw.example:8080/acme/planner', transport: 'JSONRPC' }],
      ...{ securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } }, security: [{ bearer: [] }] },
    });
  });

  it('asks for no credential where none is needed', async () => {
    const exchange = await fetchCard(node({ anonymous: true }), card);
    expect(Object.keys(exchange.json as object)).not.toContain('securitySchemes');
  });

  it('may be kept for a while, and is not sent again to who has it', async () => {
    const path = node();
    const first = await fetchCard(path, card);
    expect(first.headers).toMatchObject({ 'cache-control': 'private, max-age=60', vary: 'A2A-Version, Authorization' });
    const again = await fetchCard(path, card, { 'if-none-match': `W/"x", ${first.headers['etag']}` });
    expect(again).toMatchObject({ status: 304, text: '' });
  });

  it.each([
    ['is not JSON', 'no'],
    ['repeats a key', '{"name":"a","name":"b","supportedInterfaces":[]}'],
    ['has no JSON-RPC interface', { ...card, supportedInterfaces: card.supportedInterfaces.slice(1) }],
    ['is no card', { hello: 1 }],
  ])('is an error of the upstream when it %s', async (_, given) => {
    const path = node();
    const exchange = await fetchCard(path, given);
    expect(exchange).toMatchObject({ status: 502 });
    expect(path.events).toMatchObject([{ error: 'upstream_invalid', status: 502 }]);
  });

  it('is a matter of policy like everything else', async () => {
    const path = node({ allow: ['a2a.method == "SendMessage"'] });
    const exchange = await fetchCard(path, card);
    expect(exchange.status).toBe(403);
    expect(path.upstream.calls).toEqual([]);
  });
});

describe('a request to an agent', () => {
  it('goes on byte for byte, and so does its answer', async () => {
    const path = node();
    const body = ' {"jsonrpc":"2.0", "id":"x", "method":"SendMessage","params":{"message":{"big":1e400}}} ';
    const exchange = await post(path, body, { headers: { 'a2a-extensions': 'https://e.example' }, query: 'k=1' });
    const upstream = path.upstream.last;
    expect(upstream.request).toMatchObject({ method: 'POST', target: '/a2a?k=1', safeToResend: false });
    expect(upstream.text).toBe(body);
    expect([upstream.header('a2a-version'), upstream.header('a2a-extensions')]).toEqual(['1.0', 'https://e.example']);
    expect(upstream.header('authorization')).toBeUndefined();
    upstream.answer('{"jsonrpc":"2.0","id":"x","result":{"task":{"n":9007199254740993}}}');
    expect(exchange.text).toBe('{"jsonrpc":"2.0","id":"x","result":{"task":{"n":9007199254740993}}}');
    expect(path.events).toMatchObject([
      { method: 'SendMessage', decision: 'allow', status: 200, path: '/acme/planner' },
    ]);
  });

  it('is known to policy by its name in A2A 1.0, whichever version it is of', async () => {
    const path = node();
    const denied = await post(path, request('CancelTask', { id: 't' }));
    expect(denied).toMatchObject({ status: 403 });
    expect(denied.json).toEqual({ jsonrpc: '2.0', id: 7, error: { code: -32000, message: 'Not allowed here' } });
    for (const headers of [{ 'a2a-version': '0.3' }, { 'a2a-version': '' }]) {
      expect(await post(path, request('tasks/cancel', { id: 't' }), { headers })).toMatchObject({ status: 403 });
    }
    await post(path, request('tasks/get', { id: 't' }), { headers: { 'a2a-version': '0.3.1' } });
    expect(path.upstream.last.message.method).toBe('tasks/get');
    path.upstream.last.result({});
    expect(path.events.map(({ method, protocolVersion }) => [method, protocolVersion])).toEqual([
      ...[
        ['CancelTask', '1.0'],
        ['CancelTask', '0.3'],
        ['CancelTask', '0.3'],
      ],
      ['GetTask', '0.3'],
    ]);
  });

  it('streams, at its own pace, until the agent ends it', async () => {
    const path = node();
    const exchange = await post(path, request('SendStreamingMessage', { message: {} }));
    const upstream = path.upstream.last;
    upstream.openEvents();
    upstream.event({ jsonrpc: '2.0', id: 7, result: { task: { id: 't' } } });
    expect(exchange.events).toHaveLength(1);
    expect(exchange.headers['content-type']).toBe('text/event-stream');
    expect(upstream.detached).toBe(true);
    upstream.event({ jsonrpc: '2.0', id: 7, result: { statusUpdate: {} } });
    upstream.end();
    expect(exchange.events).toHaveLength(2);
    expect(exchange.ended).toBe(true);
    expect(path.events).toMatchObject([{ method: 'SendStreamingMessage', error: '', status: 200 }]);
  });

  it('ends its stream with a reason when its permission is withdrawn', async () => {
    const path = node();
    const exchange = await post(path, request('SendStreamingMessage', { message: {} }));
    path.upstream.last.openEvents();
    path.upstream.last.event({ jsonrpc: '2.0', id: 7, result: { task: { id: 't' } } });
    await path.swap({ allow: [] });
    expect(exchange.events.at(-1)).toEqual({
      ...{ jsonrpc: '2.0', id: 7, error: { code: -32000, message: 'Permission was withdrawn' } },
    });
    expect([exchange.ended, path.upstream.last.aborted]).toEqual([true, true]);
    expect(path.events).toMatchObject([{ error: 'revoked' }]);
  });

  it('has its quiet stream kept alive, between events only', async () => {
    const path = node();
    const exchange = await post(path, request('SubscribeToTask', { id: 't' }));
    const upstream = path.upstream.last;
    upstream.openEvents();
    await path.clock.advance(20_000);
    expect(exchange.text).toMatch(/^:[^\n]*\n\n$/);
    upstream.data('data: {"jsonrpc":');
    const before = exchange.text;
    await path.clock.advance(60_000);
    expect(exchange.text).toBe(before);
  });

  it('is broken off rather than ended in the middle of an event', async () => {
    const path = node();
    const exchange = await post(path, request('SendStreamingMessage', { message: {} }));
    path.upstream.last.openEvents();
    path.upstream.last.data('data: {"jsonrpc":');
    await path.swap({ allow: [] });
    expect(exchange.aborted).toBe(true);
  });

  it('has its stream ended in order when the node stops', async () => {
    const path = node();
    const exchange = await post(path, request('SubscribeToTask', { id: 't' }));
    path.upstream.last.openEvents();
    await path.streams.drain(0, AbortSignal.abort());
    expect([exchange.ended, exchange.aborted]).toEqual([true, false]);
    expect(path.events).toMatchObject([{ error: 'drained' }]);
  });

  const push = { id: 'c', url: 'http://169.254.169.254/' };
  it.each([
    ['an unknown version', request('SendMessage'), { 'a2a-version': '99.0' }, -32009],
    ['a method of 1.0 without a version', request('SendMessage'), { 'a2a-version': '' }, -32009],
    ['an unknown method', request('tasks/steal'), {}, -32601],
    ['a method of another version', request('message/send'), {}, -32601],
    ['push notifications', request('CreateTaskPushNotificationConfig', push), {}, -32003],
    [
      'push notifications with a message',
      request('SendMessage', { configuration: { taskPushNotificationConfig: push } }),
      {},
      -32003,
    ],
    [
      'push notifications, spelled otherwise',
      '{"jsonrpc":"2.0","id":7,"method":"SendMessage","params":{"configuration":{"taskPushNotification\\u0043onfig":{}}}}',
      {},
      -32003,
    ],
    ['the extended card', request('GetExtendedAgentCard'), {}, -32004],
    ['a batch', [request('GetTask')], {}, -32600],
    ['a notification', { jsonrpc: '2.0', method: 'GetTask' }, {}, -32600],
    ['an id that is null', request('GetTask', {}, null), {}, -32600],
    ['a repeated key', '{"jsonrpc":"2.0","id":1,"method":"GetTask","method":"CancelTask"}', {}, -32700],
    ['something else', 'hello', {}, -32700],
  ])('is refused with its code: %s', async (_, message, headers, code) => {
    const path = node({ allow: ['true'] });
    const exchange = await post(path, message, { headers });
    expect(exchange.json).toMatchObject({ jsonrpc: '2.0', error: { code } });
    expect(path.upstream.calls).toEqual([]);
    expect(path.events).toMatchObject([{ decision: 'invalid', protocol: 'a2a' }]);
  });

  it('is told the reason by name where A2A has one', async () => {
    const exchange = await post(node(), request('SendMessage'), { headers: { 'a2a-version': '99.0' } });
    expect(exchange.json).toMatchObject({
      id: 7,
      error: { data: [{ reason: 'VERSION_NOT_SUPPORTED', domain: 'a2a-protocol.org' }] },
    });
  });

  it.each([
    ['elsewhere', { path: '/acme/planner/message:send' }, 404],
    ['with another method', { method: 'PUT' }, 405],
    ['with another type', { headers: { 'content-type': 'text/plain' } }, 415],
    ['without a credential', { headers: { authorization: 'Bearer nobody' } }, 401],
  ])('is refused %s', async (_, more, status) => {
    const exchange = await post(node(), request('GetTask'), more);
    expect(exchange.status).toBe(status);
    expect(exchange.json).toMatchObject({ jsonrpc: '2.0', id: null, error: {} });
  });

  it('fails when the agent cannot be reached, under its own id', async () => {
    const path = node();
    const exchange = await post(path, request('GetTask', { id: 't' }, 'é'));
    path.upstream.last.fail();
    expect(exchange).toMatchObject({ status: 502 });
    expect(exchange.json).toMatchObject({ id: 'é', error: { code: -32603 } });
    expect(path.events).toMatchObject([{ error: 'upstream_unreachable' }]);
  });

  it('may think for long', async () => {
    const path = node();
    await post(path, request('SendMessage'));
    expect(path.upstream.last.request.timeouts.headMs).toBe(3_600_000);
  });
});
