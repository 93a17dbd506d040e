import {
  feedUri,
  gateway,
  mcpRoute,
  type ModernMcpServer,
  modernVersion,
  RawMcpClient,
  startModernMcpServer,
  startSystem,
  type System,
  tenant,
} from '@signalbox/test-harness';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';

const subscriptionId = 'io.modelcontextprotocol/subscriptionId';

describe('a client and an upstream of the modern era', () => {
  let upstream: ModernMcpServer;
  let system: System;
  let client: RawMcpClient;

  beforeAll(async () => {
    upstream = await startModernMcpServer();
    system = await startSystem({ pgUrl: inject('pgUrl') });
    await system.apply([
      gateway(),
      tenant(),
      ...mcpRoute({ name: 'assistant', url: upstream.url, keys: { alice: 'alice-key' }, rules: ['true'] }),
    ]);
    client = new RawMcpClient({ url: system.endpoint('acme', 'assistant'), token: 'alice-key' });
  });

  afterAll(async () => {
    await system.stop();
    await upstream.stop();
  });

  it('discovers, lists tools and calls one', async () => {
    const discovered = await client.modern('server/discover');
    expect(discovered.message?.result).toMatchObject({
      supportedVersions: [modernVersion],
      capabilities: { tools: {} },
    });
    expect(await client.toolNamesModern()).toEqual(['echo', 'slow_progress', 'hidden']);
    const answer = await client.callModern('echo', { text: 'hello' });
    expect(answer.result).toMatchObject({ resultType: 'complete', content: [{ type: 'text', text: 'hello' }] });
  });

  it('sends the envelope and the standard headers on, and no credential', async () => {
    await client.modern('tools/call', {
      name: 'echo',
      arguments: {},
      _meta: { traceparent: `00-${'1'.repeat(32)}-${'2'.repeat(16)}-01`, 'example.org/x': 1 },
    });
    const call = upstream.requests.items.findLast((request) => request.rpcMethod === 'tools/call');
    expect(call?.headers).toMatchObject({
      'mcp-protocol-version': modernVersion,
      'mcp-method': 'tools/call',
      'mcp-name': 'echo',
    });
    expect(call?.headers.authorization).toBeUndefined();
    const meta = (JSON.parse(call?.body ?? '{}') as { params: { _meta: Record<string, unknown> } }).params._meta;
    expect(meta).toMatchObject({ 'io.modelcontextprotocol/protocolVersion': modernVersion, 'example.org/x': 1 });
  });

  it('cancels the call at the upstream when the client leaves its stream', async () => {
    const answer = client.modern('tools/call', {
      name: 'slow_progress',
      arguments: { key: 'left' },
      _meta: { progressToken: 1 },
    });
    const held = await upstream.held.withKey('left');
    await held.emit(1);
    const { stream } = await answer;
    await stream?.messages.atLeast(1);
    const aborted = new Promise<void>((resolve) => held.signal.addEventListener('abort', () => resolve()));
    stream?.close();
    await aborted;
    expect(held.signal.aborted).toBe(true);
  });

  it('serves subscriptions/listen under the id of the client', async () => {
    const notifications = { toolsListChanged: true, resourceSubscriptions: [feedUri] };
    const message = {
      jsonrpc: '2.0',
      id: 'my-listen',
      method: 'subscriptions/listen',
      params: { notifications, _meta: envelope },
    };
    const headers = { 'mcp-protocol-version': modernVersion, 'mcp-method': 'subscriptions/listen' };
    const { stream } = await client.post(message, headers);
    const acknowledged = await stream?.messages.first(
      'the acknowledgement',
      ({ method }) => method === 'notifications/subscriptions/acknowledged',
    );
    expect(acknowledged?.params).toMatchObject({ notifications, _meta: { [subscriptionId]: 'my-listen' } });
    for (let n = 1; n <= 5; n += 1) upstream.notifyAll(n);
    const updates = (await stream?.messages.atLeast(6))?.slice(1);
    expect(updates?.map(({ params }) => params?.['_meta'])).toEqual(
      [1, 2, 3, 4, 5].map((n) => ({ n, [subscriptionId]: 'my-listen' })),
    );
    stream?.close();
  });

  it('neither needs nor gives a session', async () => {
    const answer = await client.modern('tools/list', {}, { 'mcp-session-id': 'made-up' });
    expect(answer.status).toBe(200);
    expect(answer.headers['mcp-session-id']).toBeUndefined();
  });

  it('knows no GET and no DELETE', async () => {
    const headers = { 'mcp-protocol-version': modernVersion };
    expect((await client.get(headers)).status).toBe(405);
    expect((await client.send('DELETE', undefined, headers)).status).toBe(405);
  });

  it.each([
    [
      'a version that is not supported',
      { 'io.modelcontextprotocol/protocolVersion': '2099-01-01' },
      { 'mcp-protocol-version': '2099-01-01' },
      [400, -32022],
    ],
    ['a version header unlike the body', {}, { 'mcp-protocol-version': '2099-01-01' }, [400, -32020]],
    ['a method header unlike the body', {}, { 'mcp-method': 'tools/call' }, [400, -32020]],
    ['no method header', {}, { 'mcp-method': '' }, [400, -32020]],
  ])('refuses %s', async (_name, meta, headers, expected) => {
    const before = upstream.requests.items.length;
    const answer = await client.modern('tools/list', { _meta: meta }, headers);
    expect([answer.status, answer.message?.error?.code]).toEqual(expected);
    expect(upstream.requests.items).toHaveLength(before);
  });

  it('answers 404 and -32601 for a method of the other era, even for a whole envelope', async () => {
    const answer = await client.modern('initialize');
    expect([answer.status, answer.message?.error?.code]).toEqual([404, -32601]);
  });

  it('refuses a name header that names another tool than the body', async () => {
    const before = upstream.requests.items.length;
    const answer = await client.modern('tools/call', { name: 'hidden' }, { 'mcp-name': 'echo' });
    expect([answer.status, answer.message?.error?.code]).toEqual([400, -32020]);
    expect(upstream.requests.items).toHaveLength(before);
  });
});

const envelope = {
  'io.modelcontextprotocol/protocolVersion': modernVersion,
  'io.modelcontextprotocol/clientCapabilities': {},
};
