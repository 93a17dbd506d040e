import {
  finalMessage,
  gateway,
  legacyVersion,
  type LegacyMcpServer,
  mcpRoute,
  policy,
  RawMcpClient,
  startLegacyMcpServer,
  startSystem,
  type System,
  tenant,
  until,
} from '@signalbox/test-harness';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';

const keys = { alice: 'alice-key', bob: 'bob-key' };

describe('a legacy session', () => {
  let upstream: LegacyMcpServer;
  let system: System;

  beforeAll(async () => {
    upstream = await startLegacyMcpServer();
    system = await startSystem({
      pgUrl: inject('pgUrl'),
      nodes: 2,
      settings: { SIGNALBOX_PROXY_SESSION_AGE: '60000' },
    });
    await system.apply([
      gateway(),
      tenant(),
      ...mcpRoute({ name: 'assistant', url: upstream.url, keys, rules: ['true'] }),
      ...mcpRoute({ name: 'other', url: upstream.url, keys, rules: ['true'] }),
    ]);
  });

  afterAll(async () => {
    await system.stop();
    await upstream.stop();
  });

  const connect = async (token = 'alice-key', route = 'assistant', node = 0): Promise<RawMcpClient> => {
    const client = new RawMcpClient({ url: system.endpoint('acme', route, node), token });
    expect((await client.initialize()).status).toBe(200);
    return client;
  };

  /** A client at another place that presents the session of the given one. */
  const borrow = (from: RawMcpClient, token: string, route = 'assistant', node = 0): RawMcpClient => {
    const client = new RawMcpClient({ url: system.endpoint('acme', route, node), token });
    client.session = from.session;
    client.version = from.version;
    return client;
  };

  it('is not made for a request that lacks one', async () => {
    const client = new RawMcpClient({ url: system.endpoint('acme', 'assistant'), token: 'alice-key' });
    const before = upstream.requests.items.length;
    expect((await client.rpc('tools/list')).status).toBe(400);
    expect(upstream.requests.items).toHaveLength(before);
  });

  it('belongs to its principal: to another one it does not exist', async () => {
    const alice = await connect();
    const bob = borrow(alice, 'bob-key');
    const before = upstream.requests.items.length;
    expect((await bob.rpc('tools/list')).status).toBe(404);
    expect((await bob.get()).status).toBe(404);
    expect((await bob.delete()).status).toBe(404);
    expect(upstream.requests.items).toHaveLength(before);
    expect(await alice.toolNames()).toHaveLength(3);
  });

  it('belongs to its route', async () => {
    const alice = await connect();
    expect((await borrow(alice, 'alice-key', 'other').rpc('tools/list')).status).toBe(404);
  });

  it('is served by any node', async () => {
    const alice = await connect();
    const elsewhere = borrow(alice, 'alice-key', 'assistant', 1);
    expect(await elsewhere.toolNames()).toHaveLength(3);
    expect((await elsewhere.call('echo', { text: 'from node 1' })).result).toBeDefined();
  });

  it('is gone after DELETE', async () => {
    const alice = await connect();
    expect((await alice.delete()).status).toBeLessThan(300);
    expect((await alice.rpc('tools/list')).status).toBe(404);
    expect((await alice.get()).status).toBe(404);
    expect((await alice.delete()).status).toBe(404);
  });

  it('that was forged does not reach the upstream', async () => {
    const alice = await connect();
    const sealed = alice.session ?? '';
    const before = upstream.requests.items.length;
    for (const at of [0, Math.floor(sealed.length / 2), sealed.length - 1]) {
      alice.session = sealed.slice(0, at) + (sealed[at] === 'A' ? 'B' : 'A') + sealed.slice(at + 1);
      expect((await alice.rpc('tools/list')).status).toBe(404);
    }
    expect(upstream.requests.items).toHaveLength(before);
  });

  it('that the upstream lost is lost for the client, too', async () => {
    const alice = await connect();
    await upstream.forgetSessions();
    const lost = await until('the 404', async () => {
      const { status } = await alice.rpc('tools/list');
      return status === 404 ? status : undefined;
    });
    expect(lost).toBe(404);
    await alice.initialize();
    expect(await alice.toolNames()).toHaveLength(3);
  });

  it('that opened under an old credential dies with it', async () => {
    await system.apply(mcpRoute({ name: 'rotating', url: upstream.url, keys: { alice: 'old-key' }, rules: ['true'] }));
    const alice = await connect('old-key', 'rotating');
    await system.apply([policy({ name: 'rotating', keys: { alice: 'new-key' }, rules: ['true'] })]);
    expect((await alice.rpc('tools/list')).status).toBe(401);
    expect((await borrow(alice, 'new-key', 'rotating').toolNames()).length).toBe(3);
  });

  it('expires', async () => {
    const node = await system.startNode({ SIGNALBOX_PROXY_SESSION_AGE: '1' });
    const client = new RawMcpClient({ url: node.endpoint('acme', 'assistant'), token: 'alice-key' });
    const clientInfo = { name: 'raw-client', version: '1.0.0' };
    const answer = await client.rpc('initialize', { protocolVersion: legacyVersion, capabilities: {}, clientInfo });
    expect((await finalMessage(answer)).result).toMatchObject({ protocolVersion: legacyVersion });
    client.session = answer.headers['mcp-session-id'] as string;
    const expired = await until('the session to expire', async () => {
      const { status } = await client.rpc('tools/list');
      return status === 200 ? undefined : status;
    });
    expect(expired).toBe(404);
  });
});
