import { describe, expect, it } from 'vitest';
import type { FakeExchange } from '../testing/fake-exchange.ts';
import { modernVersion, RequestPath, type RequestPathOptions, tableOf } from '../testing/request-path.ts';

const log = (n: number) => ({ jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data: n } });
const listChanged = { jsonrpc: '2.0', method: 'notifications/tools/list_changed' };
const subscriptionId = 'io.modelcontextprotocol/subscriptionId';

/** A session with its GET stream open. */
async function openGet(options: RequestPathOptions = {}) {
  const path = new RequestPath(options);
  const session = await path.initialize();
  const stream = get(path, session);
  const upstream = path.upstream.last;
  upstream.openEvents();
  return { path, session, stream, upstream };
}

function get(path: RequestPath, session: Record<string, string>, headers: Record<string, string> = {}): FakeExchange {
  return path.send({ method: 'GET', headers: { ...session, accept: 'text/event-stream', ...headers } });
}

/** A tool call whose answer is an event stream. */
async function openCall(options: RequestPathOptions = {}, params: object = { name: 'echo' }) {
  const path = new RequestPath(options);
  const session = await path.initialize();
  const stream = await path.request(session, 'tools/call', params, 'call-1');
  const upstream = path.upstream.last;
  upstream.openEvents();
  return { path, session, stream, upstream };
}

async function openListen(options: RequestPathOptions = {}, notifications: object = { toolsListChanged: true }) {
  const path = new RequestPath(options);
  const stream = await path.modern('subscriptions/listen', { notifications }, { id: 7 });
  const upstream = path.upstream.last;
  upstream.openEvents();
  const meta = { [subscriptionId]: upstream.message.id };
  upstream.event({
    jsonrpc: '2.0',
    method: 'notifications/subscriptions/acknowledged',
    params: { notifications, _meta: meta },
  });
  return { path, stream, upstream, meta };
}

/** Lets the path learn which tools there are. */
async function listTools(path: RequestPath, session: Record<string, string>, ...names: string[]): Promise<void> {
  await path.request(session, 'tools/list');
  path.upstream.last.result({ tools: names.map((name) => ({ name })) });
}

describe('the event stream of a call', () => {
  it('passes events on byte for byte, and the answer under the id of the client', async () => {
    const { path, stream, upstream } = await openCall();
    expect(stream.headers).toMatchObject({ 'content-type': 'text/event-stream', 'x-accel-buffering': 'no' });
    const token = JSON.stringify(upstream.message.id);
    const odd = `: comment\n\nid: 1\ndata:\n\nevent: message\r\nid: 2\r\ndata: {"jsonrpc":"2.0","method":"x","params":{"t":${token}}}\r\n\r\n`;
    upstream.data(odd);
    upstream.data(`event: message\nid: 3\ndata: {"result":{"e":${token}},"jsonrpc":"2.0","id":${token}}\n\n`);
    upstream.end();
    const last = `event: message\nid: 3\ndata: {"result":{"e":${token}},"jsonrpc":"2.0","id":"call-1"}\n\n`;
    expect(stream.text).toBe(odd + last);
    expect(stream.ended).toBe(true);
    expect(path.events.at(-1)).toMatchObject({ error: '', status: 200, responseBytes: stream.bytes.length });
  });

  it('is the same however its bytes are cut', async () => {
    const whole = await openCall();
    const token = JSON.stringify(whole.upstream.message.id);
    const text = `data: {"é":"ü"}\r\n\r\nid: 2\ndata: {"jsonrpc":"2.0",\ndata: "id":${token},"result":{}}\n\n`;
    const bytes = Buffer.from(text);
    for (const byte of bytes) whole.upstream.data(Buffer.from([byte]));
    whole.upstream.end();
    expect(whole.stream.events[0]).toEqual({ é: 'ü' });
    expect(whole.stream.text).toContain('"id":"call-1"');
    expect(whole.stream.text).toContain('id: 2\n');
    expect(whole.stream.text).not.toContain(token);
  });

  it('ends in order without an answer when the upstream lets the client come back for it', async () => {
    const { stream, upstream, path } = await openCall();
    upstream.event(log(1), 'event-1');
    upstream.end();
    expect(stream.ended).toBe(true);
    expect(stream.events).toEqual([log(1)]);
    expect(path.events.at(-1)).toMatchObject({ error: '' });
  });

  it('ends with an error when the upstream broke it and the client cannot come back', async () => {
    const { stream, upstream, path } = await openCall();
    upstream.event(log(1));
    upstream.end();
    expect(stream.events.at(-1)).toMatchObject({ id: 'call-1', error: { code: -32603 } });
    expect(path.events.at(-1)).toMatchObject({ error: 'upstream_failed' });
  });

  it('has one answer, the first under its id; others of the upstream are nobody’s', async () => {
    const { stream, upstream, path } = await openCall();
    const beside = await path.request(await path.initialize(), 'tools/call', { name: 'echo' }, 'call-1');
    upstream.event({ jsonrpc: '2.0', id: 'sb.nobody', result: { stray: 1 } });
    upstream.resultEvent({ content: [] });
    upstream.resultEvent({ content: ['again'] });
    upstream.end();
    expect(stream.events).toEqual([{ jsonrpc: '2.0', id: 'call-1', result: { content: [] } }]);
    expect(path.metrics.expose()).toMatch(/signalbox_upstream_stray_answers_total 2/);
    expect(beside.answered).toBe(false);
  });

  it('ends with an error when an event exceeds the bound', async () => {
    const { stream, upstream } = await openCall({ limits: { eventBytes: 1_000 } });
    upstream.data(`data: ${'x'.repeat(2_000)}`);
    expect(stream.events.at(-1)).toMatchObject({ id: 'call-1', error: { code: -32603 } });
    expect(upstream.aborted).toBe(true);
  });

  it('outlives its client upstream', async () => {
    const { path, stream, upstream } = await openCall();
    stream.leave();
    expect(upstream.aborted).toBe(false);
    expect(path.streams.size).toBe(0);
    upstream.resultEvent({});
    upstream.end();
    expect(path.events.filter(({ method }) => method === 'tools/call')).toMatchObject([{ error: 'client_gone' }]);
  });

  it('ends with a reason when policy withdraws the tool, and the upstream hears of it', async () => {
    const { path, stream, upstream } = await openCall();
    upstream.event(log(1));
    await path.swap({ revision: 9, deny: ['tool.name == "echo"'] });
    expect(stream.events.at(-1)).toMatchObject({
      id: 'call-1',
      error: { message: 'Permission was withdrawn (revision 9)', data: { reason: 'revoked', revision: 9 } },
    });
    expect(stream.ended).toBe(true);
    expect(upstream.aborted).toBe(true);
    expect(path.upstream.last.message).toMatchObject({
      method: 'notifications/cancelled',
      params: { requestId: upstream.message.id },
    });
    expect(path.events.at(-1)).toMatchObject({ error: 'revoked' });
  });

  it('is re-checked with its arguments', async () => {
    const { path, stream } = await openCall({}, { name: 'echo', arguments: { amount: 5 } });
    await path.swap({ revision: 2, deny: ['tool.name == "echo" && args.amount > 10'] });
    expect(stream.ended).toBe(false);
    await path.swap({ revision: 3, deny: ['tool.name == "echo" && args.amount > 4'] });
    expect(stream.ended).toBe(true);
  });

  it.each([
    ['the key is taken away', { apiKeys: { 'bob-key': 'bob' } }, 'revoked'],
    ['the key is given to another', { apiKeys: { 'alice-key': 'eve' } }, 'revoked'],
    ['the backend is another', { backendUrl: 'http://127.0.0.1:3999/mcp' }, 'backend_changed'],
    ['the route is gone', { routes: ['other'] }, 'route_removed'],
  ])('ends with a reason when %s', async (_what, change, reason) => {
    const { path, stream, upstream } = await openCall();
    await path.swap(change as object);
    expect(stream.events.at(-1)).toMatchObject({ id: 'call-1', error: { data: { reason } } });
    expect([stream.ended, upstream.aborted]).toEqual([true, true]);
    expect(path.events.at(-1)).toMatchObject({ error: reason });
  });

  it('notices nothing of changes that are not about it', async () => {
    const { path, stream, upstream } = await openCall();
    for (let revision = 2; revision < 10; revision += 1) {
      await path.swap({ revision, routes: ['assistant', `other-${revision}`], deny: [`tool.name == "t${revision}"`] });
    }
    upstream.resultEvent({ done: true });
    upstream.end();
    expect(stream.events).toEqual([{ jsonrpc: '2.0', id: 'call-1', result: { done: true } }]);
  });

  it('runs on while the node drains', async () => {
    const { path, stream, upstream } = await openCall();
    await path.streams.drain(0, AbortSignal.abort());
    expect(stream.ended).toBe(false);
    upstream.resultEvent({});
    upstream.end();
    expect(stream.ended).toBe(true);
  });

  it('is re-checked when a swap came between admission and its first event', async () => {
    const path = new RequestPath();
    const session = await path.initialize();
    const stream = await path.request(session, 'tools/call', { name: 'echo' });
    const upstream = path.upstream.last;
    path.tables.swap(tableOf({ revision: 2, deny: ['tool.name == "echo"'] }));
    upstream.openEvents();
    await path.settled();
    expect(stream.events.at(-1)).toMatchObject({ error: { data: { reason: 'revoked' } } });
  });
});

describe('a GET stream', () => {
  it('carries what the upstream says, in the session of the upstream', async () => {
    const { stream, upstream } = await openGet();
    expect(upstream.request.method).toBe('GET');
    expect(upstream.header('mcp-session-id')).toBe('upstream-1');
    upstream.data('id: 1\ndata: {"a":1}\n\n');
    upstream.data('id: 2\nretry: 5\ndata: {"a":2}\n\n');
    expect(stream.text).toBe('id: 1\ndata: {"a":1}\n\nid: 2\nretry: 5\ndata: {"a":2}\n\n');
  });

  it('resumes where the client says, and gives a replayed answer back under the id of the client', async () => {
    const { path, session, upstream: call } = await openCall();
    const token = JSON.stringify(call.message.id);
    const other = new RequestPath({ sessionKeys: path.sessionKeys, seed: 5 });
    const stream = get(other, session, { 'last-event-id': 'event-4' });
    expect(other.upstream.last.header('last-event-id')).toBe('event-4');
    other.upstream.last.openEvents();
    other.upstream.last.data(`id: event-5\ndata: {"result":{"t":${token}},"jsonrpc":"2.0","id":${token}}\n\n`);
    expect(stream.text).toBe(`id: event-5\ndata: {"result":{"t":${token}},"jsonrpc":"2.0","id":"call-1"}\n\n`);
  });

  it('does not give a replayed answer back that policy has withdrawn since', async () => {
    const { path, session, upstream: call } = await openCall();
    await path.swap({ deny: ['tool.name == "echo"'] });
    const stream = get(path, session, { 'last-event-id': 'event-4' });
    path.upstream.last.openEvents();
    path.upstream.last.event({ result: { secret: 1 }, jsonrpc: '2.0', id: call.message.id }, 'event-5');
    expect(stream.events).toMatchObject([{ id: 'call-1', error: { message: 'Permission was withdrawn' } }]);
    expect(stream.text).not.toContain('secret');
  });

  it('is one of several of its session, and what the gateway says goes on exactly one', async () => {
    const { path, session, stream: first } = await openGet();
    await listTools(path, session, 'echo', 'other');
    const second = get(path, session);
    path.upstream.last.openEvents();
    await path.swap({ revision: 2, deny: ['tool.name == "other"'] });
    expect([first.events, second.events]).toEqual([[listChanged], []]);
    first.leave();
    await path.swap({ revision: 3 });
    expect(second.events).toEqual([listChanged]);
  });

  it.each([
    [404, 404, -32001],
    [400, 400, -32603],
  ])('cannot be resumed where the upstream says %i, having no such events any more: %i', async (said, status, code) => {
    const { path, session } = await openGet();
    const resumed = get(path, session, { 'last-event-id': 'long ago' });
    expect(path.upstream.last.header('last-event-id')).toBe('long ago');
    path.upstream.last.head(said);
    expect([resumed.status, resumed.json]).toMatchObject([status, { error: { code } }]);
  });

  it('is served by the gateway alone when the upstream has none', async () => {
    const path = new RequestPath();
    const session = await path.initialize();
    const stream = get(path, session);
    path.upstream.last.head(405);
    expect(stream.status).toBe(200);
    const stateless = await path.initialize({ upstreamSession: '' });
    const calls = path.upstream.calls.length;
    const alone = get(path, stateless);
    expect(alone.status).toBe(200);
    expect(path.upstream.calls).toHaveLength(calls);
    await path.swap({ deny: ['tool.name == "echo"'] });
    for (const one of [stream, alone]) expect(one.events).toEqual([listChanged]);
  });

  it('is 404 when the upstream has lost the session', async () => {
    const path = new RequestPath();
    const session = await path.initialize();
    const stream = get(path, session);
    path.upstream.last.head(404);
    expect(stream.status).toBe(404);
    expect(get(path, session).status).toBe(404);
  });

  it('cuts the upstream off when its client leaves', async () => {
    const { path, stream, upstream } = await openGet();
    stream.leave();
    expect(upstream.aborted).toBe(true);
    expect(path.streams.size).toBe(0);
    expect(path.events.at(-1)).toMatchObject({ method: 'GET', error: 'client_gone', status: 200 });
  });

  it('ends with its session', async () => {
    const { path, session, stream } = await openGet();
    path.send({ method: 'DELETE', headers: session });
    expect(stream.ended).toBe(true);
  });

  it('says between two events that the tools changed, to those whose view did', async () => {
    const { path, session, stream, upstream } = await openGet();
    await listTools(path, session, 'echo', 'other');
    upstream.data('data: {"a":1}\n\ndata: {"b"');
    await path.swap({ revision: 2, deny: ['tool.name == "unrelated"'] });
    expect(stream.events).toEqual([{ a: 1 }]);
    await path.swap({ revision: 3, deny: ['tool.name == "other"'] });
    upstream.data(':2}\n\n');
    await path.swap({ revision: 4, deny: ['tool.name == "other" && principal.subject == "alice"'] });
    expect(stream.events).toEqual([{ a: 1 }, listChanged, { b: 2 }]);
    await path.swap({ revision: 5 });
    expect(stream.events).toEqual([{ a: 1 }, listChanged, { b: 2 }, listChanged]);
    expect(stream.ended).toBe(false);
  });

  it('ends with a warning that says why when its credential is withdrawn', async () => {
    const { path, stream, upstream } = await openGet();
    await path.swap({ revision: 4, apiKeys: {} });
    expect(stream.events).toEqual([
      {
        jsonrpc: '2.0',
        method: 'notifications/message',
        params: {
          level: 'warning',
          logger: 'signalbox',
          data: { message: 'The credential is no longer accepted (revision 4)', reason: 'revoked', revision: 4 },
        },
      },
    ]);
    expect([stream.ended, upstream.aborted]).toEqual([true, true]);
  });

  it('hides updates of resources that policy hides', async () => {
    const { path, stream, upstream } = await openGet();
    const updated = (uri: string) => ({ jsonrpc: '2.0', method: 'notifications/resources/updated', params: { uri } });
    upstream.event(updated('test://a'));
    upstream.event(updated('file:///secret'));
    await path.swap({ allow: ['resource.uri == "test://b"'] });
    upstream.event(updated('test://a'));
    upstream.event(updated('test://b'));
    expect(stream.events).toEqual([updated('test://a'), listChanged, updated('test://b')]);
  });

  it('is told to come back when the node stops', async () => {
    const { path, stream, upstream } = await openGet();
    await path.streams.drain(0, AbortSignal.abort());
    expect(stream.text).toMatch(/^retry: ?\d+\n\n$/);
    expect([stream.ended, upstream.aborted]).toEqual([true, true]);
    expect(path.events.at(-1)).toMatchObject({ error: 'drained' });
  });

  it('gets a comment when it has been quiet for long, and only then', async () => {
    const { path, stream, upstream } = await openGet();
    await path.clock.advance(14_000);
    upstream.event(log(1));
    await path.clock.advance(9_000);
    expect(stream.text.split('\n').filter((line) => line.startsWith(':'))).toHaveLength(0);
    await path.clock.advance(40_000);
    expect(stream.text.split('\n').filter((line) => line.startsWith(':')).length).toBeGreaterThanOrEqual(2);
    stream.leave();
    expect(path.clock.pending).toBe(0);
  });

  it('slows the upstream down, and cuts off a client that never takes anything', async () => {
    const { path, stream, upstream } = await openGet({ limits: { streamBufferBytes: 10_000 } });
    stream.taking = false;
    upstream.event(log(1));
    expect(upstream.paused).toBe(true);
    stream.takeAll();
    expect(upstream.paused).toBe(false);
    stream.taking = false;
    for (let i = 0; i < 300; i += 1) upstream.event(log(i));
    expect([stream.aborted, upstream.aborted]).toEqual([true, true]);
    expect(path.events.at(-1)).toMatchObject({ error: 'slow_client' });
    expect(path.streams.size).toBe(0);
  });

  it('is refused when the node has too many streams', async () => {
    const { path, session } = await openGet({ maxStreams: 1 });
    const second = get(path, session);
    path.upstream.last.openEvents();
    expect(second.status).toBe(503);
    expect(path.upstream.last.aborted).toBe(true);
  });
});

describe('subscriptions/listen', () => {
  it('names the id of the client as its subscription, everywhere', async () => {
    const { stream, upstream, meta } = await openListen();
    upstream.event({ jsonrpc: '2.0', method: 'notifications/tools/list_changed', params: { _meta: meta } });
    upstream.event({ jsonrpc: '2.0', id: upstream.message.id, result: { resultType: 'complete', _meta: meta } });
    upstream.end();
    expect(stream.events).toEqual([
      {
        jsonrpc: '2.0',
        method: 'notifications/subscriptions/acknowledged',
        params: { notifications: { toolsListChanged: true }, _meta: { [subscriptionId]: 7 } },
      },
      { jsonrpc: '2.0', method: 'notifications/tools/list_changed', params: { _meta: { [subscriptionId]: 7 } } },
      { jsonrpc: '2.0', id: 7, result: { resultType: 'complete', _meta: { [subscriptionId]: 7 } } },
    ]);
    expect(stream.ended).toBe(true);
  });

  it('asks the upstream only for resources that policy allows', async () => {
    const notifications = { resourceSubscriptions: ['test://a', 'file:///b', 'test://c'], promptsListChanged: true };
    const { upstream } = await openListen({}, notifications);
    expect(upstream.message.params).toMatchObject({
      notifications: { resourceSubscriptions: ['test://a', 'test://c'], promptsListChanged: true },
    });
  });

  it('says that the tools changed, if it asked for that', async () => {
    const asked = await openListen();
    const silent = await openListen({}, { promptsListChanged: true });
    for (const { path } of [asked, silent]) await path.swap({ deny: ['tool.name == "echo"'] });
    expect(asked.stream.events.at(-1)).toEqual({ ...listChanged, params: { _meta: { [subscriptionId]: 7 } } });
    expect(silent.stream.events).toHaveLength(1);
    expect(silent.stream.ended).toBe(false);
  });

  it('ends with a result that names the reason when its route is removed', async () => {
    const { path, stream, upstream } = await openListen();
    await path.swap({ revision: 3, routes: ['other'] });
    expect(stream.events.at(-1)).toEqual({
      jsonrpc: '2.0',
      id: 7,
      result: {
        resultType: 'complete',
        _meta: {
          [subscriptionId]: 7,
          'dev.signalbox/reason': 'The route was removed (revision 3)',
          'dev.signalbox/revision': 3,
        },
      },
    });
    expect([stream.ended, upstream.aborted]).toEqual([true, true]);
  });

  it('ends when one of its resources is withdrawn', async () => {
    const { path, stream } = await openListen({}, { resourceSubscriptions: ['test://a'] });
    await path.swap({ deny: ['resource.uri == "test://a"'] });
    expect(stream.events.at(-1)).toMatchObject({ id: 7, result: { resultType: 'complete' } });
    expect(path.events.at(-1)).toMatchObject({ error: 'revoked', protocolVersion: modernVersion });
  });

  it('ends with a result when the node stops', async () => {
    const { path, stream, upstream } = await openListen();
    await path.streams.drain(0, AbortSignal.abort());
    expect(stream.events.at(-1)).toMatchObject({ id: 7, result: { resultType: 'complete' } });
    expect([stream.ended, upstream.aborted]).toEqual([true, true]);
  });

  it('cuts the upstream off when its client leaves', async () => {
    const { stream, upstream } = await openListen();
    stream.leave();
    expect(upstream.aborted).toBe(true);
  });
});
