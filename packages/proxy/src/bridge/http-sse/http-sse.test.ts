import { McpBackend_Transport } from '@signalbox/proto/signalbox/config/v1/backend_pb.ts';
import { describe, expect, it } from 'vitest';
import type { FakeUpstreamCall } from '../../testing/fake-upstream.ts';
import { RequestPath, type RequestPathOptions } from '../../testing/request-path.ts';

const limits = { headMs: 1_000, handles: { stateMs: 1, tasks: 1 } };

/** A server of 2024-11-05 behind the gateway, answered by hand. */
class OldServer {
  readonly path: RequestPath;
  /** GET streams that are open, the newest last. */
  readonly streams: FakeUpstreamCall[] = [];
  /** Messages that were posted to the endpoint. */
  readonly posted: FakeUpstreamCall[] = [];
  endpoint = '/messages?session=1';
  takesPosts = 405;

  constructor(options: RequestPathOptions = {}) {
    this.path = new RequestPath({ limits, ...options });
    this.path.upstream.onCall = (call) => this.#serve(call);
  }

  #serve(call: FakeUpstreamCall): void {
    const { method, target } = call.request;
    if (method === 'GET') {
      this.streams.push(call);
      call.openEvents();
      call.data(`event: endpoint\ndata: ${this.endpoint}\n\n`);
    } else if (target === '/mcp') {
      queueMicrotask(() =>
        call.answer('<html>', { status: this.takesPosts, headers: { 'content-type': 'text/html' } }),
      );
    } else {
      this.posted.push(call);
      queueMicrotask(() => call.answer('Accepted', { status: 202, headers: { 'content-type': 'text/plain' } }));
      if (call.message.method === 'initialize') this.#welcome(call);
    }
  }

  #welcome(call: FakeUpstreamCall): void {
    const capabilities = { tools: {}, logging: {}, resources: { subscribe: true } };
    const result = { protocolVersion: '2024-11-05', capabilities, serverInfo: { name: 'old', version: '1' } };
    this.say({ jsonrpc: '2.0', id: call.message.id, result });
  }

  say(message: object): void {
    this.streams.at(-1)?.data(`event: message\ndata: ${JSON.stringify(message)}\n\n`);
  }

  get last(): FakeUpstreamCall {
    return this.posted.at(-1) as FakeUpstreamCall;
  }

  async begin(key = 'alice-key', version = '2025-11-25'): Promise<Record<string, string>> {
    const params = { protocolVersion: version, capabilities: {}, clientInfo: { name: 'c', version: '1' } };
    const headers = { authorization: `Bearer ${key}` };
    const exchange = await this.path.post({ jsonrpc: '2.0', id: 0, method: 'initialize', params }, headers);
    const id = exchange.headers['mcp-session-id'];
    if (id === undefined || !exchange.text.includes(`"${version}"`)) throw new Error(`no session: ${exchange.text}`);
    return { ...headers, 'mcp-session-id': id, 'mcp-protocol-version': version };
  }

  modern(params: Record<string, unknown>, options: { id?: unknown; meta?: Record<string, unknown> } = {}) {
    return this.path.modern('tools/call', params, { ...options, probe: false });
  }
}

/** The progress token that the server was given. */
function tokenOf({ message }: FakeUpstreamCall): unknown {
  const meta = message.params?.['_meta'] as { progressToken?: unknown } | undefined;
  return meta?.progressToken;
}

const progress = (progressToken: unknown, value: number) => ({
  jsonrpc: '2.0',
  method: 'notifications/progress',
  params: { progressToken, progress: value },
});

describe('a server of 2024-11-05', () => {
  it('is found by its endpoint event where a POST is refused, and has sessions for legacy clients', async () => {
    const server = new OldServer();
    const session = await server.begin();
    expect(server.path.upstream.calls.map(({ request }) => [request.method, request.target])).toEqual([
      ...[
        ['POST', '/mcp'],
        ['GET', '/mcp'],
        ['POST', '/messages?session=1'],
      ],
    ]);
    const exchange = await server.path.request(session, 'tools/call', { name: 'echo' }, 'mine');
    expect(server.last.request.target).toBe('/messages?session=1');
    server.say({ jsonrpc: '2.0', id: server.last.message.id, result: { content: [] } });
    expect(exchange.json).toEqual({ jsonrpc: '2.0', id: 'mine', result: { content: [] } });
    await server.begin('bob-key');
    expect(server.path.upstream.calls.filter(({ request }) => request.target === '/mcp')).toHaveLength(3);
  });

  it('is never posted to at its url when its transport is declared, by clients of either era', async () => {
    const server = new OldServer({ transport: McpBackend_Transport.HTTP_SSE });
    const asked = () =>
      server.path.upstream.calls
        .filter(({ request }) => request.target === '/mcp')
        .map(({ request }) => request.method);
    await server.begin();
    expect(asked()).toEqual(['GET']);
    const exchange = await server.modern({ name: 'echo' }, { id: 'm' });
    await server.path.settled();
    server.say({ jsonrpc: '2.0', id: server.last.message.id, result: { content: [] } });
    expect(exchange.json).toMatchObject({ id: 'm', result: { content: [] } });
    expect(asked()).toEqual(['GET', 'GET']);
  });

  it('is not looked for where the transport is declared to be the other one', async () => {
    const server = new OldServer({ transport: McpBackend_Transport.STREAMABLE_HTTP });
    await expect(server.begin()).rejects.toThrow('no session');
    expect(server.streams).toEqual([]);
  });

  it('that is declared, and offers no stream, is an error and nothing else is tried', async () => {
    const server = new OldServer({ transport: McpBackend_Transport.HTTP_SSE });
    server.path.upstream.onCall = (call) => queueMicrotask(() => call.answer('', { status: 404 }));
    await expect(server.begin()).rejects.toThrow('no session');
    expect(server.path.upstream.calls.map(({ request }) => request.method)).toEqual(['GET']);
  });

  it('serves a modern client, with progress and cancellation', async () => {
    const server = new OldServer();
    const exchange = await server.modern({ name: 'echo', _meta: {} }, { id: 'm', meta: { progressToken: 7 } });
    await server.path.settled();
    const { last } = server;
    expect(last.message).toMatchObject({ method: 'tools/call', params: { name: 'echo' } });
    const token = tokenOf(last);
    server.say(progress(token, 1));
    server.say({ jsonrpc: '2.0', id: last.message.id, result: { content: [] } });
    expect(exchange.events).toEqual([
      progress(7, 1),
      { jsonrpc: '2.0', id: 'm', result: { resultType: 'complete', content: [] } },
    ]);
    const left = await server.modern({ name: 'echo' });
    await server.path.settled();
    const call = server.last;
    left.leave();
    await server.path.settled();
    expect(server.last.message).toMatchObject({
      method: 'notifications/cancelled',
      params: { requestId: call.message.id },
    });
  });

  it('is asked by a hundred callers with one progress token; each hears of its own call, in order, until it is done', async () => {
    const server = new OldServer();
    const count = 100;
    const exchanges = [];
    for (let at = 0; at < count; at += 1) {
      exchanges.push(await server.modern({ name: 'echo' }, { id: 1, meta: { progressToken: 1 } }));
    }
    await server.path.settled();
    const calls = server.posted.filter(({ message }) => message.method === 'tools/call');
    expect([calls.length, server.streams.length]).toEqual([count, 1]);
    const tokens = calls.map(tokenOf);
    for (const value of [1, 2])
      for (const [at, token] of tokens.entries()) server.say(progress(token, value * 1_000 + at));
    for (const { message } of calls) server.say({ jsonrpc: '2.0', id: message.id, result: { content: [] } });
    for (const token of tokens) server.say(progress(token, 3));
    for (const [at, exchange] of exchanges.entries()) {
      expect(exchange.events).toEqual([
        ...[progress(1, 1_000 + at), progress(1, 2_000 + at)],
        { jsonrpc: '2.0', id: 1, result: { resultType: 'complete', content: [] } },
      ]);
    }
  });

  it('answers no more than a policy allows, though one stream carries all answers', async () => {
    const limits = ['Policy', 'small', { target: { tenant: {} }, limits: { responseBytes: '200' } }] as const;
    const server = new OldServer({ more: [limits] });
    const session = await server.begin();
    const small = await server.path.request(session, 'tools/call', { name: 'echo' });
    await server.path.settled();
    server.say({ jsonrpc: '2.0', id: server.last.message.id, result: { content: [] } });
    expect(small.text).toContain('"result"');
    const large = await server.path.request(session, 'tools/call', { name: 'echo' }, 2);
    await server.path.settled();
    server.say({ jsonrpc: '2.0', id: server.last.message.id, result: { content: [], more: 'x'.repeat(200) } });
    expect(large.text).toContain('too large');
    expect(server.path.events.at(-1)).toMatchObject({ error: 'upstream_too_large' });
  });

  it('asks within the newest call, is answered pings, and tells of changes on the GET stream', async () => {
    const server = new OldServer();
    const session = await server.begin();
    const stream = server.path.send({ method: 'GET', headers: { ...session, accept: 'text/event-stream' } });
    await server.path.settled();
    const call = await server.path.request(session, 'tools/call', { name: 'echo' });
    const { last } = server;
    server.say({ jsonrpc: '2.0', id: 5, method: 'sampling/createMessage', params: {} });
    await server.path.post({ jsonrpc: '2.0', id: 5, result: { role: 'assistant' } }, session);
    expect(server.last.message).toEqual({ jsonrpc: '2.0', id: 5, result: { role: 'assistant' } });
    server.say({ jsonrpc: '2.0', id: 6, method: 'ping' });
    expect(server.last.message).toEqual({ jsonrpc: '2.0', id: 6, result: {} });
    server.say({ jsonrpc: '2.0', method: 'notifications/tools/list_changed' });
    server.say({ jsonrpc: '2.0', id: last.message.id, result: { content: [] } });
    expect(call.events).toMatchObject([{ method: 'sampling/createMessage' }, { result: { content: [] } }]);
    expect(stream.events).toEqual([{ jsonrpc: '2.0', method: 'notifications/tools/list_changed' }]);
  });

  it('that breaks off its stream fails what is under way, and the session is begun again', async () => {
    const server = new OldServer();
    const session = await server.begin();
    const call = await server.path.request(session, 'tools/call', { name: 'echo' });
    server.streams[0]?.end();
    expect(call.json).toMatchObject({ id: 1, error: { code: -32603 } });
    expect((await server.path.request(session, 'tools/list')).status).toBe(404);
    const again = await server.begin();
    const listed = await server.path.request(again, 'tools/list');
    server.say({ jsonrpc: '2.0', id: server.last.message.id, result: { tools: [] } });
    expect(listed.json).toMatchObject({ result: { tools: [] } });
  });

  it('is left with the session, and when nobody has used it for a while', async () => {
    const server = new OldServer();
    const session = await server.begin();
    server.path.send({ method: 'DELETE', headers: session });
    await server.path.settled();
    expect(server.streams[0]?.aborted).toBe(true);
    await server.begin();
    await server.path.clock.advance(3 * 1_800_000);
    expect(server.streams[1]?.aborted).toBe(true);
  });

  it.each(['http://evil.example/messages', '//evil.example/messages', 'http://127.0.0.1:3009/messages'])(
    'with an endpoint at another origin is none, and is sent nothing: %s',
    async (endpoint) => {
      const server = new OldServer();
      server.endpoint = endpoint;
      const params = { protocolVersion: '2024-11-05', capabilities: {}, clientInfo: { name: 'c', version: '1' } };
      const exchange = await server.path.post({ jsonrpc: '2.0', id: 0, method: 'initialize', params });
      expect(exchange.json).toMatchObject({ error: { code: -32603 } });
      expect([server.posted, server.streams[0]?.aborted]).toEqual([[], true]);
    },
  );

  it('is not looked for where a POST is answered in JSON-RPC, or fails otherwise', async () => {
    for (const status of [401, 403, 429, 500]) {
      const server = new OldServer();
      server.takesPosts = status;
      await server.path.post({ jsonrpc: '2.0', id: 0, method: 'initialize', params: {} });
      expect(server.streams).toEqual([]);
    }
    const path = new RequestPath();
    path.upstream.onCall = (call) =>
      call.answer({ jsonrpc: '2.0', id: null, error: { code: -32000, message: 'no' } }, { status: 400 });
    await path.post({ jsonrpc: '2.0', id: 0, method: 'initialize', params: {} });
    expect(path.upstream.calls.map(({ request }) => request.method)).toEqual(['POST']);
  });
});
