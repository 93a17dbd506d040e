import { SeededRandom } from '@signalbox/runtime/testing';
import { describe, expect, it } from 'vitest';
import { defaultRequestLimits } from '../mcp/request-limits.ts';
import { SharedStateError } from '../nodes/shared-state.ts';
import { randomSessionKeys } from '../session/session-keys.ts';
import type { FakeExchange } from '../testing/fake-exchange.ts';
import type { FakeUpstreamCall } from '../testing/fake-upstream.ts';
import { isProbe, RequestPath, type RequestPathOptions } from '../testing/request-path.ts';

/** Two nodes of one gateway. */
function twoNodes(options: RequestPathOptions = {}): { a: RequestPath; b: RequestPath } {
  const a = new RequestPath(options);
  const { hub, clock, sessionKeys } = a;
  return { a, b: new RequestPath({ ...options, hub, clock, sessionKeys, seed: 2 }) };
}

/** Lets letters between nodes arrive, and what they cause. */
async function delivered(...paths: readonly RequestPath[]): Promise<void> {
  for (const path of [...paths, ...paths]) await path.settled();
}

const elicitation = { message: 'Name?', requestedSchema: {} };
const able = { 'io.modelcontextprotocol/clientCapabilities': { elicitation: {} } };

/** Serves a node's legacy upstream: no to what is modern, yes to `initialize` and what is only said. */
function serveLegacy(path: RequestPath): void {
  path.upstream.onCall = (call) => {
    if (isProbe(call))
      return call.answer({ jsonrpc: '2.0', id: null, error: { code: -32_000, message: 'no' } }, { status: 400 });
    const { message } = call;
    if (message.method === 'initialize') {
      const result = {
        protocolVersion: '2025-11-25',
        capabilities: { tools: {} },
        serverInfo: { name: 's', version: '1' },
      };
      return call.result(result, { 'mcp-session-id': 'upstream-1' });
    }
    if (message.method === undefined || message.id === undefined) return call.answer('', { status: 202 });
  };
}

const toolCalls = (path: RequestPath): FakeUpstreamCall[] =>
  path.upstream.calls.filter(({ message }) => message.method === 'tools/call');

/** A modern client's call at node A whose server asks for a name. */
async function parked(a: RequestPath): Promise<{ call: FakeUpstreamCall; state: string }> {
  serveLegacy(a);
  const asked = await a.modern('tools/call', { name: 'echo' }, { probe: false, meta: able });
  await delivered(a);
  const call = toolCalls(a).at(-1) as FakeUpstreamCall;
  call.openEvents();
  call.event({ jsonrpc: '2.0', id: 77, method: 'elicitation/create', params: elicitation });
  await a.clock.advance(10);
  const { result } = asked.json as { result: { resultType: string; requestState: string } };
  expect(result.resultType).toBe('input_required');
  return { call, state: result.requestState };
}

const answers = { inputResponses: { 'input-1': { action: 'accept', content: { name: 'A' } } } };

async function retry(path: RequestPath, state: string, name = 'echo', key = 'alice-key'): Promise<FakeExchange> {
  serveLegacy(path);
  const params = { name, ...answers, requestState: state };
  const options = { id: 'second', probe: false, meta: able, headers: { authorization: `Bearer ${key}` } };
  return path.modern('tools/call', params, options);
}

describe('a call of a modern client that waits for input at node A', () => {
  it('27. goes on when its client comes back to node B, which answers what the server says', async () => {
    const { a, b } = twoNodes();
    const { call, state } = await parked(a);
    const heard = await retry(b, state);
    await delivered(b, a);
    const answer = a.upstream.calls.find(({ message }) => message.id === 77);
    expect(answer?.message).toEqual({ jsonrpc: '2.0', id: 77, result: answers.inputResponses['input-1'] });
    call.resultEvent({ content: [{ type: 'text', text: 'hello A' }] });
    await delivered(a, b);
    const content = [{ type: 'text', text: 'hello A' }];
    expect(heard.json).toEqual({ jsonrpc: '2.0', id: 'second', result: { resultType: 'complete', content } });
    expect(toolCalls(b)).toEqual([]);
    expect(toolCalls(a)).toHaveLength(1);
  });

  it('20. is asked again wherever it comes back to, round by round', async () => {
    const { a, b } = twoNodes();
    const first = await parked(a);
    const second = await retry(b, first.state);
    await delivered(b, a);
    first.call.event({ jsonrpc: '2.0', id: 78, method: 'elicitation/create', params: elicitation });
    await a.clock.advance(10);
    await delivered(a, b);
    const { result } = second.json as { result: { inputRequests: object; requestState: string } };
    expect(Object.keys(result.inputRequests)).toEqual(['input-2']);
    const meta = able;
    const params = {
      name: 'echo',
      inputResponses: { 'input-2': { action: 'decline' } },
      requestState: result.requestState,
    };
    const third = await a.modern('tools/call', params, { id: 'third', probe: false, meta });
    await delivered(a);
    first.call.resultEvent({ content: [] });
    await delivered(a);
    expect(third.json).toMatchObject({ id: 'third', result: { resultType: 'complete' } });
  });

  it('21. is not reached from node B by another caller or for another tool', async () => {
    const { a, b } = twoNodes();
    const { call, state } = await parked(a);
    for (const heard of [await retry(b, state, 'other'), await retry(b, state, 'echo', 'bob-key')]) {
      await delivered(b, a);
      expect(heard.json).toMatchObject({ id: 'second', error: { code: -32602 } });
    }
    expect([...a.upstream.calls, ...b.upstream.calls].some(({ message }) => message.id === 77)).toBe(false);
    expect(call.aborted).toBe(false);
  });

  it('is refused in so many words when node A is gone, or does not know it any more', async () => {
    const { a, b } = twoNodes();
    const { state } = await parked(a);
    await a.state.stop();
    const gone = await retry(b, state);
    await delivered(b);
    expect(gone.json).toMatchObject({
      error: {
        code: -32602,
        message: 'the node where the call waited is gone: make the request again without requestState',
      },
    });
    a.state.start();
    const again = await parked(a);
    const answered = await retry(b, again.state);
    await delivered(b, a);
    again.call.resultEvent({ content: [] });
    await delivered(a, b);
    expect(answered.json).toHaveProperty('result');
    const late = await retry(b, again.state);
    await delivered(b, a);
    expect(late.json).toMatchObject({
      error: { code: -32602, message: expect.stringContaining('no longer waits') as string },
    });
  });

  it('is refused in time when node A says nothing', async () => {
    const { a, b } = twoNodes();
    const { state } = await parked(a);
    a.state.mail.onLetter(() => undefined);
    const heard = await retry(b, state);
    await b.clock.advance(defaultRequestLimits.nodes.acceptMs + 1);
    expect(heard.json).toMatchObject({ error: { code: -32602 } });
  });

  it('24. is cancelled at its server when its client leaves node B, and when node B goes', async () => {
    for (const leave of [
      (heard: FakeExchange) => heard.leave(),
      async (_: FakeExchange, b: RequestPath) => {
        await b.state.stop();
        await b.clock.advance(defaultRequestLimits.nodes.leaseMs + 1);
      },
    ]) {
      const { a, b } = twoNodes();
      const { call, state } = await parked(a);
      const heard = await retry(b, state);
      await delivered(b, a);
      await leave(heard, b);
      await delivered(b, a);
      expect(call.aborted).toBe(true);
      expect(a.upstream.last.message.method).toBe('notifications/cancelled');
    }
  });
});

describe('a legacy session on two nodes', () => {
  it('is over on both once one of them has ended it, streams included', async () => {
    const { a, b } = twoNodes();
    const session = await a.initialize();
    const stream = b.send({ method: 'GET', headers: { ...session, accept: 'text/event-stream' } });
    b.upstream.last.openEvents();
    a.send({ method: 'DELETE', headers: session });
    await delivered(a, b);
    expect(stream.ended).toBe(true);
    expect((await b.request(session, 'ping')).status).toBe(404);
  });

  it('is over on a node that did not know it, too, and on one that comes later', async () => {
    const { a, b } = twoNodes();
    const session = await a.initialize();
    a.send({ method: 'DELETE', headers: session });
    await delivered(a, b);
    const { hub, clock, sessionKeys } = a;
    const later = new RequestPath({ hub, clock, sessionKeys, seed: 3 });
    for (const path of [b, later]) expect((await path.request(session, 'ping')).status).toBe(404);
  });

  it('has been used when any node has used it, by requests or an open stream', async () => {
    const { a, b } = twoNodes({ limits: { sessionIdleMs: 60_000 } });
    const session = await a.initialize();
    await a.clock.advance(50_000);
    void b.request(session, 'ping');
    await a.clock.advance(50_000);
    void a.request(session, 'ping', undefined, 'at a');
    await delivered(a);
    expect(a.upstream.last.message.method).toBe('ping');
    const stream = b.send({ method: 'GET', headers: { ...session, accept: 'text/event-stream' } });
    b.upstream.last.openEvents();
    await a.clock.advance(180_000);
    void a.request(session, 'ping', undefined, 'again');
    await delivered(a);
    expect(a.upstream.calls.filter(({ message }) => message.method === 'ping')).toHaveLength(2);
    expect(stream.ended).toBe(false);
  });

  it('has not been used when no node has, and where nobody can say so', async () => {
    const { a, b } = twoNodes({ limits: { sessionIdleMs: 60_000 } });
    const [session, other] = [await a.initialize(), await a.initialize({ upstreamSession: 'upstream-2' })];
    await a.clock.advance(50_000);
    for (const each of [session, other]) {
      void b.request(each, 'ping');
      await delivered(b);
      b.upstream.last.result({});
    }
    const get = () => Promise.reject(new SharedStateError('away'));
    Object.assign(a.state, { records: { get, put: get, delete: get } });
    await a.clock.advance(20_000);
    expect((await a.request(other, 'ping')).status).toBe(404);
    await b.clock.advance(60_000);
    expect((await b.request(session, 'ping')).status).toBe(404);
  });

  it('can cancel at one node what it has begun at the other', async () => {
    const { a, b } = twoNodes();
    const session = await a.initialize();
    await a.request(session, 'tools/call', { name: 'echo' }, 7);
    const call = a.upstream.last;
    const cancelled = await b.post(
      { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 7 } },
      session,
    );
    await delivered(b, a);
    expect(cancelled.status).toBe(202);
    expect(a.upstream.last.message).toMatchObject({
      method: 'notifications/cancelled',
      params: { requestId: call.message.id },
    });
  });

  it('whose facts do not fit into its id is found by the other node, and asked for once', async () => {
    const { a, b } = twoNodes();
    const session = await a.initialize({ upstreamSession: 'x'.repeat(5_000) });
    expect(session['mcp-session-id']?.length).toBeLessThan(300);
    for (const id of [1, 2]) {
      void b.request(session, 'ping', undefined, id);
      await delivered(b);
      expect(b.upstream.last.header('mcp-session-id')).toHaveLength(5_000);
    }
    const foreign = { ...session, authorization: 'Bearer bob-key' };
    expect((await b.request(foreign, 'ping')).status).toBe(404);
    b.send({ method: 'DELETE', headers: session });
    await delivered(b, a);
    expect((await a.request(session, 'ping')).status).toBe(404);
  });
});

describe('nodes of which one has the next key already', () => {
  it('open what the others have sealed: sessions, states and ids of events', async () => {
    const random = new SeededRandom(7);
    const [[before], [next]] = [randomSessionKeys(random), randomSessionKeys(random)];
    const a = new RequestPath({ sessionKeys: [before, next] });
    const { hub, clock } = a;
    const b = new RequestPath({ hub, clock, sessionKeys: [next, before], seed: 2 });
    for (const [one, other] of [
      [a, b],
      [b, a],
    ] as const) {
      const session = await one.initialize();
      expect(session['mcp-session-id']?.startsWith(one.sessionKeys[0].id)).toBe(true);
      void other.request(session, 'ping');
      await delivered(other);
      expect(other.upstream.last.message.method).toBe('ping');
      const stream = await one.request(session, 'tools/call', { name: 'echo' }, 7);
      const call = one.upstream.last;
      call.openEvents();
      for (const n of [1, 2]) call.event({ jsonrpc: '2.0', method: 'notifications/message', params: { data: n } });
      const id = /^id: (.*)$/m.exec(stream.text)?.[1] ?? '';
      const headers = { ...session, accept: 'text/event-stream', 'last-event-id': id };
      const resumed = other.send({ method: 'GET', headers });
      await delivered(other, one);
      expect(resumed.events).toMatchObject([{ params: { data: 2 } }]);
      const { call: waiting, state } = await parked(one);
      const heard = await retry(other, state);
      await delivered(other, one);
      waiting.resultEvent({ content: [] });
      await delivered(one, other);
      expect(heard.json).toHaveProperty('result');
    }
  });
});

describe('a legacy client at a modern server, on two nodes', () => {
  const listens = ({ upstream }: RequestPath): FakeUpstreamCall[] =>
    upstream.calls.filter(({ message }) => message.method === 'subscriptions/listen');

  it('hears at one node of what it has subscribed to at the other, and gets logs at the level that it set there', async () => {
    const { a, b } = twoNodes();
    const session = await bridgedSession(a);
    a.send({ method: 'GET', headers: { ...session, accept: 'text/event-stream' } });
    await delivered(a);
    await b.request(session, 'resources/subscribe', { uri: 'test://a' });
    await b.request(session, 'logging/setLevel', { level: 'warning' });
    await delivered(b, a);
    const wanted = { notifications: { resourceSubscriptions: ['test://a'] } };
    expect(listens(a).at(-1)?.message.params).toMatchObject(wanted);
    await a.request(session, 'tools/call', { name: 'echo' });
    expect(a.upstream.last.message.params).toMatchObject({ _meta: { 'io.modelcontextprotocol/logLevel': 'warning' } });
    const { hub, clock, sessionKeys } = a;
    const later = new RequestPath({ hub, clock, sessionKeys, seed: 3 });
    later.send({ method: 'GET', headers: { ...session, accept: 'text/event-stream' } });
    await delivered(later);
    expect(listens(later).at(-1)?.message.params).toMatchObject(wanted);
    await later.request(session, 'resources/unsubscribe', { uri: 'test://a' });
    await delivered(later, a);
    expect(listens(a).at(-1)?.message.params).toMatchObject({ notifications: { resourceSubscriptions: [] } });
  });
});

describe('a question of a modern server to a legacy client', () => {
  it('is answered through any node', async () => {
    const { a, b } = twoNodes();
    const session = await bridgedSession(a);
    const stream = await a.request(session, 'tools/call', { name: 'echo' }, 7);
    const inputRequests = { user: { method: 'elicitation/create', params: elicitation } };
    a.upstream.last.result({ resultType: 'input_required', inputRequests, requestState: 's' });
    const [question] = stream.events as { id: string }[];
    const answer = { jsonrpc: '2.0', id: question?.id, result: { action: 'decline' } };
    const foreign = await b.post(answer, await bridgedSession(b));
    const answered = await b.post(answer, session);
    await delivered(b, a);
    expect([foreign.status, answered.status]).toEqual([502, 202]);
    expect(a.upstream.last.message).toMatchObject({
      params: { inputResponses: { user: { action: 'decline' } }, requestState: 's' },
    });
    a.upstream.last.result({ resultType: 'complete', content: [] });
    expect(stream.events.at(-1)).toEqual({ jsonrpc: '2.0', id: 7, result: { content: [] } });
    const late = await b.post(answer, session);
    await delivered(b, a);
    expect(late.status).toBe(502);
  });
});

/** A session of a legacy client at a server that speaks only the modern era. */
async function bridgedSession(path: RequestPath): Promise<Record<string, string>> {
  const params = {
    protocolVersion: '2025-11-25',
    capabilities: { elicitation: {} },
    clientInfo: { name: 'c', version: '1' },
  };
  const headers = { authorization: 'Bearer alice-key' };
  const exchange = await path.post({ jsonrpc: '2.0', id: 0, method: 'initialize', params }, headers);
  path.upstream.last.answer({ jsonrpc: '2.0', id: '$id', error: { code: -32_022, message: 'no' } }, { status: 400 });
  path.upstream.last.result({ resultType: 'complete', supportedVersions: ['2026-07-28'], capabilities: { tools: {} } });
  await path.settled();
  return {
    ...headers,
    'mcp-session-id': exchange.headers['mcp-session-id'] ?? '',
    'mcp-protocol-version': '2025-11-25',
  };
}
