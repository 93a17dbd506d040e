import {
  federatedRoute,
  finalMessage,
  gateway,
  type McpStream,
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

  const log = (data: string): object => ({
    jsonrpc: '2.0',
    method: 'notifications/message',
    params: { level: 'info', data },
  });

  /** Texts of log messages that came on a stream. */
  const heard = (stream: McpStream | undefined): readonly string[] =>
    (stream?.messages.items ?? []).flatMap(({ method, params }) =>
      method === 'notifications/message' ? [String(params?.['data'])] : [],
    );

  /** A client whose stream every member sends to. */
  const listening = async () => {
    const client = await connect();
    const { stream } = await client.get();
    await until('streams of both members', () => (one.streams() >= 1 && two.streams() >= 1 ? true : undefined));
    return { client, stream };
  };

  it('11. A GET stream is gone on with at its node behind any event, though members number none or only some of theirs.', async () => {
    const { client, stream } = await listening();
    one.push(log('a'));
    const first = await stream?.events.first('a', ({ data }) => data.includes('"a"'));
    two.push(log('b'), 'two-7');
    one.push({ jsonrpc: '2.0', method: 'notifications/tools/list_changed' });
    await stream?.messages.first('a change', ({ method }) => method === 'notifications/tools/list_changed');
    one.push(log('c'));
    await stream?.events.first('c', ({ data }) => data.includes('"c"'));
    stream?.close();
    const back = await client.get({ 'last-event-id': first?.id ?? '' });
    await back.stream?.events.first('c again', ({ data }) => data.includes('"c"'));
    expect(heard(back.stream)).toEqual(['b', 'c']);
    expect(back.stream?.messages.items.map(({ method }) => method)).toContain('notifications/tools/list_changed');
    expect(new Set(back.stream?.events.items.map(({ id }) => id)).size).toBe(3);
    await until('the stream of two, behind what the client has', () =>
      two.requests.items.some(({ headers }) => headers['last-event-id'] === 'two-7') ? true : undefined,
    );
    const newest = back.stream?.events.items.at(-1)?.id ?? '';
    await until('streams of both members', () => (one.streams() >= 1 && two.streams() >= 1 ? true : undefined));
    one.push(log('d'));
    await back.stream?.events.first('d', ({ data }) => data.includes('"d"'));
    // While the former connection is still there, too: it is taken over, and ends.
    const again = await client.get({ 'last-event-id': newest });
    await again.stream?.events.first('d again', ({ data }) => data.includes('"d"'));
    expect(heard(again.stream)).toEqual(['d']);
    expect(await back.stream?.ended).toBe('end');
    again.stream?.close();
  });

  it('12. What was kept of a GET stream is for its session alone, and where nothing is known of it, that is said.', async () => {
    const [{ client, stream }, other] = [await listening(), await connect()];
    one.push(log('mine'));
    const event = await stream?.events.first('mine', ({ data }) => data.includes('mine'));
    const asked = await other.get({ 'last-event-id': event?.id ?? '' });
    expect([asked.status, asked.message?.error?.message]).toEqual([
      400,
      'The events behind this id are not kept any more',
    ]);
    expect(stream?.isOver()).toBe(false);
    stream?.close();
    // These nodes share no Redis.
    expect((await moved(client).get({ 'last-event-id': event?.id ?? '' })).status).toBe(400);
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
