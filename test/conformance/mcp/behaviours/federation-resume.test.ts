import {
  federatedRoute,
  finalMessage,
  gateway,
  type MemberServer,
  RawMcpClient,
  startMemberServer,
  startSystem,
  type System,
  tenant,
  until,
} from '@signalbox/test-harness';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';

describe('a client of several members that comes back', () => {
  let system: System;
  let one: MemberServer;
  let two: MemberServer;

  beforeAll(async () => {
    one = await startMemberServer({ tools: ['poll', 'echo'] });
    two = await startMemberServer({ tools: ['echo'] });
    system = await startSystem({ pgUrl: inject('pgUrl'), nodes: 2 });
    const backends = { one: one.url, two: two.url };
    const keys = { alice: 'alice-key' };
    await system.apply([gateway(), tenant(), ...federatedRoute({ name: 'all', backends, keys, rules: ['true'] })]);
  });

  afterAll(async () => {
    await system.stop();
    await Promise.all([one, two].map((member) => member.stop()));
  });

  const connect = async (): Promise<RawMcpClient> => {
    const client = new RawMcpClient({ url: system.endpoint('acme', 'all'), token: 'alice-key' });
    expect((await client.initialize()).status).toBe(200);
    return client;
  };

  /** The same client at the other node. */
  const moved = ({ session, version }: RawMcpClient): RawMcpClient => {
    const client = new RawMcpClient({ url: system.endpoint('acme', 'all', 1), token: 'alice-key' });
    return Object.assign(client, { session, version });
  };

  it('13. The result of a call whose stream its member ended early arrives once, under the id and the names of the client.', async () => {
    const client = await connect();
    const begun = await client.post({
      jsonrpc: '2.0',
      id: 'call-1',
      method: 'tools/call',
      params: { name: 'one__poll' },
    });
    expect(await begun.stream?.ended).toBe('end');
    const [event, ...others] = begun.stream?.events.items ?? [];
    expect([JSON.parse(event?.data ?? '{}'), others]).toMatchObject([
      { params: { logger: 'one', data: 'come back' } },
      [],
    ]);
    for (const at of [client, moved(client)]) {
      const resumed = await at.get({ 'last-event-id': event?.id ?? '' });
      const content = [{ type: 'resource_link', uri: 'one+test://polled', name: 'polled' }];
      expect(await finalMessage(resumed)).toEqual({ jsonrpc: '2.0', id: 'call-1', result: { content } });
      expect(resumed.stream?.events.items[0]?.id).not.toBe(event?.id);
      expect(one.requests.items.at(-1)?.headers['last-event-id']).toBe('poll-1');
      resumed.stream?.close();
    }
    expect(two.requests.items.filter(({ method }) => method === 'GET')).toEqual([]);
    expect(one.requests.of('tools/call')).toHaveLength(1);
  });

  it('12. An event id of another session leads nowhere: the member does not know it there.', async () => {
    const [client, other] = [await connect(), await connect()];
    const begun = await client.post({
      jsonrpc: '2.0',
      id: 'call-2',
      method: 'tools/call',
      params: { name: 'one__poll' },
    });
    await begun.stream?.ended;
    const id = begun.stream?.events.items[0]?.id ?? '';
    const asked = one.requests.items.length;
    const resumed = await other.get({ 'last-event-id': id });
    const sent = await until('the GET of the other session', () =>
      one.requests.items.slice(asked).find(({ method }) => method === 'GET'),
    );
    const [first] = one.sessions().slice(-2);
    expect(sent.headers['mcp-session-id']).not.toBe(first);
    resumed.stream?.close();
    expect(await (await client.get({ 'last-event-id': 'c.nobody.eA' })).stream?.ended).toBe('end');
  });
});
