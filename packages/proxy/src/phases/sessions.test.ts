import { describe, expect, it } from 'vitest';
import { tableOf, RequestPath } from '../testing/request-path.ts';

describe('a legacy session', () => {
  it('is ended at its server when its client left before it was told', async () => {
    const path = new RequestPath();
    const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'test', version: '1' } };
    const headers = { authorization: 'Bearer alice-key' };
    const exchange = await path.post({ jsonrpc: '2.0', id: 0, method: 'initialize', params }, headers);
    const begun = path.upstream.last;
    exchange.leave();
    begun.result({ protocolVersion: '2025-11-25', capabilities: {}, serverInfo: {} }, { 'mcp-session-id': 'unheard' });
    await path.settled();
    const { request } = path.upstream.last;
    expect([request.method, path.upstream.last.header('mcp-session-id')]).toEqual(['DELETE', 'unheard']);
  });

  it('is required after initialize: 400 without an id', async () => {
    const path = new RequestPath();
    for (const method of ['tools/list', 'tools/call', 'ping']) {
      const exchange = await path.post({ jsonrpc: '2.0', id: 1, method });
      expect(exchange.status).toBe(400);
      expect(exchange.json).toMatchObject({ id: 1, error: { code: -32000 } });
    }
    expect(path.upstream.calls).toHaveLength(0);
  });

  it.each(['nonsense', 'abcdef.', 'abcdef.AAAA', '.'.repeat(50), 'x'.repeat(5_000)])(
    'does not exist under a made-up id: 404 for %j',
    async (id) => {
      const path = new RequestPath();
      const exchange = await path.post({ jsonrpc: '2.0', id: 1, method: 'ping' }, { 'mcp-session-id': id });
      expect(exchange.status).toBe(404);
      expect(exchange.json).toMatchObject({ id: 1, error: { code: -32001 } });
      expect(path.upstream.calls).toHaveLength(0);
    },
  );

  it('does not exist under an id with one changed character', async () => {
    const path = new RequestPath();
    const session = await path.initialize();
    const id = session['mcp-session-id'] as string;
    for (let at = 0; at < id.length; at += 7) {
      const forged = id.slice(0, at) + (id[at] === 'A' ? 'B' : 'A') + id.slice(at + 1);
      const exchange = await path.request({ ...session, 'mcp-session-id': forged }, 'ping');
      expect(exchange.status).toBe(404);
    }
    expect(path.upstream.calls).toHaveLength(1);
  });

  it('does not exist for another principal, who learns no more than for one that never was', async () => {
    const path = new RequestPath();
    const session = await path.initialize({ key: 'alice-key' });
    const stolen = { ...session, authorization: 'Bearer bob-key' };
    const foreign = await path.request(stolen, 'ping');
    const unknown = await path.request({ ...stolen, 'mcp-session-id': 'unknown' }, 'ping');
    expect(foreign.status).toBe(404);
    expect(foreign.text).toBe(unknown.text);
    const stream = path.send({ method: 'GET', headers: { ...stolen, accept: 'text/event-stream' } });
    const ended = path.send({ method: 'DELETE', headers: stolen });
    await path.settled();
    expect([stream.status, ended.status]).toEqual([404, 404]);
    expect(path.upstream.calls).toHaveLength(1);
    const own = await path.request(session, 'ping');
    path.upstream.last.result({});
    expect(own.status).toBe(200);
  });

  it('does not exist on another route', async () => {
    const path = new RequestPath({ routes: ['assistant', 'other'] });
    const session = await path.initialize();
    const headers = { ...session, 'content-type': 'application/json', accept: 'application/json, text/event-stream' };
    const body = '{"jsonrpc":"2.0","id":1,"method":"ping"}';
    const exchange = path.send({ path: '/acme/other/mcp', headers, body });
    await path.settled();
    expect(exchange.status).toBe(404);
  });

  it('does not exist once its backend is another: its upstream session is not shown to strangers', async () => {
    const path = new RequestPath();
    const session = await path.initialize();
    await path.swap({ backendUrl: 'http://127.0.0.1:9999/mcp' });
    const exchange = await path.request(session, 'ping');
    expect(exchange.status).toBe(404);
    expect(path.upstream.calls).toHaveLength(1);
  });

  it('outlives a change of configuration that is not about it', async () => {
    const path = new RequestPath();
    const session = await path.initialize();
    await path.swap({ allow: ['tool.name == "echo"'] });
    const exchange = await path.request(session, 'ping');
    path.upstream.last.result({});
    expect(exchange.status).toBe(200);
  });

  it('is opened by another node that has the keys, and by none that has not', async () => {
    const first = new RequestPath();
    const session = await first.initialize({ upstreamSession: 'shared' });
    const second = new RequestPath({ sessionKeys: first.sessionKeys, seed: 2 });
    const exchange = await second.request(session, 'ping');
    expect(second.upstream.last.header('mcp-session-id')).toBe('shared');
    second.upstream.last.result({});
    expect(exchange.status).toBe(200);
    const stranger = new RequestPath({ seed: 3 });
    expect((await stranger.request(session, 'ping')).status).toBe(404);
  });

  it('expires', async () => {
    const path = new RequestPath({ limits: { sessionMs: 60_000 } });
    const session = await path.initialize();
    await path.clock.advance(59_000);
    const before = await path.request(session, 'ping');
    path.upstream.last.result({});
    expect(before.status).toBe(200);
    await path.clock.advance(2_000);
    expect((await path.request(session, 'ping')).status).toBe(404);
    const elsewhere = new RequestPath({ sessionKeys: path.sessionKeys });
    await elsewhere.clock.advance(70_000);
    expect((await elsewhere.request(session, 'ping')).status).toBe(404);
  });

  describe('that goes unused', () => {
    const idle = { limits: { sessionIdleMs: 60_000 } };

    it('does not exist after the idle time, and stays so; its client begins another', async () => {
      const path = new RequestPath(idle);
      const session = await path.initialize();
      await path.clock.advance(59_000);
      await path.request(session, 'ping');
      path.upstream.last.result({});
      await path.clock.advance(59_000);
      const used = await path.request(session, 'ping');
      path.upstream.last.result({});
      expect(used.status).toBe(200);
      await path.clock.advance(60_000);
      for (let i = 0; i < 2; i += 1) {
        const late = await path.request(session, 'ping');
        expect([late.status, late.json]).toMatchObject([404, { error: { code: -32001 } }]);
      }
      const another = await path.initialize();
      await path.request(another, 'ping');
      expect(path.upstream.last.message.method).toBe('ping');
    });

    it('is ended at its server, a while after, without anybody asking for it', async () => {
      const path = new RequestPath({ limits: { ...idle.limits, endsIdleSessions: true } });
      await path.initialize();
      const other = await path.initialize({ key: 'bob-key', upstreamSession: 'upstream-2' });
      await path.clock.advance(40_000);
      await path.request(other, 'ping');
      path.upstream.last.result({});
      await path.clock.advance(30_000);
      const ended = () => path.upstream.calls.filter(({ request }) => request.method === 'DELETE');
      expect(ended().map((call) => call.header('mcp-session-id'))).toEqual(['upstream-1']);
      await path.clock.advance(60_000);
      expect(ended().map((call) => call.header('mcp-session-id'))).toEqual(['upstream-1', 'upstream-2']);
      await path.clock.advance(600_000);
      expect(ended()).toHaveLength(2);
    });

    it('is ended at every member that has begun one', async () => {
      const path = new RequestPath({
        federated: {
          members: [
            { backend: 'tools', prefix: 'a' },
            { backend: 'more', prefix: 'b' },
          ],
        },
        limits: { ...idle.limits, endsIdleSessions: true },
      });
      let begun = 0;
      path.upstream.onCall = (call) => {
        if (call.message.method !== 'initialize') return call.answer('', { status: 202 });
        begun += 1;
        const result = { protocolVersion: '2025-11-25', capabilities: {}, serverInfo: { name: 's', version: '1' } };
        call.result(result, { 'mcp-session-id': `member-${begun}` });
      };
      const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'c', version: '1' } };
      const exchange = await path.post({ jsonrpc: '2.0', id: 0, method: 'initialize', params });
      await path.settled();
      expect(exchange.headers['mcp-session-id']).toBeDefined();
      await path.clock.advance(62_000);
      const ended = path.upstream.calls.filter(({ request }) => request.method === 'DELETE');
      expect(ended.map((call) => [call.request.origin, call.header('mcp-session-id')])).toEqual([
        ['http://127.0.0.1:3001', 'member-1'],
        ['http://127.0.0.1:3002', 'member-2'],
      ]);
    });

    it('is left alone at its server where another node may be using it', async () => {
      const path = new RequestPath(idle);
      await path.initialize();
      const sent = path.upstream.calls.length;
      await path.clock.advance(600_000);
      expect(path.upstream.calls).toHaveLength(sent);
    });

    it('is in use while a call or a GET stream of it is open', async () => {
      const path = new RequestPath(idle);
      const session = await path.initialize();
      await path.request(session, 'tools/call', { name: 'echo' });
      const slow = path.upstream.last;
      await path.clock.advance(61_000);
      path.send({ method: 'GET', headers: { ...session, accept: 'text/event-stream' } });
      const stream = path.upstream.last;
      expect(stream.request.method).toBe('GET');
      stream.openEvents();
      slow.result({});
      await path.clock.advance(300_000);
      stream.end();
      await path.clock.advance(59_000);
      await path.request(session, 'ping');
      expect(path.upstream.last.message.method).toBe('ping');
    });

    it('is judged by each node from what it has seen itself', async () => {
      const first = new RequestPath(idle);
      const session = await first.initialize();
      const second = new RequestPath({ ...idle, sessionKeys: first.sessionKeys, seed: 2 });
      await second.clock.advance(61_000);
      await second.request(session, 'ping');
      expect(second.upstream.last.message.method).toBe('ping');
    });

    it('lives on where there is no idle time', async () => {
      const path = new RequestPath({ limits: { sessionIdleMs: 0 } });
      const session = await path.initialize();
      await path.clock.advance(40_000_000);
      await path.request(session, 'ping');
      expect(path.upstream.last.message.method).toBe('ping');
    });
  });

  it('ends with DELETE, here and upstream; after that it does not exist', async () => {
    const path = new RequestPath();
    const session = await path.initialize();
    const ended = path.send({ method: 'DELETE', headers: session });
    expect(path.upstream.last.request.method).toBe('DELETE');
    expect(path.upstream.last.header('mcp-session-id')).toBe('upstream-1');
    path.upstream.last.head(200);
    expect(ended.status).toBe(204);
    const after = await path.request(session, 'ping');
    expect(after.status).toBe(404);
    expect(path.send({ method: 'DELETE', headers: session }).status).toBe(404);
    expect(path.upstream.calls).toHaveLength(2);
  });

  it('ends with DELETE even if the upstream cannot be reached', async () => {
    const path = new RequestPath();
    const session = await path.initialize();
    const ended = path.send({ method: 'DELETE', headers: session });
    path.upstream.last.fail();
    expect(ended.status).toBe(204);
    expect((await path.request(session, 'ping')).status).toBe(404);
  });

  it('is lost when the upstream has lost its own: 404, so that the client initializes again', async () => {
    const path = new RequestPath();
    const session = await path.initialize();
    const exchange = await path.request(session, 'ping');
    path.upstream.last.answer({ jsonrpc: '2.0', id: null, error: { code: -32001, message: 'gone' } }, { status: 404 });
    expect(exchange.status).toBe(404);
    expect(exchange.json).toMatchObject({ id: 1, error: { code: -32001 } });
    expect((await path.request(session, 'ping')).status).toBe(404);
    expect(path.upstream.calls).toHaveLength(2);
  });

  it('exists for clients even if the upstream keeps none', async () => {
    const path = new RequestPath();
    const session = await path.initialize({ upstreamSession: '' });
    const exchange = await path.request(session, 'ping');
    expect(path.upstream.last.header('mcp-session-id')).toBeUndefined();
    path.upstream.last.result({});
    expect(exchange.status).toBe(200);
    expect(path.send({ method: 'DELETE', headers: session }).status).toBe(204);
    expect(path.upstream.last.request.method).toBe('POST');
  });

  it.each([
    ['1999-01-01', 400],
    ['2025-06-18', 400],
    ['2025-11-25', 200],
    ['', 200],
  ])('speaks the version that was negotiated: MCP-Protocol-Version %j is %i', async (version, status) => {
    const path = new RequestPath();
    const session = await path.initialize();
    const exchange = await path.request({ ...session, 'mcp-protocol-version': version }, 'ping');
    if (status === 200) path.upstream.last.result({});
    expect(exchange.status).toBe(status);
  });

  it('is not begun by an answer with an error, nor by one with an unknown version', async () => {
    const path = new RequestPath();
    const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'c', version: '1' } };
    const failed = await path.post({ jsonrpc: '2.0', id: 1, method: 'initialize', params });
    path.upstream.last.answer('{"jsonrpc":"2.0","id":"$id","error":{"code":-32001,"message":"no"}}');
    expect(failed.json).toMatchObject({ id: 1, error: { code: -32001, message: 'no' } });
    const strange = await path.post({ jsonrpc: '2.0', id: 2, method: 'initialize', params });
    path.upstream.last.result({ protocolVersion: '3000-01-01', capabilities: {} });
    expect(strange.json).toMatchObject({ id: 2, error: { code: -32603 } });
    for (const { headers } of [failed, strange]) expect(headers['mcp-session-id']).toBeUndefined();
  });

  it('does not promise lists of tasks, which cannot be told apart by caller', async () => {
    const path = new RequestPath();
    const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'c', version: '1' } };
    const exchange = await path.post({ jsonrpc: '2.0', id: 1, method: 'initialize', params });
    const capabilities = {
      tasks: { list: {}, cancel: {} },
      tools: { listChanged: true },
      logging: {},
      experimental: { x: 1 },
    };
    path.upstream.last.result({ protocolVersion: '2025-11-25', capabilities, serverInfo: { name: 's' }, other: [1] });
    expect(exchange.json).toEqual({
      jsonrpc: '2.0',
      id: 1,
      result: {
        protocolVersion: '2025-11-25',
        capabilities: { tasks: { cancel: {} }, tools: { listChanged: true }, logging: {}, experimental: { x: 1 } },
        serverInfo: { name: 's' },
        other: [1],
      },
    });
  });

  it('is begun by what a server of the modern era alone says about itself', async () => {
    const path = new RequestPath();
    const params = {
      protocolVersion: '2025-06-18',
      capabilities: { roots: {} },
      clientInfo: { name: 'c', version: '1' },
    };
    const exchange = await path.post({ jsonrpc: '2.0', id: 1, method: 'initialize', params });
    path.upstream.last.answer({ jsonrpc: '2.0', id: '$id', error: { code: -32601, message: 'no' } }, { status: 404 });
    expect(path.upstream.last.message).toMatchObject({ method: 'server/discover' });
    const serverInfo = { name: 's', version: '2' };
    path.upstream.last.result({
      ...{ resultType: 'complete', supportedVersions: ['2026-07-28'], capabilities: { tools: {} }, instructions: 'i' },
      _meta: { 'io.modelcontextprotocol/serverInfo': serverInfo },
    });
    const result = { protocolVersion: '2025-06-18', capabilities: { tools: {} }, serverInfo, instructions: 'i' };
    expect(exchange.json).toEqual({ jsonrpc: '2.0', id: 1, result });
    const session = {
      'mcp-session-id': exchange.headers['mcp-session-id'] ?? '',
      'mcp-protocol-version': '2025-06-18',
    };
    const call = await path.request(session, 'tools/call', { name: 'echo' }, 7);
    const _meta = {
      'io.modelcontextprotocol/protocolVersion': '2026-07-28',
      'io.modelcontextprotocol/clientCapabilities': { roots: {} },
      'io.modelcontextprotocol/clientInfo': { name: 'c', version: '1' },
    };
    expect(path.upstream.last.message).toMatchObject({ method: 'tools/call', params: { name: 'echo', _meta } });
    path.upstream.last.result({ resultType: 'complete', content: [] });
    expect(call.json).toEqual({ jsonrpc: '2.0', id: 7, result: { content: [] } });
  });

  it('tells a client plainly that the upstream is of the modern era only, when that does not say what it is', async () => {
    const path = new RequestPath();
    const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'c', version: '1' } };
    const exchange = await path.post({ jsonrpc: '2.0', id: 1, method: 'initialize', params });
    const error = {
      code: -32022,
      message: 'Unsupported',
      data: { supported: ['2026-07-28'], requested: '2025-11-25' },
    };
    path.upstream.last.answer({ jsonrpc: '2.0', id: '$id', error }, { status: 400 });
    path.upstream.last.answer({ jsonrpc: '2.0', id: '$id', error: { code: -32601, message: 'no' } }, { status: 404 });
    expect(exchange.status).toBe(200);
    expect(exchange.json).toMatchObject({
      id: 1,
      error: { code: -32602, data: { supported: ['2026-07-28'], requested: '2025-11-25' } },
    });
  });

  it('speaks its own version: another one is refused with 400, none stands for it', async () => {
    const path = new RequestPath();
    const session = await path.initialize({ version: '2025-06-18' });
    const sent = path.upstream.calls.length;
    for (const version of ['1999-01-01', '2025-11-25', '2025-03-26']) {
      const refused = await path.request({ ...session, 'mcp-protocol-version': version }, 'ping');
      expect([refused.status, refused.json]).toMatchObject([400, { error: { code: -32000 } }]);
    }
    expect(path.upstream.calls).toHaveLength(sent);
    const silent = await path.request({ ...session, 'mcp-protocol-version': '' }, 'ping');
    expect(path.upstream.last.header('mcp-protocol-version')).toBe('2025-06-18');
    path.upstream.last.result({});
    expect(silent.status).toBe(200);
  });

  it('gets one answer when a cancellation and its result cross, and the request is in flight no more', async () => {
    const path = new RequestPath();
    const session = await path.initialize();
    const cancel = () =>
      path.post('{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}', session);
    const exchange = await path.request(session, 'tools/call', { name: 'echo' }, 7);
    const call = path.upstream.last;
    const cancelled = cancel();
    call.result({ content: [] });
    await cancelled;
    call.end();
    expect([exchange.answers, exchange.json]).toMatchObject([1, { id: 7, result: { content: [] } }]);
    expect(path.events.filter(({ method }) => method === 'tools/call')).toHaveLength(1);
    const sent = path.upstream.calls.length;
    expect((await cancel()).status).toBe(202);
    expect(path.upstream.calls).toHaveLength(sent);
  });

  it('gets a cancellation through to the request that it names, under the id that the upstream knows', async () => {
    const path = new RequestPath();
    const session = await path.initialize();
    await path.request(session, 'tools/call', { name: 'echo' }, 7);
    const call = path.upstream.last;
    const cancelled = await path.post(
      '{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}',
      session,
    );
    expect(path.upstream.last.message).toMatchObject({
      method: 'notifications/cancelled',
      params: { requestId: call.message.id },
    });
    path.upstream.last.head(202);
    expect(cancelled.status).toBe(202);
  });

  it('accepts cancellations of unknown, finished, ambiguous or foreign requests, and cancels nothing', async () => {
    const path = new RequestPath();
    const session = await path.initialize();
    const other = await path.initialize({ key: 'bob-key', upstreamSession: 'upstream-2' });
    await path.request(other, 'tools/call', { name: 'echo' }, 5);
    await path.request(session, 'tools/call', { name: 'echo' }, 8);
    path.upstream.last.result({});
    await path.request(session, 'tools/call', { name: 'echo' }, 9);
    await path.request(session, 'tools/call', { name: 'echo' }, 9);
    const sent = path.upstream.calls.length;
    for (const requestId of [5, 8, 9, '9', 1234, { a: 1 }, null]) {
      const exchange = await path.post(
        { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId } },
        session,
      );
      expect(exchange.status).toBe(202);
    }
    expect((await path.post({ jsonrpc: '2.0', method: 'notifications/cancelled' }, session)).status).toBe(202);
    expect(path.upstream.calls).toHaveLength(sent);
  });

  it('forgets the oldest opened ids beyond the bound, and opens them again', async () => {
    const path = new RequestPath({ limits: { openedSessions: 2 } });
    const sessions = [];
    for (let i = 0; i < 5; i += 1) sessions.push(await path.initialize({ upstreamSession: `upstream-${i}` }));
    for (const [i, session] of sessions.entries()) {
      await path.request(session, 'ping');
      expect(path.upstream.last.header('mcp-session-id')).toBe(`upstream-${i}`);
    }
  });
});

describe('a request path without a table', () => {
  it('answers 503 until there is one', async () => {
    const path = new RequestPath({ noTable: true });
    const early = await path.post({ jsonrpc: '2.0', id: 1, method: 'ping' });
    expect(early.status).toBe(503);
    path.tables.swap(tableOf());
    const later = await path.initialize();
    expect(later['mcp-session-id']).toBeDefined();
  });
});
