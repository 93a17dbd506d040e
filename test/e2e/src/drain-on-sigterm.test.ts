import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import {
  feedUri,
  finalMessage,
  gateway,
  type HeldCall,
  type LegacyMcpServer,
  mcpRoute,
  type McpAnswer,
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
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const keys = { alice: 'alice-key' };
let legacy: LegacyMcpServer;
let modern: ModernMcpServer;
let folder: string;
let proxy: ProxyProcess;

/** Starts the upstreams and a proxy with settings of its drain, in milliseconds. */
async function start(drain: { readonly deadline: number; readonly accept: number }): Promise<void> {
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
    SIGNALBOX_PROXY_DRAIN_DEADLINE: String(drain.deadline),
    SIGNALBOX_PROXY_DRAIN_ACCEPT: String(drain.accept),
    SIGNALBOX_PROXY_DRAIN_SPREAD: '200',
  };
  proxy = await startProxyProcess({ config, env });
  await proxyReady(proxy);
}

async function stop(): Promise<void> {
  await proxy.stop();
  await legacy.stop();
  await modern.stop();
  await rm(folder, { recursive: true, force: true });
}

async function connect(): Promise<RawMcpClient> {
  const client = new RawMcpClient({ url: proxy.endpoint('acme', 'legacy'), token: 'alice-key' });
  await client.initialize();
  return client;
}

/** A call that has said one thing and goes on. */
async function callUnderWay(key: string): Promise<{ readonly held: HeldCall; readonly answer: McpAnswer }> {
  const params = { name: 'slow_progress', arguments: { key }, _meta: { progressToken: 1 } };
  const calling = (await connect()).rpc('tools/call', params);
  const held = await legacy.held.withKey(key);
  await held.emit(1);
  const answer = await calling;
  await answer.stream?.messages.atLeast(1);
  return { held, answer };
}

// The tests tell one story, in order: of clients that are there when the signal comes.
describe('a proxy that gets SIGTERM', () => {
  let call: Awaited<ReturnType<typeof callUnderWay>>;
  let get: McpStream;
  let listen: McpStream;

  beforeAll(async () => {
    await start({ deadline: 20_000, accept: 2_000 });
    call = await callUnderWay('in-flight');
    get = (await (await connect()).get()).stream as McpStream;
    const client = new RawMcpClient({ url: proxy.endpoint('acme', 'modern'), token: 'alice-key' });
    const answer = await client.modern('subscriptions/listen', { notifications: { resourceSubscriptions: [feedUri] } });
    listen = answer.stream as McpStream;
    await listen.messages.atLeast(1);
  });
  afterAll(stop);

  it('still accepts while load balancers look away, and closes each connection after its answer', async () => {
    proxy.signal('SIGTERM');
    await until('the node to say that it is not ready', async () => {
      const { status } = await fetch(`${proxy.adminUrl}/readyz`);
      return status === 503 ? status : undefined;
    });
    const late = await connect();
    const answer = await late.rpc('tools/list');
    expect(answer.status).toBe(200);
    expect(answer.headers.connection).toBe('close');
  });

  it('ends a GET stream with a time to come back', async () => {
    expect(await get.ended).toBe('end');
    expect(get.events.items.at(-1)?.retry).toBeGreaterThanOrEqual(0);
  });

  it('ends subscriptions/listen with its result', async () => {
    expect(await listen.ended).toBe('end');
    const last = listen.messages.items.at(-1);
    expect(last?.result).toMatchObject({
      resultType: 'complete',
      _meta: { 'io.modelcontextprotocol/subscriptionId': last?.id },
    });
  });

  it('lets a call in flight finish, and ends well when nobody is left', async () => {
    await call.held.emit(2);
    call.held.finish('finished under drain');
    expect((await finalMessage(call.answer)).result).toEqual({
      content: [{ type: 'text', text: 'finished under drain' }],
    });
    expect(call.answer.stream?.messages.items).toHaveLength(3);
    expect(await proxy.exited).toBe(0);
  });
});

describe('a proxy that gets SIGTERM while somebody does not leave', () => {
  const deadline = 1_500;
  beforeAll(() => start({ deadline, accept: 0 }));
  afterAll(stop);

  it('ends at its deadline, and records what it cut off', async () => {
    await callUnderWay('forever');
    proxy.signal('SIGTERM');
    expect(await proxy.exited).toBe(1);
    const calls = (await proxy.events()).filter(({ method }) => method === 'tools/call');
    expect(calls).toHaveLength(1);
  });
});
