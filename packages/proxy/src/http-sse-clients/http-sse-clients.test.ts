import { describe, expect, it } from 'vitest';
import type { FakeExchange } from '../testing/fake-exchange.ts';
import { RequestPath, type RequestPathOptions } from '../testing/request-path.ts';

/** A client of 2024-11-05 with its stream open. */
class OldClient {
  readonly path: RequestPath;
  readonly stream: FakeExchange;
  readonly #key: string;

  constructor(path: RequestPath, key = 'alice-key') {
    this.path = path;
    this.#key = key;
    this.stream = path.send({
      method: 'GET',
      headers: { authorization: `Bearer ${key}`, accept: 'text/event-stream' },
    });
  }

  get endpoint(): string {
    return /^event: endpoint\ndata: (.*)\n\n/.exec(this.stream.text)?.[1] ?? '';
  }

  /** Messages on the stream. */
  get messages(): readonly unknown[] {
    const data = [...this.stream.text.matchAll(/^data: (\{.*)$/gm)].map(([, json = '']) => json);
    return data.map((json) => JSON.parse(json) as unknown);
  }

  async post(message: unknown, { key = this.#key, endpoint = this.endpoint } = {}): Promise<FakeExchange> {
    const [path = '', query = ''] = endpoint.split('?');
    const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json', accept: '*/*' };
    const exchange = this.path.send({ path, query, headers, body: JSON.stringify(message) });
    await this.path.settled();
    return exchange;
  }

  async begin(): Promise<void> {
    const params = { protocolVersion: '2024-11-05', capabilities: {}, clientInfo: { name: 'old', version: '1' } };
    await this.post({ jsonrpc: '2.0', id: 0, method: 'initialize', params });
    this.path.upstream.last.result(
      { protocolVersion: '2024-11-05', capabilities: { tools: {} }, serverInfo: { name: 's', version: '1' } },
      { 'mcp-session-id': 'upstream-1' },
    );
    await this.path.settled();
    const initialized = this.post({ jsonrpc: '2.0', method: 'notifications/initialized' });
    await this.path.settled();
    this.path.upstream.calls.findLast(({ message }) => message.method === 'notifications/initialized')?.head(202);
    if ((await initialized).status !== 202) throw new Error('the notification was refused');
  }

  /** The gateway's GET stream for it at the server. */
  listening() {
    const call = this.path.upstream.calls.findLast(({ request }) => request.method === 'GET');
    if (!call) throw new Error('nobody listens');
    return call;
  }
}

const connect = (options: RequestPathOptions = {}): OldClient =>
  new OldClient(new RequestPath({ ...options, limits: { httpSseClients: true, ...options.limits } }));

describe('a client of 2024-11-05', () => {
  it('is not served unless a setting says so', () => {
    expect(new OldClient(new RequestPath()).stream.status).toBe(400);
  });

  it('posts where its stream says, and is answered there, in a session of its own', async () => {
    const client = connect();
    expect(client.endpoint).toMatch(/^\/acme\/assistant\/mcp\?sse=[\w-]{24}$/);
    await client.begin();
    expect(client.stream.text).toContain('"protocolVersion":"2024-11-05"');
    const posted = await client.post({ jsonrpc: '2.0', id: 'c', method: 'tools/call', params: { name: 'echo' } });
    const call = client.path.upstream.last;
    expect([posted.status, posted.text, call.header('mcp-session-id')]).toEqual([202, '', 'upstream-1']);
    call.openEvents();
    call.event({ jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken: 1, progress: 1 } });
    call.resultEvent({ content: [] });
    call.end();
    await client.post({ jsonrpc: '2.0', id: 2, method: 'tools/call', params: { name: 'echo' } });
    client.path.upstream.last.result({ content: ['x'.repeat(100_000)] });
    expect(client.messages.slice(-3)).toMatchObject([
      { method: 'notifications/progress' },
      { id: 'c', result: { content: [] } },
      { id: 2, result: { content: ['x'.repeat(100_000)] } },
    ]);
    expect(client.path.events.map(({ method, status }) => `${method} ${status}`)).toEqual([
      ...['initialize 200', 'notifications/initialized 202', 'tools/call 200', 'tools/call 200'],
    ]);
  });

  it('hears what the server says unasked, and is asked within its calls', async () => {
    const client = connect();
    await client.begin();
    const listening = client.listening();
    listening.openEvents();
    listening.event({ jsonrpc: '2.0', method: 'notifications/tools/list_changed' });
    await client.post({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'echo' } });
    const call = client.path.upstream.last;
    call.openEvents();
    call.event({ jsonrpc: '2.0', id: 5, method: 'sampling/createMessage', params: {} });
    expect(client.messages.slice(-2)).toMatchObject([
      { method: 'notifications/tools/list_changed' },
      { method: 'sampling/createMessage' },
    ]);
    const answered = client.post({ jsonrpc: '2.0', id: 5, result: {} });
    await client.path.settled();
    expect(client.path.upstream.last.message).toEqual({ jsonrpc: '2.0', id: 5, result: {} });
    expect((await answered).status).toBe(202);
  });

  it('is refused in its stream what policy denies, by HTTP what is no message, and everything for an endpoint that is not its own', async () => {
    const client = connect();
    await client.begin();
    const sent = client.path.upstream.calls.length;
    const denied = await client.post({ jsonrpc: '2.0', id: 3, method: 'tools/call', params: { name: 'hidden' } });
    expect([denied.status, client.messages.at(-1)]).toMatchObject([202, { id: 3, error: { code: -32602 } }]);
    expect((await client.post([])).status).toBe(400);
    const ping = { jsonrpc: '2.0', id: 4, method: 'ping' };
    const initialize = { jsonrpc: '2.0', id: 5, method: 'initialize', params: {} };
    for (const message of [ping, initialize]) {
      expect((await client.post(message, { key: 'bob-key' })).status).toBe(404);
      expect((await client.post(message, { endpoint: '/acme/assistant/mcp?sse=unknown' })).status).toBe(404);
    }
    expect((await client.post(ping, { key: 'wrong' })).status).toBe(401);
    expect(client.path.upstream.calls).toHaveLength(sent);
    expect(client.messages.at(-1)).toMatchObject({ id: 3 });
  });

  it('ends its session when it leaves: at the server, and for whoever posts', async () => {
    const client = connect();
    await client.begin();
    const listening = client.listening();
    listening.openEvents();
    const { endpoint } = client;
    client.stream.leave();
    await client.path.settled();
    expect(listening.aborted).toBe(true);
    expect([client.path.upstream.last.request.method, client.path.upstream.last.header('mcp-session-id')]).toEqual([
      ...['DELETE', 'upstream-1'],
    ]);
    expect((await client.post({ jsonrpc: '2.0', id: 1, method: 'ping' }, { endpoint })).status).toBe(404);
    expect(client.path.streams.size).toBe(0);
  });

  it('loses its stream with its permission, and is told to come back when the node stops', async () => {
    const client = connect();
    await client.path.swap({ apiKeys: { 'bob-key': 'bob' } });
    expect([client.stream.ended, client.messages.at(-1)]).toMatchObject([true, { method: 'notifications/message' }]);
    const other = connect();
    await other.path.streams.drain(0, AbortSignal.abort());
    await other.path.settled();
    expect([other.stream.ended, other.stream.text]).toMatchObject([true, expect.stringContaining('retry: ')]);
  });
});
