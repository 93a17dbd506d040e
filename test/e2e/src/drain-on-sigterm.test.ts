import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import {
  feedUri,
  finalMessage,
  gateway,
  type LegacyMcpServer,
  mcpRoute,
  type McpStream,
  type ModernMcpServer,
  proxyReady,
  type ProxyProcess,
  RawMcpClient,
  startLegacyMcpServer,
  startModernMcpServer,
  startProxyProcess,
  tenant,
  until,
  yaml,
} from '@signalbox/test-harness';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const keys = { alice: 'alice-key' };
const drainMs = 5_000;

describe('a proxy that gets SIGTERM', () => {
  let legacy: LegacyMcpServer;
  let modern: ModernMcpServer;
  let folder: string;
  let proxy: ProxyProcess;

  beforeEach(async () => {
    legacy = await startLegacyMcpServer();
    modern = await startModernMcpServer();
    folder = await mkdtemp(join(tmpdir(), 'signalbox-drain-'));
    const config = join(folder, 'signalbox.yaml');
    const routes = [
      ...mcpRoute({ name: 'legacy', url: legacy.url, keys, rules: ['true'] }),
      ...mcpRoute({ name: 'modern', url: modern.url, keys, rules: ['true'] }),
    ];
    await writeFile(config, yaml([gateway(), tenant(), ...routes]));
    const env = {
      SIGNALBOX_PROXY_DRAIN_DEADLINE: String(drainMs),
      SIGNALBOX_PROXY_DRAIN_ACCEPT: '800',
      SIGNALBOX_PROXY_DRAIN_SPREAD: '200',
    };
    proxy = await startProxyProcess({ config, env });
    await proxyReady(proxy);
  });

  afterEach(async () => {
    await proxy.stop();
    await legacy.stop();
    await modern.stop();
    await rm(folder, { recursive: true, force: true });
  });

  const connect = async (): Promise<RawMcpClient> => {
    const client = new RawMcpClient({ url: proxy.endpoint('acme', 'legacy'), token: 'alice-key' });
    await client.initialize();
    return client;
  };

  const draining = () =>
    until('the node to say that it is not ready', async () => {
      const { status } = await fetch(`${proxy.adminUrl}/readyz`);
      return status === 503 ? status : undefined;
    });

  it('still accepts while load balancers look away, and closes each connection after its answer', async () => {
    proxy.signal('SIGTERM');
    await draining();
    const late = await connect();
    const answer = await late.rpc('tools/list');
    expect(answer.status).toBe(200);
    expect(answer.headers.connection).toBe('close');
    expect(await proxy.exited).toBe(0);
  });

  it('lets a call in flight finish', async () => {
    const client = await connect();
    const answer = client.rpc('tools/call', {
      name: 'slow_progress',
      arguments: { key: 'in-flight' },
      _meta: { progressToken: 1 },
    });
    const held = await legacy.held.withKey('in-flight');
    await held.emit(1);
    await (await answer).stream?.messages.atLeast(1);
    proxy.signal('SIGTERM');
    await draining();
    await held.emit(2);
    held.finish('finished under drain');
    expect((await finalMessage(await answer)).result).toEqual({
      content: [{ type: 'text', text: 'finished under drain' }],
    });
    expect(await proxy.exited).toBe(0);
    const { length } = (await answer).stream?.messages.items ?? [];
    expect(length).toBe(3);
  });

  it('ends a GET stream with a time to come back', async () => {
    const client = await connect();
    const stream = (await client.get()).stream as McpStream;
    proxy.signal('SIGTERM');
    expect(await stream.ended).toBe('end');
    expect(stream.events.items.at(-1)?.retry).toBeGreaterThanOrEqual(0);
    expect(await proxy.exited).toBe(0);
  });

  it('ends subscriptions/listen with its result', async () => {
    const client = new RawMcpClient({ url: proxy.endpoint('acme', 'modern'), token: 'alice-key' });
    const answer = await client.modern('subscriptions/listen', { notifications: { resourceSubscriptions: [feedUri] } });
    const stream = answer.stream as McpStream;
    await stream.messages.atLeast(1);
    proxy.signal('SIGTERM');
    expect(await stream.ended).toBe('end');
    const last = stream.messages.items.at(-1);
    expect(last?.result).toMatchObject({
      resultType: 'complete',
      _meta: { 'io.modelcontextprotocol/subscriptionId': last?.id },
    });
    expect(await proxy.exited).toBe(0);
  });

  it('ends within its deadline whoever does not leave, and records what it cut off', async () => {
    const client = await connect();
    const answer = client.rpc('tools/call', {
      name: 'slow_progress',
      arguments: { key: 'forever' },
      _meta: { progressToken: 1 },
    });
    const held = await legacy.held.withKey('forever');
    await held.emit(1);
    await (await answer).stream?.messages.atLeast(1);
    const started = performance.now();
    proxy.signal('SIGTERM');
    expect(await proxy.exited).toBe(1);
    expect(performance.now() - started).toBeLessThan(drainMs + 1_000);
    const calls = (await proxy.events()).filter(({ method }) => method === 'tools/call');
    expect(calls).toHaveLength(1);
  });
});
