import {
  federatedRoute,
  finalMessage,
  gateway,
  type JwtIssuer,
  type MemberServer,
  RawMcpClient,
  type ResourceFile,
  startJwtIssuer,
  startMemberServer,
  startSystem,
  type System,
  tenant,
  until,
} from '@signalbox/test-harness';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';

const keys = { alice: 'alice-key' };

describe('what is withdrawn', () => {
  let system: System;
  let one: MemberServer;
  let two: MemberServer;
  const clients: RawMcpClient[] = [];

  beforeAll(async () => {
    system = await startSystem({
      pgUrl: inject('pgUrl'),
      nodes: 2,
      controlPlane: { SIGNALBOX_NODE_REPORT_IDLE: '200' },
      settings: {
        SIGNALBOX_PROXY_FAN_OUT_TIMEOUT: '1000',
        SIGNALBOX_PROXY_MEMBER_STREAM_RETRY: '50',
        SIGNALBOX_PROXY_MEMBER_BREAK: '100',
        SIGNALBOX_PROXY_CHANGE_SPACING: '100',
        SIGNALBOX_PROXY_REPORT_INTERVAL: '200',
      },
    });
    await system.apply([gateway(), tenant()]);
  });

  afterAll(() => system.stop());

  beforeEach(async () => {
    one = await startMemberServer({ tools: ['search', 'hold'] });
    two = await startMemberServer({ tools: ['search', 'other', 'hold'] });
  });

  afterEach(async () => {
    for (const client of clients.splice(0)) client.close();
    await Promise.all([one, two].map((member) => member.stop()));
  });

  const present = (rules: readonly string[] = ['true']): Promise<unknown> =>
    system.apply(federatedRoute({ name: 'all', backends: { one: one.url, two: two.url }, keys, rules }));

  const connect = async (): Promise<RawMcpClient> => {
    const client = new RawMcpClient({ url: system.endpoint('acme', 'all'), token: 'alice-key' });
    clients.push(client);
    expect((await client.initialize()).status).toBe(200);
    return client;
  };

  it('53. A call that waits at a member ends when its permission goes, with the reason, and nothing else of the session.', async () => {
    await present();
    const client = await connect();
    const held = client.post({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'one__hold' } });
    await one.held.atLeast(1);
    await present(['tool.name != "one__hold"']);
    expect((await held).message).toMatchObject({ id: 1, error: { code: -32000, data: { reason: 'revoked' } } });
    await one.requests.first('the cancellation', ({ rpcMethod }) => rpcMethod === 'notifications/cancelled');
    expect(await client.call('one__search')).toHaveProperty('result');
  });

  describe('a token that is revoked', () => {
    let issuer: JwtIssuer;

    beforeAll(async () => {
      issuer = await startJwtIssuer();
    });

    afterAll(() => issuer.stop());

    const connectWith = async (token: string, node = 0): Promise<RawMcpClient> => {
      const client = new RawMcpClient({ url: system.endpoint('acme', 'all', node), token });
      clients.push(client);
      expect((await client.initialize()).status).toBe(200);
      return client;
    };
    const revoke = (revocation: ResourceFile) =>
      system.apply([resource('Policy', 'revoked', { target: { tenant: {} }, revocations: [revocation] })]);
    const lift = () => system.remove('acme', [['Policy', 'revoked']]);
    const presentToTokens = () =>
      system.apply(
        federatedRoute({ name: 'all', backends: { one: one.url, two: two.url }, jwt: issuer, rules: ['true'] }),
      );

    it('60. is refused by every node, what is open with it ends with the reason, and others of its subject go on.', async () => {
      await presentToTokens();
      const token = await issuer.token('alice', { claims: { jti: 't-1' } });
      const other = await connectWith(await issuer.token('alice', { claims: { jti: 't-2' } }));
      const client = await connectWith(token);
      const elsewhere = await connectWith(token, 1);
      const streams = await Promise.all([client.get(), elsewhere.get(), other.get()]);
      const held = client.post({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'one__hold' } });
      await one.held.atLeast(1);
      await revoke({ tokenIds: ['t-1'], reason: 'it was in a log file' });
      expect((await held).message).toMatchObject({ id: 1, error: { data: { reason: 'revoked' } } });
      expect([await streams[0].stream?.ended, await streams[1].stream?.ended]).toEqual(['end', 'end']);
      expect([(await client.rpc('ping')).status, (await elsewhere.rpc('ping')).status]).toEqual([401, 401]);
      expect(await other.call('one__search')).toHaveProperty('result');
      expect(streams[2].stream?.isOver()).toBe(false);
      await lift();
      expect(await client.call('one__search')).toHaveProperty('result');
    });

    it('3. takes the sessions of its subject along, here and at the members, when no token of it is accepted.', async () => {
      await presentToTokens();
      const bob = await connectWith(await issuer.token('bob'));
      const before = two.sessions().length;
      await connectWith(await issuer.token('alice'));
      expect(two.sessions()).toHaveLength(before + 1);
      await revoke({ issuer: issuer.issuer, subjects: ['alice'] });
      await untilTrue('the end of her session', () => two.sessions().length === before);
      expect(await bob.call('two__search')).toHaveProperty('result');
      await lift();
    });

    it('60. may be one that was issued before: new ones of the subject are accepted.', async () => {
      await presentToTokens();
      const [early, late] = [-10, 10].map((seconds) => Math.floor(Date.now() / 1_000) + seconds);
      const old = await connectWith(await issuer.token('alice'));
      await revoke({ subjects: ['alice'], issuedBefore: new Date(Number(late) * 1_000).toISOString() });
      expect((await old.rpc('ping')).status).toBe(401);
      await revoke({ subjects: ['alice'], issuedBefore: new Date(Number(early) * 1_000).toISOString() });
      expect((await old.rpc('ping')).status).toBe(200);
      await lift();
    });
  });

  describe('a member in quarantine', () => {
    const quarantine = resource('Policy', 'quarantine-two', {
      target: { backend: 'two' },
      quarantine: { reason: 'its tools changed overnight' },
    });
    const direct = [
      resource('VirtualServer', 'alone', { members: [{ backend: 'two' }] }),
      resource('Route', 'alone', {
        ...{ gateway: 'default', match: { path: '/acme/alone' }, mcp: { virtualServer: 'alone' } },
      }),
      resource('Policy', 'alone', {
        target: { route: 'alone' },
        authentication: { anonymous: {} },
        authorization: [{ effect: 'ALLOW', when: 'true' }],
      }),
    ];
    const release = () => system.remove('acme', [['Policy', 'quarantine-two']]);

    it('ends its calls and streams, has nothing of it, and says so; all of that until it is released.', async () => {
      await present();
      const client = await connect();
      const stream = (await client.get()).stream;
      await untilTrue('its stream', () => two.streams() === 1);
      const held = client.post({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'two__hold' } });
      await two.held.atLeast(1);
      await system.apply([quarantine]);
      expect((await held).message).toMatchObject({ id: 1, error: { message: expect.stringContaining('quarantine') } });
      await untilTrue('the end of its stream', () => two.streams() === 0);
      await stream?.messages.first('a change', ({ method }) => method === 'notifications/tools/list_changed');
      const asked = two.requests.items.length;
      const page = (await finalMessage(await client.rpc('tools/list'))).result as {
        tools: { name: string }[];
        _meta: unknown;
      };
      expect(page.tools.some(({ name }) => name.startsWith('two__'))).toBe(false);
      expect(page._meta).toEqual({ 'dev.signalbox/missing': ['two'] });
      expect(await client.call('two__search')).toMatchObject({
        error: { code: -32603, message: 'The server behind this name is in quarantine' },
      });
      expect(await client.call('one__search')).toHaveProperty('result');
      expect((await connect()).session).not.toBe('');
      expect(two.requests.items.slice(asked)).toEqual([]);
      await release();
      expect(await client.call('two__search')).toHaveProperty('result');
      await untilTrue('its stream', () => two.streams() === 1);
      expect(await client.toolNames()).toContain('two__other');
      expect(stream?.isOver()).toBe(false);
    });

    it('is shown with its state by every node that knows of it, as others are by what their calls became.', async () => {
      await present();
      const client = await connect();
      await client.call('one__search');
      await one.stop();
      await client.call('one__search');
      await system.apply([quarantine]);
      const seen = await until('what the node says of its members', async () => {
        const node = (await system.nodes()).find(({ id }) => id === system.node(0).id);
        const states = new Map(node?.members.map(({ backend, condition }) => [backend, condition]));
        return states.get('two') === 'quarantined' && states.get('one') !== 'reachable' ? states : undefined;
      });
      expect(['degraded', 'open']).toContain(seen.get('one'));
      await release();
      await until('that it is released', async () => {
        const node = (await system.nodes()).find(({ id }) => id === system.node(0).id);
        return node?.members.some(({ condition }) => condition === 'quarantined') ? undefined : true;
      });
    });

    it('is not reached by a route of its own either, but for the end of a session.', async () => {
      await present();
      await system.apply(direct);
      const client = new RawMcpClient({ url: system.endpoint('acme', 'alone') });
      clients.push(client);
      await client.initialize();
      const stream = (await client.get()).stream;
      await untilTrue('its stream', () => two.streams() === 1);
      await system.apply([quarantine]);
      expect(await stream?.ended).toBeDefined();
      expect(await finalMessage(await client.rpc('tools/list'))).toMatchObject({ error: { code: -32603 } });
      expect((await client.get()).status).toBe(502);
      const refused = await client.initialize();
      expect(refused.message).toMatchObject({ error: { message: 'The server behind this name is in quarantine' } });
      await release();
      await system.remove('acme', [
        ['Policy', 'alone'],
        ['Route', 'alone'],
        ['VirtualServer', 'alone'],
      ]);
    });
  });
});

function resource(kind: string, name: string, spec: ResourceFile): ResourceFile {
  return { apiVersion: 'signalbox.dev/v1', kind, metadata: { tenant: 'acme', name }, spec };
}

/** Waits until a condition holds. */
function untilTrue(what: string, holds: () => boolean): Promise<true> {
  return until(what, () => (holds() ? true : undefined));
}
