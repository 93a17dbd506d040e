import { describe, expect, it } from 'vitest';
import { defaultRequestLimits } from '../mcp/request-limits.ts';
import type { FakeExchange } from '../testing/fake-exchange.ts';
import type { FakeUpstreamCall } from '../testing/fake-upstream.ts';
import { RequestPath, type RequestPathOptions } from '../testing/request-path.ts';

const log = (n: number) => ({ jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data: n } });

/** Two nodes of one gateway, which may be served by one server. */
function twoNodes(options: RequestPathOptions = {}): { a: RequestPath; b: RequestPath } {
  const a = new RequestPath(options);
  const { hub, clock, sessionKeys } = a;
  return { a, b: new RequestPath({ ...options, hub, clock, sessionKeys, seed: 2 }) };
}

async function delivered(...paths: readonly RequestPath[]): Promise<void> {
  for (const path of [...paths, ...paths, ...paths]) await path.settled();
}

/** A tool call at a node whose server answers with a stream and numbers nothing. */
async function openCall(path: RequestPath, options: { version?: string; params?: object } = {}) {
  const { version = '2025-11-25', params = { name: 'echo' } } = options;
  const session = await path.initialize({ version });
  const stream = await path.request(session, 'tools/call', params, 'call-1');
  const upstream = path.upstream.last;
  upstream.openEvents();
  return { session, stream, upstream };
}

/** A GET that goes on behind an event. */
async function resume(path: RequestPath, session: Record<string, string>, lastEventId = ''): Promise<FakeExchange> {
  const after: Record<string, string> = lastEventId === '' ? {} : { 'last-event-id': lastEventId };
  const exchange = path.send({ method: 'GET', headers: { ...session, accept: 'text/event-stream', ...after } });
  await delivered(path);
  return exchange;
}

function idsIn({ text }: FakeExchange): string[] {
  return [...text.matchAll(/^id: ?(.*)$/gm)].map(([, id = '']) => id);
}

const answered = (call: FakeUpstreamCall): void => call.resultEvent({ content: [] });
const result = { jsonrpc: '2.0', id: 'call-1', result: { content: [] } };

describe('the answer of a call whose stream broke', () => {
  it.each(['the same node', 'another node'])(
    '11. goes on at %s, only with what was missed, in order, once',
    async (at) => {
      const { a, b } = twoNodes();
      const { session, stream, upstream } = await openCall(a);
      for (const n of [1, 2, 3]) upstream.event(log(n));
      const ids = idsIn(stream);
      expect(new Set(ids).size).toBe(3);
      stream.leave();
      upstream.event(log(4));
      const path = at === 'another node' ? b : a;
      const resumed = await resume(path, session, ids[1]);
      await delivered(a, b);
      upstream.event(log(5));
      answered(upstream);
      upstream.end();
      await delivered(a, b);
      expect(resumed.events).toEqual([log(3), log(4), log(5), result]);
      expect(resumed.ended).toBe(true);
      expect(path.upstream.calls.filter(({ request }) => request.method === 'GET')).toEqual([]);
      expect(a.streams.size + b.streams.size).toBe(0);
    },
  );

  it('comes to a client that comes back after it has ended, and again to one that breaks off again', async () => {
    const { a, b } = twoNodes();
    const { session, stream, upstream } = await openCall(a);
    upstream.event(log(1));
    stream.leave();
    upstream.event(log(2));
    answered(upstream);
    upstream.end();
    for (const path of [b, a, b]) {
      const resumed = await resume(path, session, idsIn(stream)[0]);
      expect(resumed.events).toEqual([log(2), result]);
      expect(resumed.ended).toBe(true);
    }
  });

  it('is taken from the connection that the client left without a word', async () => {
    const { a, b } = twoNodes();
    const { session, stream, upstream } = await openCall(a);
    upstream.event(log(1));
    const resumed = await resume(b, session, idsIn(stream)[0]);
    await delivered(a, b);
    expect(stream.ended).toBe(true);
    answered(upstream);
    await delivered(a, b);
    expect(stream.events).toEqual([log(1)]);
    expect(resumed.events).toEqual([result]);
  });

  it('12. leads nowhere from another session, or by an id that was made up', async () => {
    const { a, b } = twoNodes();
    const { session, stream, upstream } = await openCall(a);
    upstream.event(log(1));
    upstream.event(log(2));
    const [id = ''] = idsIn(stream);
    const other = await a.initialize({ upstreamSession: 'upstream-2' });
    const bob = await a.initialize({ key: 'bob-key', upstreamSession: 'upstream-3' });
    const [, name, proof] = id.split('.');
    const madeUp = [`sbe.${name}.${proof}`, `sbe.AAAAAAAAAAAA.${proof}.1`, 'sbe.'];
    for (const [headers, lastEventId] of [
      [other, id],
      [bob, id],
      ...madeUp.map((each) => [session, each] as const),
    ] as const) {
      const refused = await resume(b, headers, lastEventId);
      expect(refused.status).toBe(400);
      expect(refused.text).not.toContain('notifications/message');
    }
    expect((await resume(b, { ...session, authorization: 'Bearer bob-key' }, id)).status).toBe(404);
  });

  it('14. cannot be gone on with where what was missed is not kept any more', async () => {
    const limits = { nodes: { ...defaultRequestLimits.nodes, streamEvents: 2 } };
    const { a, b } = twoNodes({ limits });
    const { session, stream, upstream } = await openCall(a);
    for (const n of [1, 2, 3, 4]) upstream.event(log(n));
    const ids = idsIn(stream);
    const refused = await resume(b, session, ids[0]);
    expect(refused.status).toBe(400);
    expect(refused.json).toMatchObject({ error: { code: -32602 } });
    const resumed = await resume(b, session, ids[1]);
    expect(resumed.events).toEqual([log(3), log(4)]);
    resumed.leave();
    upstream.end();
    await a.clock.advance(limits.nodes.streamEventMs + 1);
    expect((await resume(b, session, ids[2])).status).toBe(400);
  });

  it('ends with an error when the node that carried it is gone', async () => {
    const { a, b } = twoNodes();
    const { session, stream, upstream } = await openCall(a);
    upstream.event(log(1));
    upstream.event(log(2));
    stream.leave();
    const resumed = await resume(b, session, idsIn(stream)[0]);
    await a.state.stop();
    await b.clock.advance(defaultRequestLimits.nodes.leaseMs + 1);
    await delivered(b);
    expect(resumed.events).toEqual([
      log(2),
      expect.objectContaining({ id: 'call-1', error: { code: -32603, message: expect.any(String) as string } }),
    ]);
    expect(b.events.at(-1)).toMatchObject({ method: 'GET', error: 'node_gone' });
  });

  it('is only for those who still may call what it is about', async () => {
    const { a, b } = twoNodes();
    const { session, stream, upstream } = await openCall(a);
    upstream.event(log(1));
    upstream.event(log(2));
    stream.leave();
    const resumed = await resume(b, session, idsIn(stream)[0]);
    await b.swap({ revision: 9, deny: ['tool.name == "echo"'] });
    const refused = await resume(b, session, idsIn(stream)[0]);
    for (const heard of [resumed, refused]) {
      expect(heard.events.at(-1)).toMatchObject({ id: 'call-1', error: { code: -32000 } });
      expect(heard.ended).toBe(true);
    }
    expect(refused.events).toHaveLength(1);
    await a.swap({ revision: 9, deny: ['tool.name == "echo"'] });
    expect(upstream.aborted).toBe(true);
  });

  it('costs nothing where it is the only event, or the server numbers its events', async () => {
    const path = new RequestPath();
    const alone = await openCall(path);
    answered(alone.upstream);
    expect(alone.stream.text).toBe(`data: ${JSON.stringify(result)}\n\n`);
    const numbered = await openCall(path);
    numbered.upstream.event(log(1), 'own-1');
    answered(numbered.upstream);
    expect(idsIn(numbered.stream)).toEqual(['own-1']);
    await resume(path, numbered.session, 'own-1');
    expect(path.upstream.last.header('last-event-id')).toBe('own-1');
  });

  it('can be come back for before anything was said, from 2025-11-25 on', async () => {
    for (const [version, primed] of [
      ['2025-11-25', 1],
      ['2025-06-18', 0],
    ] as const) {
      const path = new RequestPath();
      const { session, stream, upstream } = await openCall(path, { version });
      await path.clock.advance(defaultRequestLimits.keepAliveMs);
      expect(idsIn(stream)).toHaveLength(primed);
      if (primed === 0) continue;
      stream.leave();
      answered(upstream);
      const resumed = await resume(path, session, idsIn(stream)[0]);
      expect(resumed.events).toEqual([result]);
    }
  });

  it('of a server that is a gateway like this one is come back for there', async () => {
    const path = new RequestPath();
    const { session, stream, upstream } = await openCall(path);
    upstream.event(log(1), 'sbe.AAAAAAAAAAAA.AAAAAAAAAAAAAAAA.1');
    expect(idsIn(stream)).toEqual(['sbu.sbe.AAAAAAAAAAAA.AAAAAAAAAAAAAAAA.1']);
    await resume(path, session, idsIn(stream)[0]);
    expect(path.upstream.last.header('last-event-id')).toBe('sbe.AAAAAAAAAAAA.AAAAAAAAAAAAAAAA.1');
  });

  it('is not kept where that is turned off', async () => {
    const path = new RequestPath({ limits: { nodes: { ...defaultRequestLimits.nodes, streamEvents: 0 } } });
    const { stream, upstream } = await openCall(path);
    upstream.event(log(1));
    expect(idsIn(stream)).toEqual([]);
  });
});

describe('a GET stream that broke', () => {
  async function openGet(path: RequestPath) {
    const session = await path.initialize();
    const stream = await resume(path, session);
    const upstream = path.upstream.last;
    upstream.openEvents();
    return { session, stream, upstream };
  }

  it('goes on at another node with what was missed, and then from the server: nothing twice, nothing lost', async () => {
    const { a, b } = twoNodes();
    const { session, stream, upstream } = await openGet(a);
    for (const n of [1, 2]) upstream.event(log(n));
    const resumed = await resume(b, session, idsIn(stream)[0]);
    await delivered(a, b);
    expect([stream.ended, upstream.aborted]).toEqual([true, true]);
    const again = b.upstream.last;
    expect([again.request.method, again.header('last-event-id')]).toEqual(['GET', undefined]);
    again.openEvents();
    again.event(log(3));
    expect(resumed.events).toEqual([log(2), log(3)]);
    const [, behind] = idsIn(resumed);
    const once = await resume(a, session, behind);
    a.upstream.last.openEvents();
    expect(once.events).toEqual([]);
    expect(resumed.ended).toBe(true);
  });

  it('can be gone on with however long it was quiet, as long as it was open', async () => {
    const { a, b } = twoNodes();
    const { session, stream, upstream } = await openGet(a);
    upstream.event(log(1));
    await a.clock.advance(defaultRequestLimits.nodes.streamEventMs * 2);
    stream.leave();
    const resumed = await resume(b, session, idsIn(stream)[0]);
    await delivered(a, b);
    expect(b.upstream.last.request.method).toBe('GET');
    expect(resumed.status).not.toBe(400);
  });

  it('goes on although its node is gone', async () => {
    const { a, b } = twoNodes();
    const { session, stream, upstream } = await openGet(a);
    for (const n of [1, 2]) upstream.event(log(n));
    await a.state.stop();
    const resumed = await resume(b, session, idsIn(stream)[0]);
    b.upstream.last.openEvents();
    expect(resumed.events).toEqual([log(2)]);
  });
});
