import {
  federatedRoute,
  finalMessage,
  gateway,
  type McpAnswer,
  type LegacyMcpServer,
  mcpRoute,
  type MemberServer,
  RawMcpClient,
  startLegacyMcpServer,
  startMemberServer,
  startSystem,
  startTcpProxy,
  startTestRedis,
  type System,
  type SystemNode,
  type TcpProxy,
  tenant,
  until,
} from '@signalbox/test-harness';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';

const redis = await startTestRedis();
const keys = { alice: 'alice-key', bob: 'bob-key' };
/** A client that says more about itself than a session id holds. */
const verbose = { clientInfo: { name: 'verbose', version: '1', title: 'x'.repeat(4_000) } };
const able = { 'io.modelcontextprotocol/clientCapabilities': { elicitation: {} } };

/** Two proxies and a Redis, with a network between them that a test can cut. */
describe.skipIf(!redis)('with a Redis, any node', () => {
  let way: TcpProxy;
  let server: MemberServer;
  let sdk: LegacyMcpServer;
  let system: System;

  beforeAll(async () => {
    way = await startTcpProxy({ ports: [Number(new URL(redis?.url ?? '').port)] });
    server = await startMemberServer({ tools: ['ask', 'echo', 'hold'] });
    sdk = await startLegacyMcpServer();
    system = await startSystem({
      pgUrl: inject('pgUrl'),
      nodes: 2,
      settings: {
        REDIS_URL: `redis://127.0.0.1:${way.port}`,
        SIGNALBOX_REDIS_PREFIX: redis?.prefix ?? '',
        SIGNALBOX_REDIS_TIMEOUT: '500',
        SIGNALBOX_REDIS_RETRY_MAX: '50',
        SIGNALBOX_PROXY_NODE_LEASE: '2000',
        SIGNALBOX_PROXY_MAX_CLIENT_CAPABILITIES: '8192',
      },
    });
    const backends = { first: server.url, second: server.url };
    await system.apply([
      gateway(),
      tenant(),
      ...mcpRoute({ name: 'one', url: server.url, keys, rules: ['true'] }),
      ...mcpRoute({ name: 'sdk', url: sdk.url, keys, rules: ['true'] }),
      ...federatedRoute({ name: 'many', backends, keys, rules: ['true'] }),
    ]);
    await Promise.all([0, 1].map((node) => redisIsUp(system.node(node))));
  });

  afterAll(async () => {
    await system.stop();
    await Promise.all([server.stop(), sdk.stop(), way.stop(), redis?.stop()]);
  });

  const client = (node: number, route = 'one', token = 'alice-key'): RawMcpClient =>
    new RawMcpClient({ url: system.endpoint('acme', route, node), token });

  /** The same legacy client at another node. */
  const moved = ({ session, version }: RawMcpClient, node: number, route = 'one'): RawMcpClient =>
    Object.assign(client(node, route), { session, version });

  /** A call whose server asks for input, and what the client gets to come back with. */
  const asked = async (at: RawMcpClient): Promise<string> => {
    const answer = await finalMessage(await at.modern('tools/call', { name: 'ask', _meta: able }));
    expect(answer.result).toMatchObject({ resultType: 'input_required' });
    return String(answer.result?.['requestState']);
  };

  const comeBack = (at: RawMcpClient, requestState: string, name = 'A'): Promise<McpAnswer> => {
    const inputResponses = { 'input-1': { action: 'accept', content: { name } } };
    return at.modern('tools/call', { name: 'ask', inputResponses, requestState, _meta: able });
  };

  it('27. takes the answer to what a legacy server has asked a modern client at another node', async () => {
    const state = await asked(client(0));
    const calls = server.requests.of('tools/call').length;
    const answer = await finalMessage(await comeBack(client(1), state, 'Änne'));
    const text = JSON.stringify({ action: 'accept', content: { name: 'Änne' } });
    expect(answer.result).toMatchObject({ resultType: 'complete', content: [{ type: 'text', text }] });
    expect(server.requests.of('tools/call')).toHaveLength(calls);
  });

  it('21. refuses the answer of another caller, and the call waits on', async () => {
    const state = await asked(client(0));
    const stranger = await finalMessage(await comeBack(client(1, 'one', 'bob-key'), state));
    expect(stranger.error?.code).toBe(-32602);
    expect((await finalMessage(await comeBack(client(1), state))).result).toHaveProperty('content');
  });

  it('says so when the node where the call waited is gone', async () => {
    const third = await system.startNode();
    await redisIsUp(third);
    const state = await asked(new RawMcpClient({ url: third.endpoint('acme', 'one'), token: 'alice-key' }));
    await third.stop();
    const answer = await finalMessage(await comeBack(client(1), state));
    expect(answer.error).toMatchObject({ code: -32602, message: expect.stringContaining('is gone') as string });
  });

  it('2. knows that a session is over which another one has ended, and ends its stream', async () => {
    const alice = client(0);
    await alice.initialize();
    const elsewhere = moved(alice, 1);
    const stream = await elsewhere.get();
    expect((await alice.delete()).status).toBeLessThan(300);
    expect(await stream.stream?.ended).toBe('end');
    expect((await elsewhere.rpc('tools/list')).status).toBe(404);
  });

  it('goes on with a session that does not fit into its id, at the same sessions of its members', async () => {
    const alice = client(0, 'many');
    await alice.initialize(verbose);
    expect(alice.session?.length).toBeLessThan(400);
    const begun = server.sessions().length;
    const answer = await moved(alice, 1, 'many').call('second__echo', { text: 'hello' });
    expect(answer.result).toMatchObject({ content: [{ text: 'hello' }] });
    expect(server.sessions()).toHaveLength(begun);
  });

  /** A call at a node, broken off by its client behind its first event. */
  const brokenOff = async (key: string, node: SystemNode) => {
    const alice = new RawMcpClient({ url: node.endpoint('acme', 'sdk'), token: 'alice-key' });
    await alice.initialize();
    const params = { name: 'slow_progress', arguments: { key }, _meta: { progressToken: 7 } };
    const { stream } = await alice.rpc('tools/call', params);
    const held = await sdk.held.withKey(key);
    await held.emit(1);
    const first = await stream?.events.first('the first event', () => true);
    stream?.close();
    return { alice, held, id: first?.id ?? '' };
  };

  const progressOf = (answer: McpAnswer): readonly unknown[] =>
    (answer.stream?.messages.items ?? []).flatMap(({ params }) => params?.['progress'] ?? []);

  it('11. gives a client that comes back the rest of an answer, each event once, though its server numbers none', async () => {
    const { alice, held, id } = await brokenOff('resumed', system.node(0));
    await held.emit(2);
    const resumed = await moved(alice, 1, 'sdk').get({ 'last-event-id': id });
    await held.emit(3);
    held.finish('done');
    expect((await finalMessage(resumed)).result).toMatchObject({ content: [{ text: 'done' }] });
    expect(await resumed.stream?.ended).toBe('end');
    expect(progressOf(resumed)).toEqual([2, 3]);
    const again = await moved(alice, 0, 'sdk').get({ 'last-event-id': resumed.stream?.events.items[0]?.id ?? '' });
    expect((await finalMessage(again)).result).toMatchObject({ content: [{ text: 'done' }] });
    expect(progressOf(again)).toEqual([3]);
    const other = client(1, 'sdk');
    await other.initialize();
    expect((await other.get({ 'last-event-id': id })).status).toBe(400);
  });

  it('says so when the node that carried the call is gone', async () => {
    const third = await system.startNode();
    await redisIsUp(third);
    const { alice, id } = await brokenOff('gone', third);
    const resumed = await moved(alice, 1, 'sdk').get({ 'last-event-id': id });
    await third.stop();
    expect((await finalMessage(resumed)).error).toMatchObject({ code: -32603 });
    expect(await resumed.stream?.ended).toBe('end');
  });

  it('gives a GET stream that comes back what it has missed, and goes on with it', async () => {
    const alice = client(0, 'sdk');
    await alice.initialize();
    const [session = ''] = sdk.sessions().slice(-1);
    const { stream } = await alice.get();
    await sdk.notify(session, 1);
    const first = await stream?.events.first('the first event', () => true);
    await sdk.notify(session, 2);
    await stream?.messages.first('the second', ({ params }) => params?.['data'] === 2);
    const resumed = await moved(alice, 1, 'sdk').get({ 'last-event-id': first?.id ?? '' });
    expect(await stream?.ended).toBe('end');
    await sdk.notify(session, 3);
    await resumed.stream?.messages.first('the third', ({ params }) => params?.['data'] === 3);
    expect(resumed.stream?.messages.items.map(({ params }) => params?.['data'])).toEqual([2, 3]);
    resumed.stream?.close();
  });

  it('11. gives the GET stream of a virtual server that comes back what it has missed, each event once, and goes on with it', async () => {
    const first = client(0, 'many');
    await first.initialize();
    const { stream } = await first.get();
    await until('streams of both members', () => (server.streams() >= 2 ? true : undefined));
    const say = (data: string) =>
      server.push({ jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data } });
    const texts = (answer: McpAnswer) =>
      answer.stream?.messages.items.map(({ params }) => `${String(params?.['logger'])} ${String(params?.['data'])}`);
    say('a');
    await stream?.events.atLeast(2);
    say('b');
    await stream?.events.atLeast(4);
    const back = await moved(first, 1, 'many').get({ 'last-event-id': stream?.events.items[1]?.id ?? '' });
    await back.stream?.events.atLeast(2);
    expect(texts(back)?.toSorted()).toEqual(['first b', 'second b']);
    expect(await stream?.ended).toBe('end');
    await until('streams of both members', () => (server.streams() === 2 ? true : undefined));
    say('c');
    await back.stream?.events.atLeast(4);
    expect(texts(back)?.slice(2).toSorted()).toEqual(['first c', 'second c']);
    const third = await moved(first, 0, 'many').get({ 'last-event-id': back.stream?.events.items[2]?.id ?? '' });
    await third.stream?.events.atLeast(1);
    expect(texts(third)).toHaveLength(1);
    third.stream?.close();
  });

  it('lets nobody in any more whose credential was withdrawn: not to a stream, nor to a call that waits', async () => {
    const withKeys = (allowed: Record<string, string>) =>
      system.apply(mcpRoute({ name: 'sdk', url: server.url, keys: allowed, rules: ['true'] }));
    await withKeys(keys);
    const bob = client(0, 'sdk', 'bob-key');
    await bob.initialize();
    const elsewhere = Object.assign(client(1, 'sdk', 'bob-key'), { session: bob.session, version: bob.version });
    const streams = await Promise.all([bob, elsewhere].map((each) => each.get()));
    const state = await asked(client(0, 'sdk', 'bob-key'));
    await withKeys({ alice: 'alice-key' });
    for (const { stream } of streams) expect(await stream?.ended).toBe('end');
    expect((await comeBack(client(1, 'sdk', 'bob-key'), state)).status).toBe(401);
    expect((await elsewhere.get({ 'last-event-id': 'sbe.x' })).status).toBe(401);
    await system.apply(mcpRoute({ name: 'sdk', url: sdk.url, keys, rules: ['true'] }));
  });

  it('serves on while Redis is away: what needs it fails in so many words, the rest does not notice', async () => {
    const [alice, many] = [client(0), client(0, 'many')];
    await alice.initialize();
    await many.initialize(verbose);
    const state = await asked(client(0));
    for (const lose of [() => way.close(), () => way.stall()]) {
      lose();
      expect((await moved(alice, 1).call('echo', { text: 'plain' })).result).toBeDefined();
      expect((await client(1).callModern('echo', { text: 'plain' })).result).toBeDefined();
      expect((await finalMessage(await comeBack(client(1), state))).error?.message).toMatch(/cannot be reached/);
      expect((await moved(many, 1, 'many').rpc('ping')).status).toBe(503);
      way.open();
      await Promise.all([0, 1].map((node) => redisIsUp(system.node(node))));
    }
    expect((await alice.delete()).status).toBeLessThan(300);
    await until('the other node to know', async () =>
      (await moved(alice, 1).rpc('ping')).status === 404 ? true : undefined,
    );
    const late = await finalMessage(await comeBack(client(1), state));
    expect(late).toMatchObject({ result: { resultType: 'complete' } });
    expect((await moved(many, 1, 'many').rpc('ping')).status).toBe(200);
  });
});

async function redisIsUp(node: SystemNode): Promise<void> {
  await until(`Redis at ${node.id}`, async () => {
    const text = await (await fetch(`${node.proxy.adminUrl}/metrics`)).text();
    return /^signalbox_proxy_redis_up 1$/m.test(text) ? true : undefined;
  });
}
