import {
  federatedRoute,
  finalMessage,
  gateway,
  type McpAnswer,
  mcpRoute,
  type MemberServer,
  RawMcpClient,
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
  let modern: MemberServer;
  let system: System;

  beforeAll(async () => {
    way = await startTcpProxy({ ports: [Number(new URL(redis?.url ?? '').port)] });
    server = await startMemberServer({ tools: ['ask', 'echo', 'hold'] });
    modern = await startMemberServer({ era: 'modern', tools: ['hold'] });
    system = await startSystem({
      pgUrl: inject('pgUrl'),
      nodes: 2,
      settings: {
        REDIS_URL: `redis://127.0.0.1:${way.port}`,
        SIGNALBOX_REDIS_PREFIX: redis?.prefix ?? '',
        SIGNALBOX_REDIS_TIMEOUT: '500',
        SIGNALBOX_REDIS_RETRY_MAX: '50',
        SIGNALBOX_PROXY_NODE_LEASE: '600',
        SIGNALBOX_PROXY_MAX_CLIENT_CAPABILITIES: '8192',
      },
    });
    const backends = { first: server.url, second: server.url };
    await system.apply([
      gateway(),
      tenant(),
      ...mcpRoute({ name: 'one', url: server.url, keys, rules: ['true'] }),
      ...federatedRoute({ name: 'many', backends, keys, rules: ['true'] }),
    ]);
    await Promise.all([0, 1].map((node) => redisIsUp(system.node(node))));
  });

  afterAll(async () => {
    await system.stop();
    await Promise.all([server.stop(), modern.stop(), way.stop(), redis?.stop()]);
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

  it('serves on while Redis is away: what needs it fails in so many words, the rest does not notice', async () => {
    const [alice, many] = [client(0), client(0, 'many')];
    await alice.initialize();
    await many.initialize(verbose);
    const state = await asked(client(0));
    for (const lose of [() => way.close(), () => way.stall()]) {
      lose();
      const before = performance.now();
      expect((await moved(alice, 1).call('echo', { text: 'plain' })).result).toBeDefined();
      expect((await client(1).callModern('echo', { text: 'plain' })).result).toBeDefined();
      expect((await finalMessage(await comeBack(client(1), state))).error?.message).toMatch(/cannot be reached/);
      expect((await moved(many, 1, 'many').rpc('ping')).status).toBe(503);
      expect(performance.now() - before).toBeLessThan(5_000);
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
