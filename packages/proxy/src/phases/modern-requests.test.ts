import { describe, expect, it } from 'vitest';
import { isProbe, modernVersion, RequestPath } from '../testing/request-path.ts';

describe('a modern request', () => {
  it('goes on with its envelope and headers whole, under an id of the gateway', async () => {
    const path = new RequestPath();
    const headers = { 'mcp-param-region': '=?base64?w6Q=?=', 'mcp-param-x': '1', 'mcp-session-id': 'ignored' };
    const meta = { progressToken: 'p', 'vendor/x': [1] };
    const exchange = await path.modern(
      'tools/call',
      { name: 'echo', arguments: { a: 1 } },
      { headers, meta, id: 'my id' },
    );
    const sent = path.upstream.last;
    expect(sent.message.params).toMatchObject({ name: 'echo', arguments: { a: 1 }, _meta: meta });
    expect(sent.message.id).not.toBe('my id');
    const names = ['mcp-protocol-version', 'mcp-method', 'mcp-name', 'mcp-param-region', 'mcp-param-x'];
    expect(names.map((name) => sent.header(name))).toEqual([
      modernVersion,
      'tools/call',
      'echo',
      '=?base64?w6Q=?=',
      '1',
    ]);
    expect([sent.header('mcp-session-id'), sent.header('authorization')]).toEqual([undefined, undefined]);
    sent.result({ content: [], resultType: 'complete' });
    expect(exchange.json).toEqual({ jsonrpc: '2.0', id: 'my id', result: { content: [], resultType: 'complete' } });
    expect(exchange.headers['mcp-session-id']).toBeUndefined();
    expect(path.events.at(-1)).toMatchObject({
      era: 'modern',
      protocolVersion: modernVersion,
      session: '',
      tool: 'echo',
    });
  });

  it('is cancelled upstream at once when its client leaves', async () => {
    const path = new RequestPath();
    const exchange = await path.modern('tools/call', { name: 'echo' });
    exchange.leave();
    expect(path.upstream.last.aborted).toBe(true);
    expect(path.events.at(-1)).toMatchObject({ error: 'client_cancelled' });
  });

  it('is cancelled upstream when its client leaves an event stream', async () => {
    const path = new RequestPath();
    const exchange = await path.modern('tools/call', { name: 'echo' });
    path.upstream.last.openEvents();
    exchange.leave();
    expect(path.upstream.last.aborted).toBe(true);
    expect(path.streams.size).toBe(0);
  });

  it.each([
    [404, -32601, 404, -32601],
    [400, -32602, 400, -32602],
    [400, -32021, 400, -32021],
    [400, -32020, 200, -32603],
    [400, -32022, 200, -32603],
    [500, -32603, 200, -32603],
    [401, -32000, 200, -32603],
  ])(
    'that the upstream answers %i %i gets %i %i: what is about the hop between gateway and upstream stays there',
    async (status, code, expectedStatus, expectedCode) => {
      const path = new RequestPath();
      const exchange = await path.modern('completion/complete', {});
      const error = { code, message: 'm', data: { requiredCapabilities: {} } };
      path.upstream.last.answer({ jsonrpc: '2.0', id: '$id', error }, { status });
      expect(exchange.status).toBe(expectedStatus);
      expect(exchange.json).toMatchObject({ id: 1, error: { code: expectedCode } });
    },
  );

  it('reads from server/discover only the versions that the gateway speaks', async () => {
    const path = new RequestPath();
    const exchange = await path.modern('server/discover');
    path.upstream.last.result({
      supportedVersions: ['2030-01-01', modernVersion],
      capabilities: {
        extensions: { 'io.modelcontextprotocol/tasks': {}, 'io.modelcontextprotocol/ui': {} },
        tools: {},
      },
    });
    expect(exchange.json).toMatchObject({
      result: {
        supportedVersions: [modernVersion],
        capabilities: {
          extensions: { 'io.modelcontextprotocol/tasks': {}, 'io.modelcontextprotocol/ui': {} },
          tools: {},
        },
      },
    });
  });

  it('gets the error of a stream that broke before its answer', async () => {
    const path = new RequestPath();
    const exchange = await path.modern('tools/call', { name: 'echo' });
    path.upstream.last.openEvents();
    path.upstream.last.event({ jsonrpc: '2.0', method: 'notifications/progress', params: {} });
    path.upstream.last.fail('closed-early');
    expect(exchange.events.at(-1)).toMatchObject({ id: 1, error: { code: -32603 } });
    expect(exchange.ended).toBe(true);
    expect(path.events.at(-1)).toMatchObject({ error: 'upstream_failed' });
  });

  it('cancels nothing by a notification: on this era leaving does that', async () => {
    const path = new RequestPath();
    const message = { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 1 } };
    const exchange = await path.post(message, { 'mcp-protocol-version': modernVersion });
    expect(exchange.status).toBe(202);
    expect(path.upstream.calls).toHaveLength(0);
  });
});

describe('the era of an upstream', () => {
  it('is found once for all who ask at the same time', async () => {
    const path = new RequestPath();
    const exchanges = [];
    for (let i = 0; i < 3; i += 1)
      exchanges.push(await path.modern('tools/call', { name: 'echo' }, { probe: false, id: i }));
    expect(path.upstream.calls.map(isProbe)).toEqual([true]);
    await path.answerProbe();
    expect(path.upstream.calls.map(isProbe)).toEqual([true, false, false, false]);
    for (const call of path.upstream.calls.slice(1)) call.result({});
    expect(exchanges.map(({ status }) => status)).toEqual([200, 200, 200]);
  });

  it('legacy: the server is spoken to in its era, and looks modern to the client', async () => {
    const path = new RequestPath();
    const exchange = await path.modern('server/discover', {}, { probe: false });
    const noSession = { jsonrpc: '2.0', id: null, error: { code: -32000, message: 'no session' } };
    path.upstream.last.answer(noSession, { status: 400 });
    await path.settled();
    expect(path.upstream.last.message).toMatchObject({
      method: 'initialize',
      params: { protocolVersion: '2025-11-25' },
    });
    const greeting = {
      protocolVersion: '2025-11-25',
      capabilities: { tools: {} },
      serverInfo: { name: 's', version: '1' },
    };
    path.upstream.last.result(greeting, { 'mcp-session-id': 'shared' });
    await path.settled();
    path.upstream.last.answer('', { status: 202 });
    await path.settled();
    expect(exchange.json).toMatchObject({
      id: 1,
      result: { resultType: 'complete', supportedVersions: [modernVersion] },
    });
    const next = await path.modern('tools/call', { name: 'echo' }, { probe: false });
    await path.settled();
    expect(path.upstream.last.header('mcp-session-id')).toBe('shared');
    path.upstream.last.result({ content: [] });
    expect(next.json).toMatchObject({ id: 1, result: { resultType: 'complete', content: [] } });
  });

  it.each([
    ['a modern discovery', 200, { result: { supportedVersions: [modernVersion] } }, 'modern'],
    ['a discovery without modern versions', 200, { result: { supportedVersions: ['2025-11-25'] } }, 'legacy'],
    ['method not found', 200, { error: { code: -32601, message: '' } }, 'legacy'],
    ['method not found, 404', 404, { error: { code: -32601, message: '' } }, 'legacy'],
    [
      'unsupported version, modern ones supported',
      400,
      { error: { code: -32022, data: { supported: ['2027-01-01'] } } },
      'modern',
    ],
    [
      'unsupported version, legacy ones supported',
      400,
      { error: { code: -32022, data: { supported: ['2025-11-25'] } } },
      'legacy',
    ],
    ['a header mismatch', 400, { error: { code: -32020 } }, 'modern'],
    ['a missing session', 400, { error: { code: -32000 } }, 'legacy'],
    ['405', 405, {}, 'legacy'],
    ['no JSON', 404, 'not found', 'legacy'],
    ['401', 401, {}, 'none'],
    ['403', 403, {}, 'none'],
    ['500', 500, {}, 'none'],
  ])('by its answer to the probe, %s: %i %j is %s', async (_what, status, answer, era) => {
    const path = new RequestPath();
    const exchange = await path.modern('server/discover', {}, { probe: false });
    path.upstream.last.answer(answer, { status });
    await path.settled();
    const refused = exchange.bytes.length > 0;
    const { method } = path.upstream.last.message;
    expect(refused ? 'none' : method === 'initialize' ? 'legacy' : 'modern').toBe(era);
    const calls = path.upstream.calls.length;
    await path.modern('server/discover', {}, { probe: false });
    const probedAgain = path.upstream.calls.slice(calls).some(isProbe);
    expect(probedAgain).toBe(era === 'none');
  });

  it('is not known from a timeout', async () => {
    const path = new RequestPath();
    const exchange = await path.modern('server/discover', {}, { probe: false });
    path.upstream.last.fail('head-timeout');
    await path.settled();
    expect(exchange.json).toMatchObject({ error: { code: -32603 } });
    expect(exchange.status).toBe(200);
  });

  it('is read from an event stream too', async () => {
    const path = new RequestPath();
    await path.modern('server/discover', {}, { probe: false });
    const probe = path.upstream.last;
    probe.openEvents();
    probe.resultEvent({ supportedVersions: [modernVersion] });
    probe.end();
    await path.settled();
    expect(path.upstream.calls).toHaveLength(2);
  });

  it('is looked into again after the horizon, while the old verdict serves', async () => {
    const path = new RequestPath({ limits: { eraHorizonMs: 1_000 } });
    await path.modern('server/discover', {}, { probe: false });
    path.upstream.last.answer({ error: { code: -32601 } });
    await path.settled();
    await path.clock.advance(2_000);
    await path.modern('server/discover', {}, { probe: false });
    expect(path.upstream.calls.map(isProbe)).toEqual([true, false, true]);
    path.upstream.last.result({ supportedVersions: [modernVersion] });
    await path.settled();
    await path.modern('server/discover', {}, { probe: false });
    expect(path.upstream.calls.map(isProbe)).toEqual([true, false, true, false]);
  });

  it('is not changed by failures after the horizon', async () => {
    const path = new RequestPath({ limits: { eraHorizonMs: 1_000 } });
    await path.modern('tools/list');
    await path.clock.advance(2_000);
    await path.modern('tools/list', {}, { probe: false });
    path.upstream.calls.find((call, i) => i > 0 && isProbe(call))?.fail('connect-timeout');
    await path.settled();
    const exchange = await path.modern('tools/list', {}, { probe: false });
    path.upstream.last.result({ tools: [] });
    expect(exchange.status).toBe(200);
  });

  it('is doubted when a modern request is answered as only a legacy upstream would', async () => {
    const path = new RequestPath();
    const exchange = await path.modern('tools/list');
    path.upstream.last.answer('Bad Request', { status: 400 });
    expect(exchange.json).toMatchObject({ id: 1, error: { code: -32603 } });
    await path.modern('tools/list', {}, { probe: false });
    expect(isProbe(path.upstream.last)).toBe(true);
  });
});
