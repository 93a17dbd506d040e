import {
  finalMessage,
  gateway,
  type LegacyMcpServer,
  mcpRoute,
  RawMcpClient,
  startLegacyMcpServer,
  startSystem,
  type System,
  tenant,
} from '@signalbox/test-harness';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';

describe('a client and an upstream of the legacy era', () => {
  let upstream: LegacyMcpServer;
  let system: System;
  let url: string;

  beforeAll(async () => {
    upstream = await startLegacyMcpServer();
    system = await startSystem({ pgUrl: inject('pgUrl') });
    await system.apply([
      gateway(),
      tenant(),
      ...mcpRoute({ name: 'assistant', url: upstream.url, keys: { alice: 'alice-key' }, rules: ['true'] }),
    ]);
    url = system.endpoint('acme', 'assistant');
  });

  afterAll(async () => {
    await system.stop();
    await upstream.stop();
  });

  const connect = async (): Promise<RawMcpClient> => {
    const client = new RawMcpClient({ url, token: 'alice-key' });
    expect((await client.initialize()).status).toBe(200);
    return client;
  };

  it('lists tools and calls one', async () => {
    const client = await connect();
    expect(await client.toolNames()).toEqual(['echo', 'slow_progress', 'hidden']);
    const answer = await client.call('echo', { text: 'hello' });
    expect(answer.result).toEqual({ content: [{ type: 'text', text: 'hello' }] });
  });

  it('gives the client a session id of its own and the upstream its own, and no credential', async () => {
    const client = await connect();
    await client.call('echo', { text: 'who is there' });
    const call = upstream.requests.items.findLast((request) => request.rpcMethod === 'tools/call');
    expect(client.session).toMatch(/^[\x21-\x7e]+$/);
    expect(upstream.sessions()).toContain(call?.headers['mcp-session-id']);
    expect(call?.headers['mcp-session-id']).not.toBe(client.session);
    expect(call?.headers.authorization).toBeUndefined();
    expect(JSON.stringify(call)).not.toContain('alice-key');
  });

  it('echoes ids with their type', async () => {
    const client = await connect();
    for (const id of [1, '1', -7, 'ünïcode ✓', 9_007_199_254_740_991]) {
      const message = { jsonrpc: '2.0', id, method: 'tools/call', params: { name: 'echo', arguments: { text: 'x' } } };
      expect((await finalMessage(await client.post(message))).id).toBe(id);
    }
  });

  it('gives each of two calls with the same id its own result', async () => {
    const client = await connect();
    const call = (key: string) =>
      client.post({
        jsonrpc: '2.0',
        id: 7,
        method: 'tools/call',
        params: { name: 'slow_progress', arguments: { key } },
      });
    const [first, second] = [call('same-id-a'), call('same-id-b')];
    const [a, b] = await Promise.all([upstream.held.withKey('same-id-a'), upstream.held.withKey('same-id-b')]);
    b.finish('answer of b');
    expect((await finalMessage(await second)).result).toEqual({ content: [{ type: 'text', text: 'answer of b' }] });
    a.finish('answer of a');
    expect((await finalMessage(await first)).result).toEqual({ content: [{ type: 'text', text: 'answer of a' }] });
  });

  it('passes progress on while the call runs, and keeps the token', async () => {
    const client = await connect();
    const params = { name: 'slow_progress', arguments: { key: 'progress' }, _meta: { progressToken: 'token-1' } };
    const answer = client.rpc('tools/call', params);
    const held = await upstream.held.withKey('progress');
    await held.emit(1);
    const { stream } = await answer;
    await stream?.messages.atLeast(1);
    await held.emit(2);
    const progress = await stream?.messages.atLeast(2);
    expect(progress?.map((message) => message.params)).toEqual([
      { progressToken: 'token-1', progress: 1 },
      { progressToken: 'token-1', progress: 2 },
    ]);
    held.finish('done');
    expect(await stream?.ended).toBe('end');
    expect(stream?.messages.items).toHaveLength(3);
  });

  it('cancels a call at the upstream when the client says so', async () => {
    const client = await connect();
    const params = { name: 'slow_progress', arguments: { key: 'cancelled' }, _meta: { progressToken: 1 } };
    const answer = client.post({ jsonrpc: '2.0', id: 'to-cancel', method: 'tools/call', params });
    const held = await upstream.held.withKey('cancelled');
    await held.emit(1);
    const { stream } = await answer;
    await stream?.messages.atLeast(1);
    const aborted = new Promise<void>((resolve) => held.signal.addEventListener('abort', () => resolve()));
    const cancelled = await client.notify('notifications/cancelled', {
      requestId: 'to-cancel',
      reason: 'changed my mind',
    });
    expect(cancelled.status).toBe(202);
    await aborted;
    held.finish('too late');
    expect(stream?.messages.items).toHaveLength(1);
    stream?.close();
  });

  it('delivers what the upstream sends by itself on the GET stream, once and in order', async () => {
    const client = await connect();
    const { status, stream } = await client.get();
    expect(status).toBe(200);
    const mine = await upstreamSessionOf(client);
    for (let n = 1; n <= 20; n += 1) await upstream.notify(mine, n);
    const messages = await stream?.messages.atLeast(20);
    expect(messages?.map((message) => message.params?.['data'])).toEqual(Array.from({ length: 20 }, (_, i) => i + 1));
    stream?.close();
  });

  it('ends the session at both ends on DELETE', async () => {
    const client = await connect();
    const mine = await upstreamSessionOf(client);
    expect((await client.delete()).status).toBeLessThan(300);
    expect((await client.rpc('tools/list')).status).toBe(404);
    await upstream.requests.first(
      'the DELETE',
      ({ method, headers }) => method === 'DELETE' && headers['mcp-session-id'] === mine,
    );
    expect(upstream.sessions()).not.toContain(mine);
  });

  it('keeps fields that it does not know', async () => {
    const client = await connect();
    const params = {
      name: 'echo',
      arguments: { text: 'x' },
      _meta: { 'example.org/unknown': { deep: [1, 2.5, 'é'] } },
    };
    await finalMessage(await client.rpc('tools/call', params));
    const call = upstream.requests.items.findLast((request) => request.rpcMethod === 'tools/call');
    expect(JSON.parse(call?.body ?? '{}')).toMatchObject({ params });
  });

  it('carries prompts and resources', async () => {
    const client = await connect();
    expect((await finalMessage(await client.rpc('prompts/get', { name: 'greeting' }))).result).toMatchObject({
      messages: [{ content: { text: 'hello' } }],
    });
    expect((await finalMessage(await client.rpc('resources/read', { uri: 'test://readme' }))).result).toMatchObject({
      contents: [{ uri: 'test://readme', text: 'read me' }],
    });
  });

  /** The upstream's session behind a client's: the one that its next call arrives on. */
  const upstreamSessionOf = async (client: RawMcpClient): Promise<string> => {
    const mark = `mark-${Math.random()}`;
    await client.call('echo', { text: mark });
    const call = upstream.requests.items.find((request) => request.body.includes(mark));
    return call?.headers['mcp-session-id'] as string;
  };
});
