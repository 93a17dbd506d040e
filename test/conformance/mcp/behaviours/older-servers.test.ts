import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { CreateMessageRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import {
  finalMessage,
  gateway,
  mcpRoute,
  type ProxyProcess,
  proxyReady,
  RawMcpClient,
  startProxyProcess,
  tenant,
  until,
  yaml,
} from '@signalbox/test-harness';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';

import { type HttpSseServer, startHttpSseServer } from '../fixture/http-sse-server.ts';

describe('a server of 2024-11-05 on the public SDK', () => {
  let folder: string;
  let server: HttpSseServer;
  let proxy: ProxyProcess;
  const clients: RawMcpClient[] = [];

  beforeAll(async () => {
    server = await startHttpSseServer();
    folder = await mkdtemp(join(tmpdir(), 'signalbox-older-'));
    const config = join(folder, 'signalbox.yaml');
    const route = mcpRoute({ name: 'old', url: server.url, anonymous: true, rules: ['true'] });
    await writeFile(config, yaml([gateway(), tenant(), ...route]));
    proxy = await startProxyProcess({ config, env: { SIGNALBOX_PROXY_HTTP_SSE_CLIENTS: 'true' } });
    await proxyReady(proxy);
  });

  afterEach(() => {
    for (const client of clients.splice(0)) client.close();
  });

  afterAll(async () => {
    await proxy.stop();
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  });

  const newClient = (): RawMcpClient => {
    const client = new RawMcpClient({ url: proxy.endpoint('acme', 'old') });
    clients.push(client);
    return client;
  };

  const counted = { content: [{ type: 'text', text: 'counted' }] };

  it('33. A modern client reaches a server of 2024-11-05: tools, progress under its own token, cancellation.', async () => {
    const client = newClient();
    expect(await client.toolNamesModern()).toEqual(['count', 'ask', 'hang']);
    const call = await client.modern('tools/call', { name: 'count', arguments: {}, _meta: { progressToken: 'mine' } });
    expect(await finalMessage(call)).toMatchObject({ result: { resultType: 'complete', ...counted } });
    const told = call.stream?.messages.items.filter(({ method }) => method === 'notifications/progress');
    expect(told?.map(({ params }) => params)).toEqual([
      { progressToken: 'mine', progress: 1 },
      { progressToken: 'mine', progress: 2 },
    ]);
    const leaving = newClient();
    const hanging = leaving.modern('tools/call', { name: 'hang', arguments: {} }).catch(() => undefined);
    await until('the call to be under way', () => (server.hanging() === 1 ? true : undefined));
    leaving.close();
    await hanging;
    await until('the cancellation', () => (server.cancelled() === 1 ? true : undefined));
    expect(server.hanging()).toBe(0);
  });

  it('33. A client of 2024-11-05 on the public SDK has the same, over HTTP+SSE on both sides.', async () => {
    const client = new Client({ name: 'old', version: '1.0.0' }, { capabilities: { sampling: {} } });
    client.setRequestHandler(CreateMessageRequestSchema, () => ({
      ...{ role: 'assistant' as const, model: 'm', content: { type: 'text' as const, text: 'Ada' } },
    }));
    const before = server.sessions();
    // The SDK's own types disagree under exactOptionalPropertyTypes.
    const transport = new SSEClientTransport(new URL(proxy.endpoint('acme', 'old'))) as Parameters<
      Client['connect']
    >[0];
    await client.connect(transport);
    expect((await client.listTools()).tools.map(({ name }) => name)).toEqual(['count', 'ask', 'hang']);
    expect(await client.callTool({ name: 'count' })).toEqual(counted);
    expect(await client.callTool({ name: 'ask' })).toEqual({ content: [{ type: 'text', text: 'Ada' }] });
    expect(server.sessions()).toBe(before + 1);
    await client.close();
    await until('the session to end', () => (server.sessions() === before ? true : undefined));
  });

  it('33. A legacy client has a session with it, is asked within its call, and ends it.', async () => {
    const client = newClient();
    const answer = await client.initialize({ capabilities: { sampling: {} } });
    expect(answer.message?.result).toMatchObject({ protocolVersion: '2025-11-25', serverInfo: { name: 'http-sse' } });
    const before = server.sessions();
    expect(await client.toolNames()).toEqual(['count', 'ask', 'hang']);
    const call = await client.rpc('tools/call', { name: 'ask' });
    const question = await call.stream!.messages.first(
      'a question',
      ({ method }) => method === 'sampling/createMessage',
    );
    const content = { type: 'text', text: 'Ada' };
    await client.post({ jsonrpc: '2.0', id: question.id, result: { role: 'assistant', model: 'm', content } });
    expect((await finalMessage(call)).result).toEqual({ content: [content] });
    expect((await client.delete()).status).toBeLessThan(300);
    await until('the session to end', () => (server.sessions() === before - 1 ? true : undefined));
  });
});
