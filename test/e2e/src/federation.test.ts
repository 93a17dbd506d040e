import { Client as ModernClient, StreamableHTTPClientTransport as ModernTransport } from '@modelcontextprotocol/client';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import {
  CreateMessageRequestSchema,
  ListRootsRequestSchema,
  LoggingMessageNotificationSchema,
  ToolListChangedNotificationSchema,
} from '@modelcontextprotocol/sdk/types.js';
import {
  federatedRoute,
  freePort,
  gateway,
  Inbox,
  type LegacyMcpServer,
  type ResourceFile,
  startLegacyMcpServer,
  startSystem,
  type System,
  tenant,
} from '@signalbox/test-harness';
import { startEverythingServer } from 'signalbox/bundled/demo-servers';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';

const keys = { alice: 'alice-key' };
const requestInit = { headers: { authorization: 'Bearer alice-key' } };

describe('server-everything and another server as one', () => {
  let port: number;
  let everything: Awaited<ReturnType<typeof startEverythingServer>>;
  let small: LegacyMcpServer;
  let system: System;
  let url: URL;

  const startEverything = async (): Promise<void> => {
    everything = await startEverythingServer({ port, searchPath: process.env['PATH'] ?? '' });
  };

  const present = (spec: ResourceFile = {}, rules: readonly string[] = ['true']): Promise<unknown> => {
    const backends = { everything: `http://127.0.0.1:${port}/mcp`, small: small.url };
    return system.apply(federatedRoute({ name: 'all', backends, keys, rules, spec }));
  };

  const connect = async (): Promise<Client> => {
    const client = new Client({ name: 'v1', version: '1.0.0' }, { capabilities: { sampling: {}, roots: {} } });
    client.setRequestHandler(CreateMessageRequestSchema, () => ({
      ...{ model: 'none', role: 'assistant' as const },
      content: { type: 'text' as const, text: 'sampled by the client' },
    }));
    client.setRequestHandler(ListRootsRequestSchema, () => ({ roots: [{ uri: 'file:///work', name: 'work' }] }));
    await client.connect(new StreamableHTTPClientTransport(url, { requestInit }) as Parameters<Client['connect']>[0]);
    return client;
  };

  const names = async (client: Client): Promise<readonly string[]> =>
    (await client.listTools()).tools.map(({ name }) => name);

  beforeAll(async () => {
    port = await freePort();
    await startEverything();
    small = await startLegacyMcpServer();
    system = await startSystem({
      pgUrl: inject('pgUrl'),
      settings: {
        SIGNALBOX_PROXY_FAN_OUT_TIMEOUT: '2000',
        SIGNALBOX_PROXY_MEMBER_STREAM_RETRY: '100',
        SIGNALBOX_PROXY_MEMBER_BREAK: '200',
      },
    });
    await system.apply([gateway(), tenant()]);
    await present();
    url = new URL(system.endpoint('acme', 'all'));
  });

  afterAll(async () => {
    await system.stop();
    await small.stop();
    await everything.stop();
  });

  it('lets SDK v1 use tools, prompts, resources, templates and completions of both', async () => {
    const client = await connect();
    expect(client.getServerVersion()?.name).toBe('all');
    expect(client.getInstructions()).toContain('# small\n\na fixture');
    expect(await names(client)).toEqual(expect.arrayContaining(['everything__echo', 'small__echo', 'small__hidden']));
    const echoed = await client.callTool({ name: 'everything__echo', arguments: { message: 'hi' } });
    expect(echoed.content).toMatchObject([{ text: expect.stringContaining('hi') as string }]);
    expect((await client.callTool({ name: 'small__echo', arguments: { text: 'you' } })).content).toMatchObject([
      { text: 'you' },
    ]);
    const prompts = (await client.listPrompts()).prompts.map(({ name }) => name);
    expect(prompts).toEqual(expect.arrayContaining(['everything__simple-prompt', 'small__greeting']));
    expect((await client.getPrompt({ name: 'small__greeting' })).messages).toHaveLength(1);
    const { resources } = await client.listResources();
    expect(new Set(resources.map(({ uri }) => uri.split('+')[0]))).toEqual(new Set(['everything', 'small']));
    for (const { uri } of [resources[0], resources.at(-1)].filter((one) => one !== undefined)) {
      expect((await client.readResource({ uri })).contents[0]?.uri).toBe(uri);
    }
    const { resourceTemplates } = await client.listResourceTemplates();
    expect(resourceTemplates.every(({ uriTemplate }) => uriTemplate.startsWith('everything+'))).toBe(true);
    const { completion } = await client.complete({
      ref: { type: 'ref/prompt', name: 'everything__completable-prompt' },
      argument: { name: 'department', value: 'E' },
    });
    expect(completion.values).toContain('Engineering');
    await client.close();
  });

  it('carries links and embedded resources of tools, and what a server asks its client', async () => {
    const client = await connect();
    const links = await client.callTool({ name: 'everything__get-resource-links', arguments: { count: 2 } });
    const uris = (links.content as { type: string; uri?: string }[]).flatMap(({ type, uri = '' }) =>
      type === 'resource_link' ? [uri] : [],
    );
    expect(uris).toHaveLength(2);
    for (const uri of uris) expect((await client.readResource({ uri })).contents[0]?.uri).toBe(uri);
    const sampled = await client.callTool({
      name: 'everything__trigger-sampling-request',
      arguments: { prompt: 'hello', maxTokens: 10 },
    });
    expect(JSON.stringify(sampled.content)).toContain('sampled by the client');
    await client.close();
  });

  it('reports progress of a call to the client that made it', async () => {
    const client = await connect();
    const progress: number[] = [];
    await client.callTool(
      { name: 'everything__trigger-long-running-operation', arguments: { duration: 0.3, steps: 3 } },
      undefined,
      { onprogress: (one) => void progress.push(one.progress) },
    );
    expect(progress).toEqual([1, 2, 3]);
    await client.close();
  });

  it('tells clients which server a log message is from', async () => {
    const client = await connect();
    const messages = new Inbox<string | undefined>();
    client.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => messages.add(params.logger));
    await client.setLoggingLevel('info');
    const [session] = small.sessions().slice(-1);
    await small.notify(session ?? '', 1).catch(() => undefined);
    expect(await messages.first('a message of the small server', (logger) => logger === 'small')).toBe('small');
    await client.close();
  });

  it('lets SDK v2 negotiate by itself', async () => {
    const client = new ModernClient({ name: 'v2', version: '1.0.0' }, { versionNegotiation: { mode: 'auto' } });
    await client.connect(new ModernTransport(url, { requestInit }));
    const { tools } = await client.listTools();
    expect(tools.map(({ name }) => name)).toContain('everything__echo');
    expect(await client.callTool({ name: 'small__echo', arguments: { text: 'hi' } })).toMatchObject({
      content: [{ text: 'hi' }],
    });
    await client.close();
  });

  it('goes on with one server down, and tells clients when it is back', async () => {
    const client = await connect();
    const changes = new Inbox<'changed'>();
    client.setNotificationHandler(ToolListChangedNotificationSchema, () => changes.add('changed'));
    const all = await names(client);
    await everything.stop();
    expect(await names(client)).toEqual(all.filter((name) => name.startsWith('small__')));
    await expect(client.callTool({ name: 'everything__echo', arguments: { message: 'hi' } })).rejects.toThrow(
      /cannot be reached|failed/,
    );
    expect((await client.callTool({ name: 'small__echo', arguments: { text: 'hi' } })).content).toMatchObject([
      { text: 'hi' },
    ]);
    await startEverything();
    await changes.atLeast(1);
    expect(await names(client)).toEqual(all);
    await client.close();
  });

  it('begins a server again that was restarted, in the middle of a session', async () => {
    const client = await connect();
    await client.callTool({ name: 'everything__echo', arguments: { message: 'before' } });
    await everything.stop();
    await startEverything();
    await small.forgetSessions();
    // A server that takes long to start is left alone for a while: its streams could not be opened.
    const after = (): Promise<unknown> =>
      client.callTool({ name: 'everything__echo', arguments: { message: 'after' } }).catch(String);
    await expect
      .poll(after, { timeout: 10_000 })
      .toMatchObject({ content: [{ text: expect.stringContaining('after') }] });
    expect((await client.callTool({ name: 'small__echo', arguments: { text: 'after' } })).content).toMatchObject([
      { text: 'after' },
    ]);
    await client.close();
  });

  it('settles names that both have as the virtual server says', async () => {
    const members = [{ backend: 'small' }, { backend: 'everything' }];
    await present({ members, conflicts: 'PRIORITY' });
    const client = await connect();
    expect((await names(client)).filter((name) => name === 'echo')).toHaveLength(1);
    expect((await client.callTool({ name: 'echo', arguments: { text: 'small' } })).content).toMatchObject([
      { text: 'small' },
    ]);
    await present({ members, conflicts: 'REFUSE' });
    expect(await names(client)).not.toContain('echo');
    await expect(client.callTool({ name: 'echo', arguments: { text: 'small' } })).rejects.toThrow(/unknown tool/i);
    await present();
    await client.close();
  });
});
