import { Client as ModernClient, StreamableHTTPClientTransport as ModernTransport } from '@modelcontextprotocol/client';
import { Client as LegacyClient } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as LegacyTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { ToolListChangedNotificationSchema } from '@modelcontextprotocol/sdk/types.js';
import { freePort, gateway, Inbox, mcpRoute, policy, startSystem, type System, tenant } from '@signalbox/test-harness';
import { startEverythingServer } from 'signalbox/bundled/demo-servers';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';

const keys = { alice: 'alice-key' };
const requestInit = { headers: { authorization: 'Bearer alice-key' } };

describe('the public SDK clients and server-everything', () => {
  let everything: Awaited<ReturnType<typeof startEverythingServer>>;
  let system: System;
  let url: URL;

  beforeAll(async () => {
    const port = await freePort();
    everything = await startEverythingServer({ port, searchPath: process.env['PATH'] ?? '' });
    system = await startSystem({ pgUrl: inject('pgUrl') });
    await system.apply([
      gateway(),
      tenant(),
      ...mcpRoute({ name: 'everything', url: `http://127.0.0.1:${port}/mcp`, keys, rules: ['true'] }),
    ]);
    url = new URL(system.endpoint('acme', 'everything'));
  });

  afterAll(async () => {
    await system.stop();
    await everything.stop();
  });

  const legacyClient = async (): Promise<LegacyClient> => {
    const client = new LegacyClient({ name: 'v1', version: '1.0.0' });
    await client.connect(new LegacyTransport(url, { requestInit }) as Parameters<LegacyClient['connect']>[0]);
    return client;
  };

  it('SDK v1 lists and calls tools, prompts and resources', async () => {
    const client = await legacyClient();
    expect(client.getServerVersion()?.name).toBeTruthy();
    const { tools } = await client.listTools();
    expect(tools.map(({ name }) => name)).toContain('echo');
    expect(await client.callTool({ name: 'echo', arguments: { message: 'hi' } })).toMatchObject({
      content: [{ text: expect.stringContaining('hi') as string }],
    });
    expect((await client.listPrompts()).prompts.length).toBeGreaterThan(0);
    expect((await client.listResources()).resources.length).toBeGreaterThan(0);
    await client.close();
  });

  it.each(['legacy', 'auto'] as const)('SDK v2 in mode %s lists and calls tools', async (mode) => {
    const client = new ModernClient({ name: 'v2', version: '1.0.0' }, { versionNegotiation: { mode } });
    await client.connect(new ModernTransport(url, { requestInit }));
    const { tools } = await client.listTools();
    expect(tools.map(({ name }) => name)).toContain('echo');
    expect(await client.callTool({ name: 'echo', arguments: { message: 'hi' } })).toMatchObject({
      content: [{ text: expect.stringContaining('hi') as string }],
    });
    await client.close();
  });

  it('a connected client is told when a tool is withdrawn, and no longer sees it', async () => {
    const client = await legacyClient();
    const changes = new Inbox<'changed'>();
    client.setNotificationHandler(ToolListChangedNotificationSchema, () => changes.add('changed'));
    const before = (await client.listTools()).tools.map(({ name }) => name);
    await system.apply([
      policy({ name: 'everything', keys, rules: [{ effect: 'DENY', when: 'tool.name == "echo"' }, 'true'] }),
    ]);
    await changes.atLeast(1);
    const after = (await client.listTools()).tools.map(({ name }) => name);
    expect(after).toEqual(before.filter((name) => name !== 'echo'));
    await expect(client.callTool({ name: 'echo', arguments: { message: 'hi' } })).rejects.toThrow(/unknown tool/i);
    await client.close();
  });
});
