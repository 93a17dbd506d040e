import type { Socket } from 'node:net';

import type { OutcomeEvent } from '@signalbox/audit';
import {
  feedUri,
  gateway,
  jsonAnswer,
  type LegacyMcpServer,
  mcpRoute,
  type ModernMcpServer,
  policy,
  RawMcpClient,
  type RawUpstream,
  startLegacyMcpServer,
  startModernMcpServer,
  startRawUpstream,
  startSystem,
  type System,
  tenant,
  until,
} from '@signalbox/test-harness';
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';

const keys = { alice: 'alice-key', bob: 'bob-key' };
const argument = 'the-secret-argument';
const result = 'the-secret-result';

describe('every request ends in exactly one outcome event', () => {
  let legacy: LegacyMcpServer;
  let modern: ModernMcpServer;
  let raw: RawUpstream;
  let system: System;
  let before: number;

  beforeAll(async () => {
    legacy = await startLegacyMcpServer();
    modern = await startModernMcpServer();
    raw = await startRawUpstream((socket) => socket.write(jsonAnswer({})));
    system = await startSystem({ pgUrl: inject('pgUrl'), settings: { SIGNALBOX_PROXY_MAX_BODY_BYTES: '65536' } });
    await system.apply([
      gateway(),
      tenant(),
      ...mcpRoute({
        name: 'legacy',
        url: legacy.url,
        keys,
        rules: [
          { name: 'no-hidden', effect: 'DENY', when: 'tool.name == "hidden"' },
          { name: 'rest', effect: 'ALLOW', when: 'true' },
        ],
      }),
      ...mcpRoute({ name: 'modern', url: modern.url, keys, rules: ['true'] }),
      ...mcpRoute({ name: 'dead', url: 'http://127.0.0.1:1/mcp', keys, rules: ['true'] }),
      ...mcpRoute({ name: 'raw', url: raw.url, keys, rules: ['true'] }),
    ]);
  });

  afterAll(async () => {
    await system.stop();
    await legacy.stop();
    await modern.stop();
    await raw.stop();
  });

  beforeEach(async () => {
    before = (await system.node(0).events()).length;
  });

  /** The events since the test began, once there are as many as requests; then no more may come. */
  const events = async (count: number): Promise<readonly OutcomeEvent[]> => {
    await until(`${count} events`, async () =>
      (await system.node(0).events()).length >= before + count ? true : undefined,
    );
    const fence = new RawMcpClient({ url: system.endpoint('acme', 'nowhere') });
    await fence.rpc('fence');
    const all = await until('the fence', async () => {
      const found = (await system.node(0).events()).slice(before);
      return found.some(({ error, route }) => error === 'unknown_path' && route === '') ? found : undefined;
    });
    expect(new Set(all.map(({ id }) => id)).size).toBe(all.length);
    expect(all).toHaveLength(count + 1);
    return all.slice(0, count);
  };

  const connect = async (token = 'alice-key', route = 'legacy'): Promise<RawMcpClient> => {
    const client = new RawMcpClient({ url: system.endpoint('acme', route), token });
    await client.initialize();
    return client;
  };

  it('says who called what, what was decided and by which rule, and what it took', async () => {
    const client = await connect();
    const traceId = 'ab'.repeat(16);
    await client
      .rpc(
        'tools/call',
        { name: 'echo', arguments: { text: argument } },
        { traceparent: `00-${traceId}-${'cd'.repeat(8)}-01` },
      )
      .then(({ stream }) => stream?.ended);
    const revision = Number(await system.revision('acme'));
    const [initialize, initialized, call] = await events(3);
    expect(initialize).toMatchObject({ method: 'initialize', decision: 'allow', status: 200, error: '' });
    expect(initialized).toMatchObject({ method: 'notifications/initialized', status: 202 });
    expect(call).toMatchObject({
      type: 'outcome',
      node: 'node-0',
      gateway: 'default',
      tenant: 'acme',
      route: 'legacy',
      virtualServer: 'legacy',
      backend: 'legacy',
      era: 'legacy',
      protocolVersion: '2025-11-25',
      method: 'tools/call',
      tool: 'echo',
      decision: 'allow',
      rule: 'policy/legacy/rest',
      revision,
      status: 200,
      error: '',
      traceId,
    });
    expect(call?.principal).toContain('alice');
    expect(call?.session).toBe(initialize?.session);
    expect(call?.session).not.toBe('');
    expect(call?.session).not.toBe(client.session);
    expect(call?.requestBytes).toBeGreaterThan(50);
    expect(call?.responseBytes).toBeGreaterThan(50);
    expect(call?.durationMs).toBeGreaterThan(0);
    expect(Number.isNaN(Date.parse(call?.at ?? ''))).toBe(false);
  });

  it('says so of a denied call, with the rule', async () => {
    const client = await connect();
    await client.call('hidden');
    expect((await events(3))[2]).toMatchObject({
      tool: 'hidden',
      decision: 'deny',
      rule: 'policy/legacy/no-hidden',
      error: 'denied',
      status: 200,
    });
  });

  it.each<[string, (client: RawMcpClient) => Promise<unknown>, Partial<OutcomeEvent>]>([
    [
      'no credential',
      (client) => ((client.token = undefined), client.rpc('tools/list')),
      { decision: 'unauthenticated', status: 401 },
    ],
    [
      'a wrong credential',
      (client) => ((client.token = 'wrong'), client.rpc('tools/list')),
      { decision: 'unauthenticated', status: 401, principal: '' },
    ],
    ['no JSON', (client) => client.post('{'), { decision: 'invalid', status: 400, error: 'not_json' }],
    ['too large a body', (client) => client.post('x'.repeat(70_000)), { status: 413, error: 'body_too_large' }],
    [
      'an unknown session',
      (client) => ((client.session = 'unknown'), client.rpc('tools/list')),
      { status: 404, error: 'session_unknown' },
    ],
    [
      'a host that is not served',
      (client) => client.send('POST', '{}', { host: 'evil.example' }),
      { decision: 'invalid', method: 'POST', status: 403, error: 'http_refused', tenant: '' },
    ],
    ['another method of HTTP', (client) => client.send('PUT', '{}', {}), { status: 405 }],
    ['a listing', (client) => client.rpc('tools/list'), { method: 'tools/list', decision: 'allow', status: 200 }],
    [
      'a notification',
      (client) => client.notify('notifications/roots/list_changed'),
      { method: 'notifications/roots/list_changed', status: 202 },
    ],
    ['the end of a session', (client) => client.delete(), { method: 'DELETE' }],
  ])('%s', async (_name, act, expected) => {
    const client = await connect();
    await act(client);
    expect((await events(3))[2]).toMatchObject(expected);
  });

  it('a GET stream that the client leaves', async () => {
    const client = await connect();
    const { stream } = await client.get();
    stream?.close();
    expect((await events(3))[2]).toMatchObject({ method: 'GET', status: 200 });
  });

  it('a call that the client leaves', async () => {
    const client = new RawMcpClient({ url: system.endpoint('acme', 'modern'), token: 'alice-key' });
    const answer = client.modern('tools/call', {
      name: 'slow_progress',
      arguments: { key: 'left' },
      _meta: { progressToken: 1 },
    });
    await (await modern.held.withKey('left')).emit(1);
    const { stream } = await answer;
    await stream?.messages.atLeast(1);
    stream?.close();
    expect((await events(1))[0]).toMatchObject({
      era: 'modern',
      tool: 'slow_progress',
      decision: 'allow',
      error: expect.stringMatching(/^client_/) as string,
    });
  });

  it('a call that is cancelled', async () => {
    const client = await connect();
    const params = { name: 'slow_progress', arguments: { key: 'cancelled' }, _meta: { progressToken: 1 } };
    const answer = client.post({ jsonrpc: '2.0', id: 'c', method: 'tools/call', params });
    const held = await legacy.held.withKey('cancelled');
    await held.emit(1);
    const { stream } = await answer;
    await stream?.messages.atLeast(1);
    await client.notify('notifications/cancelled', { requestId: 'c' });
    held.finish('late');
    stream?.close();
    const methods = (await events(4)).map(({ method }) => method);
    expect(methods.slice(0, 2)).toEqual(['initialize', 'notifications/initialized']);
    expect(new Set(methods.slice(2))).toEqual(new Set(['notifications/cancelled', 'tools/call']));
  });

  it('a subscription whose permission is withdrawn', async () => {
    await system.apply([...mcpRoute({ name: 'revoked', url: modern.url, keys, rules: ['true'] })]);
    const client = new RawMcpClient({ url: system.endpoint('acme', 'revoked'), token: 'bob-key' });
    const { stream } = await client.modern('subscriptions/listen', {
      notifications: { resourceSubscriptions: [feedUri] },
    });
    await stream?.messages.atLeast(1);
    await system.apply([policy({ name: 'revoked', keys: { alice: 'alice-key' }, rules: ['true'] })]);
    await stream?.ended;
    expect((await events(1))[0]).toMatchObject({ method: 'subscriptions/listen', error: 'revoked' });
  });

  it('an upstream that cannot be reached', async () => {
    const client = new RawMcpClient({ url: system.endpoint('acme', 'dead'), token: 'alice-key' });
    const answer = await client.rpc('initialize', {
      protocolVersion: '2025-11-25',
      capabilities: {},
      clientInfo: { name: 'x', version: '1' },
    });
    expect(answer.message?.error?.code).toBe(-32603);
    expect((await events(1))[0]).toMatchObject({ route: 'dead', status: 200, error: 'upstream_unreachable' });
  });

  it.each<[string, (socket: Socket) => void]>([
    ['ends the connection', (socket) => socket.destroy()],
    ['answers no HTTP', (socket) => socket.end('hello\r\n\r\n')],
    ['answers no JSON', (socket) => socket.end(jsonAnswer({}).replace('{}', '{{'))],
    ['answers with another id', (socket) => socket.write(jsonAnswer({ jsonrpc: '2.0', id: 'other', result: {} }))],
    [
      'breaks off in the middle',
      (socket) =>
        socket.end('HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"jsonrpc"'),
    ],
    ['answers 500', (socket) => socket.end('HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n')],
  ])('an upstream that %s', async (_name, script) => {
    raw.answerWith(script);
    const client = new RawMcpClient({ url: system.endpoint('acme', 'raw'), token: 'alice-key' });
    const answer = await client.rpc('initialize', {
      protocolVersion: '2025-11-25',
      capabilities: {},
      clientInfo: { name: 'x', version: '1' },
    });
    expect(answer.message?.error?.code).toBe(-32603);
    expect((await events(1))[0]).toMatchObject({ route: 'raw', error: expect.stringMatching(/^upstream_/) as string });
  });

  it('holds no argument, no result and no credential', async () => {
    const client = await connect();
    const answer = client.rpc('tools/call', { name: 'slow_progress', arguments: { key: argument } });
    (await legacy.held.withKey(argument)).finish(result);
    await (
      await answer
    ).stream?.ended;
    const text = JSON.stringify(await events(3));
    for (const secret of [argument, result, 'alice-key', client.session ?? '']) expect(text).not.toContain(secret);
  });
});
