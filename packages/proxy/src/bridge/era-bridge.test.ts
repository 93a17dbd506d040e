import { ManualClock, MemoryLogger, SeededRandom } from '@signalbox/runtime/testing';
import { describe, expect, it } from 'vitest';
import { defaultRequestLimits } from '../mcp/request-limits.ts';
import { MemoryHub, MemoryState } from '../nodes/memory-state.ts';
import { NodeCalls } from '../nodes/node-calls.ts';
import { randomSessionKeys } from '../session/session-keys.ts';
import { type FakeUpstreamCall, FakeUpstream } from '../testing/fake-upstream.ts';
import type { UpstreamExchange, UpstreamHandler, UpstreamRequest } from '../upstream/upstream.ts';
import { EraBridge } from './era-bridge.ts';

const place = { origin: 'http://server', poolKey: 'acme/server', method: 'POST', target: '/mcp' } as const;
const timeouts = { connectMs: 1_000, headMs: 1_000, idleMs: 1_000, totalMs: 5_000 };

/** An answer that came through the bridge. */
class Heard implements UpstreamHandler {
  status = 0;
  readonly headers = new Map<string, string>();
  text = '';
  ended = false;
  error = '';
  exchange: UpstreamExchange | undefined;

  onHead(head: Parameters<UpstreamHandler['onHead']>[0]): void {
    this.status = head.status;
    for (const name of ['content-type', 'mcp-session-id']) {
      const value = head.header(name);
      if (value !== undefined) this.headers.set(name, value);
    }
  }

  onData(chunk: Buffer): void {
    this.text += chunk.toString('utf8');
  }

  onEnd(): void {
    this.ended = true;
  }

  onError({ code }: { readonly code: string }): void {
    this.error = code;
  }

  /** Messages in order, from JSON or events. */
  get messages(): {
    id?: unknown;
    method?: string;
    params?: unknown;
    result?: Record<string, unknown>;
    error?: unknown;
  }[] {
    if (this.headers.get('content-type') !== 'text/event-stream')
      return this.text === '' ? [] : [JSON.parse(this.text) as object];
    return [...this.text.matchAll(/^data: (.*)$/gm)].map(([, data = '']) => JSON.parse(data) as object);
  }
}

class Bridge {
  readonly upstream = new FakeUpstream();
  readonly clock = new ManualClock();
  readonly #bridge: EraBridge;

  constructor() {
    const random = new SeededRandom(1);
    const limits = defaultRequestLimits;
    const { upstream, clock } = this;
    const state = new MemoryState(new MemoryHub(clock, limits.nodes), 'node-1');
    const nodeCalls = new NodeCalls({ state, clock, random, logger: new MemoryLogger(), limits: limits.nodes });
    this.#bridge = new EraBridge({
      ...{ upstream, clock, random, limits, nodeCalls, state },
      sessionKeys: randomSessionKeys(random),
    });
  }

  send(request: Partial<UpstreamRequest>, body?: unknown): Heard {
    const heard = new Heard();
    const bytes = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
    heard.exchange = this.#bridge.dispatch(
      { ...place, headers: [], safeToResend: false, timeouts, body: bytes, ...request },
      heard,
    );
    return heard;
  }

  /** A modern client's request for a legacy server. */
  modern(
    message: { id?: unknown; method: string; params?: object },
    options: { caller?: string; capabilities?: object } = {},
  ): Heard {
    const _meta = {
      'io.modelcontextprotocol/protocolVersion': '2026-07-28',
      'io.modelcontextprotocol/clientCapabilities': options.capabilities ?? { elicitation: {}, sampling: {} },
      'io.modelcontextprotocol/clientInfo': { name: 'c', version: '1' },
    };
    const { id = 'c1', method, params } = message;
    const body = { jsonrpc: '2.0', id, method, params: { ...params, _meta } };
    return this.send({ headers: ['Mcp-Method', method], legacyFor: options.caller ?? 'alice' }, body);
  }

  /** The server's part: takes everybody in, and says yes to what is only said. */
  serveLegacy(onCall: (call: FakeUpstreamCall) => void = () => undefined): void {
    let sessions = 0;
    this.upstream.onCall = (call) => {
      if (call.message.method === 'initialize') {
        sessions += 1;
        const capabilities = { tools: { listChanged: true }, resources: { subscribe: true } };
        const result = { protocolVersion: '2025-11-25', capabilities, serverInfo: { name: 's', version: '1' } };
        return call.result(result, { 'mcp-session-id': `session-${sessions}` });
      }
      if (call.request.method === 'GET') return;
      if (call.message.method === undefined || call.message.id === undefined) return call.answer('', { status: 202 });
      onCall(call);
    };
  }

  calls(method: string): FakeUpstreamCall[] {
    return this.upstream.calls.filter((call) => call.message.method === method);
  }
}

const settled = async () => {
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
};

/** A call whose server has asked for a name, and the state that its client got. */
async function parked(bridge: Bridge, caller = 'alice'): Promise<{ call: FakeUpstreamCall; state: string }> {
  const first = bridge.modern({ method: 'tools/call', params: { name: 't' } }, { caller });
  await settled();
  const call = bridge.calls('tools/call').at(-1) as FakeUpstreamCall;
  call.openEvents();
  call.event({
    jsonrpc: '2.0',
    id: 77,
    method: 'elicitation/create',
    params: { message: 'Name?', requestedSchema: {} },
  });
  await bridge.clock.advance(10);
  const [answer] = first.messages;
  expect(answer).toMatchObject({
    id: 'c1',
    result: { resultType: 'input_required', inputRequests: { 'input-1': { method: 'elicitation/create' } } },
  });
  return { call, state: String(answer?.result?.['requestState']) };
}

describe('a modern client at a legacy server', () => {
  it('shares a session with its own requests, and with nobody who differs', async () => {
    const bridge = new Bridge();
    bridge.serveLegacy((call) => call.result({ content: [] }));
    for (const caller of ['alice', 'alice', 'bob']) {
      const heard = bridge.modern({ method: 'tools/call', params: { name: 't' } }, { caller });
      await settled();
      expect(heard.messages).toEqual([{ jsonrpc: '2.0', id: 'c1', result: { resultType: 'complete', content: [] } }]);
    }
    bridge.modern({ method: 'tools/call', params: { name: 't' } }, { capabilities: {} });
    await settled();
    expect(bridge.calls('initialize')).toHaveLength(3);
    expect(bridge.calls('tools/call').map((call) => call.header('mcp-session-id'))).toEqual([
      ...['session-1', 'session-1', 'session-2', 'session-3'],
    ]);
    expect(bridge.calls('tools/call')[0]?.message).toEqual({
      jsonrpc: '2.0',
      id: 'c1',
      method: 'tools/call',
      params: { name: 't', _meta: {} },
    });
  });

  it('begins the session again, once, when the server has lost it', async () => {
    const bridge = new Bridge();
    let lost = true;
    bridge.serveLegacy((call) => {
      if (lost) call.answer({ jsonrpc: '2.0', id: null, error: { code: -32_001, message: 'no' } }, { status: 404 });
      else call.result({ content: [] });
      lost = false;
    });
    const heard = bridge.modern({ method: 'tools/call', params: { name: 't' } });
    await settled();
    expect(heard.messages[0]?.result).toEqual({ resultType: 'complete', content: [] });
    expect(bridge.calls('initialize')).toHaveLength(2);
  });

  it('is asked for input, and goes on with the same call when it comes back', async () => {
    const bridge = new Bridge();
    bridge.serveLegacy();
    const { call, state } = await parked(bridge);
    expect(call.paused).toBe(true);
    const inputResponses = { 'input-1': { action: 'accept', content: { name: 'A' } }, unknown: {} };
    const retry = bridge.modern({
      id: 'c2',
      method: 'tools/call',
      params: { name: 't', inputResponses, requestState: state },
    });
    await settled();
    const answer = bridge.upstream.calls.find(({ message }) => message.method === undefined && message.id === 77);
    expect(answer?.message).toEqual({ jsonrpc: '2.0', id: 77, result: inputResponses['input-1'] });
    expect(call.paused).toBe(false);
    call.resultEvent({ content: [{ type: 'text', text: 'hello A' }] });
    const result = { resultType: 'complete', content: [{ type: 'text', text: 'hello A' }] };
    expect(retry.messages).toEqual([{ jsonrpc: '2.0', id: 'c2', result }]);
    expect(bridge.calls('tools/call')).toHaveLength(1);
  });

  it('is asked again for what is missing, and told what is no answer', async () => {
    const bridge = new Bridge();
    bridge.serveLegacy();
    const { state } = await parked(bridge);
    const params = { name: 't', requestState: state };
    const wrong = bridge.modern({
      id: 'c2',
      method: 'tools/call',
      params: { ...params, inputResponses: { 'input-1': 5 } },
    });
    await settled();
    expect(wrong.messages[0]).toMatchObject({ id: 'c2', error: { code: -32_602 } });
    const missing = bridge.modern({ id: 'c3', method: 'tools/call', params });
    await settled();
    expect(missing.messages[0]).toMatchObject({ id: 'c3', result: { inputRequests: { 'input-1': {} } } });
  });

  it.each([
    ['of another caller', { caller: 'bob' }],
    ['for another tool', { name: 'other' }],
    ['that was changed', { state: (state: string) => `${state.slice(0, -2)}xx` }],
    ['that has expired', { afterMs: defaultRequestLimits.bridge.parkedMs + 1 }],
  ])(
    'cannot use a state %s, and the server hears nothing of it',
    async (_, differs: { caller?: string; name?: string; state?: (state: string) => string; afterMs?: number }) => {
      const bridge = new Bridge();
      bridge.serveLegacy();
      const { state } = await parked(bridge);
      if (differs.afterMs !== undefined) await bridge.clock.advance(differs.afterMs);
      await settled();
      const before = bridge.upstream.calls.length;
      const inputResponses = { 'input-1': { action: 'accept' } };
      const params = { name: differs.name ?? 't', inputResponses, requestState: differs.state?.(state) ?? state };
      const heard = bridge.modern({ id: 'c2', method: 'tools/call', params }, { caller: differs.caller ?? 'alice' });
      await settled();
      expect(heard.messages).toMatchObject([{ id: 'c2', error: { code: -32_602 } }]);
      expect(bridge.upstream.calls).toHaveLength(before);
    },
  );

  it('cancels by leaving; a call that nobody comes back for is cancelled after a while', async () => {
    const bridge = new Bridge();
    bridge.serveLegacy();
    const heard = bridge.modern({ method: 'tools/call', params: { name: 't' } });
    await settled();
    heard.exchange?.abort();
    expect(bridge.calls('notifications/cancelled')[0]?.message.params).toMatchObject({ requestId: 'c1' });
    const { call } = await parked(bridge);
    await bridge.clock.advance(defaultRequestLimits.bridge.parkedMs + 1);
    expect(bridge.calls('notifications/cancelled')).toHaveLength(2);
    expect(call.aborted).toBe(true);
  });

  it('hears which capability it lacks when the server asks for what it has not declared', async () => {
    const bridge = new Bridge();
    bridge.serveLegacy();
    const heard = bridge.modern({ method: 'tools/call', params: { name: 't' } }, { capabilities: {} });
    await settled();
    const call = bridge.calls('tools/call')[0] as FakeUpstreamCall;
    call.openEvents();
    call.event({ jsonrpc: '2.0', id: 1, method: 'sampling/createMessage', params: {} });
    expect(heard.status).toBe(400);
    expect(heard.messages[0]).toMatchObject({
      error: { code: -32_021, data: { requiredCapabilities: { sampling: {} } } },
    });
  });

  it('is sent to the URLs that a server wants visited first, and calls again afterwards', async () => {
    const bridge = new Bridge();
    const elicitations = [{ mode: 'url', elicitationId: 'e', url: 'https://consent.example', message: 'Consent' }];
    let consented = false;
    bridge.serveLegacy((call) => {
      const error = { code: -32_042, message: 'visit', data: { elicitations } };
      if (consented) call.result({ content: [] });
      else call.answer({ jsonrpc: '2.0', id: '$id', error });
    });
    const heard = bridge.modern({ method: 'tools/call', params: { name: 't' } });
    await settled();
    const result = heard.messages[0]?.result;
    const params = { mode: 'url', message: 'Consent', url: 'https://consent.example' };
    expect(result?.['inputRequests']).toEqual({ 'visit-1': { method: 'elicitation/create', params } });
    consented = true;
    const inputResponses = { 'visit-1': { action: 'accept' } };
    const again = bridge.modern({
      method: 'tools/call',
      params: { name: 't', inputResponses, requestState: result?.['requestState'] },
    });
    await settled();
    expect(again.messages[0]?.result).toEqual({ resultType: 'complete', content: [] });
  });

  it('gets progress under its own token, and log messages only from the level on that it asked for', async () => {
    const bridge = new Bridge();
    bridge.serveLegacy();
    const _meta = { progressToken: 5 };
    const level = { 'io.modelcontextprotocol/logLevel': 'warning' };
    const claims = { 'io.modelcontextprotocol/clientCapabilities': {} };
    const body = {
      jsonrpc: '2.0',
      id: 'c1',
      method: 'tools/call',
      params: { name: 't', _meta: { ..._meta, ...level, ...claims } },
    };
    const heard = bridge.send({ headers: ['Mcp-Method', 'tools/call'], legacyFor: 'alice' }, body);
    await settled();
    const call = bridge.calls('tools/call')[0] as FakeUpstreamCall;
    call.openEvents();
    const log = (said: string) =>
      call.event({ jsonrpc: '2.0', method: 'notifications/message', params: { level: said, data: said } });
    log('info');
    log('error');
    call.event({ jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken: 5, progress: 1 } });
    call.event({ jsonrpc: '2.0', method: 'notifications/tools/list_changed' });
    call.resultEvent({ content: [] });
    expect(heard.messages.map(({ method, params }) => [method, params])).toEqual([
      ['notifications/message', { level: 'error', data: 'error' }],
      ['notifications/progress', { progressToken: 5, progress: 1 }],
      [undefined, undefined],
    ]);
  });

  it('listens by a session of its own, which ends with it', async () => {
    const bridge = new Bridge();
    bridge.serveLegacy((call) => call.result({}));
    const notifications = { toolsListChanged: true, promptsListChanged: true, resourceSubscriptions: ['test://a'] };
    const heard = bridge.modern({ method: 'subscriptions/listen', params: { notifications } });
    await settled();
    expect(heard.messages[0]).toMatchObject({
      method: 'notifications/subscriptions/acknowledged',
      params: { notifications: { toolsListChanged: true, resourceSubscriptions: ['test://a'] } },
    });
    expect(bridge.calls('resources/subscribe')[0]?.message.params).toEqual({ uri: 'test://a' });
    const stream = bridge.upstream.calls.find(({ request }) => request.method === 'GET') as FakeUpstreamCall;
    stream.openEvents();
    stream.event({ jsonrpc: '2.0', method: 'notifications/prompts/list_changed' });
    stream.event({ jsonrpc: '2.0', method: 'notifications/resources/updated', params: { uri: 'test://b' } });
    stream.event({ jsonrpc: '2.0', method: 'notifications/resources/updated', params: { uri: 'test://a' } });
    const _meta = { 'io.modelcontextprotocol/subscriptionId': 'c1' };
    expect(heard.messages.slice(1)).toEqual([
      { jsonrpc: '2.0', method: 'notifications/resources/updated', params: { _meta, uri: 'test://a' } },
    ]);
    heard.exchange?.abort();
    expect(bridge.upstream.last.request.method).toBe('DELETE');
  });
});

describe('a legacy client at a modern server', () => {
  /** A session that the bridge has begun for a client. */
  function begun(bridge: Bridge): string {
    const params = {
      protocolVersion: '2025-11-25',
      capabilities: { elicitation: {} },
      clientInfo: { name: 'c', version: '1' },
    };
    const heard = bridge.send({}, { jsonrpc: '2.0', id: 'i', method: 'initialize', params });
    bridge.upstream.last.answer(
      { jsonrpc: '2.0', id: '$id', error: { code: -32_022, message: 'no' } },
      { status: 400 },
    );
    bridge.upstream.last.result({
      resultType: 'complete',
      supportedVersions: ['2026-07-28'],
      capabilities: { tools: {} },
    });
    return heard.headers.get('mcp-session-id') ?? '';
  }

  const inSession = (session: string) => ({ headers: ['Mcp-Session-Id', session] });

  it('answers what the server asks, on the stream of its call', async () => {
    const bridge = new Bridge();
    const session = begun(bridge);
    const heard = bridge.send(inSession(session), {
      jsonrpc: '2.0',
      id: 'c1',
      method: 'tools/call',
      params: { name: 't' },
    });
    const params = { message: 'Name?', requestedSchema: {} };
    const inputRequests = { user: { method: 'elicitation/create', params } };
    bridge.upstream.last.result({ resultType: 'input_required', inputRequests, requestState: 'st/ate' });
    const [question] = heard.messages;
    expect(question).toMatchObject({ method: 'elicitation/create', params });
    const answered = bridge.send(inSession(session), {
      jsonrpc: '2.0',
      id: question?.id,
      result: { action: 'decline' },
    });
    await settled();
    expect(answered.status).toBe(202);
    expect(bridge.upstream.last.message).toMatchObject({
      id: 'c1.1',
      params: { name: 't', inputResponses: { user: { action: 'decline' } }, requestState: 'st/ate' },
    });
    bridge.upstream.last.result({ resultType: 'complete', content: [] });
    expect(heard.messages.at(-1)).toEqual({ jsonrpc: '2.0', id: 'c1', result: { content: [] } });
    expect(heard.ended).toBe(true);
  });

  it('is asked a bounded number of times, and has a bounded time for each', async () => {
    const bridge = new Bridge();
    const session = begun(bridge);
    const endless = bridge.send(inSession(session), { jsonrpc: '2.0', id: 'c1', method: 'tools/call' });
    const rounds = defaultRequestLimits.bridge.rounds;
    for (let round = 0; round <= rounds; round += 1)
      bridge.upstream.last.result({ resultType: 'input_required', requestState: 's' });
    expect(endless.messages).toMatchObject([
      { id: 'c1', error: { message: `The server asks more than ${rounds} times` } },
    ]);
    const slow = bridge.send(inSession(session), { jsonrpc: '2.0', id: 'c2', method: 'tools/call' });
    bridge.upstream.last.result({ resultType: 'input_required', inputRequests: { r: { method: 'roots/list' } } });
    await bridge.clock.advance(defaultRequestLimits.bridge.answerMs + 1);
    expect(slow.messages.at(-1)).toMatchObject({ id: 'c2', error: { code: -32_603 } });
    await settled();
  });

  it('cancels by a notification, which closes the server’s stream', async () => {
    const bridge = new Bridge();
    const session = begun(bridge);
    bridge.send(inSession(session), { jsonrpc: '2.0', id: 'c1', method: 'tools/call' });
    const call = bridge.upstream.last;
    const heard = bridge.send(inSession(session), {
      jsonrpc: '2.0',
      method: 'notifications/cancelled',
      params: { requestId: 'c1' },
    });
    await settled();
    expect([call.aborted, heard.status]).toEqual([true, 202]);
  });

  it('hears of changes on its GET stream, of resources as it subscribes to them', async () => {
    const bridge = new Bridge();
    const session = begun(bridge);
    const stream = bridge.send({ ...inSession(session), method: 'GET', body: undefined });
    await settled();
    const first = bridge.upstream.last;
    first.openEvents();
    first.event({ jsonrpc: '2.0', method: 'notifications/subscriptions/acknowledged', params: {} });
    bridge.send(inSession(session), {
      jsonrpc: '2.0',
      id: 's',
      method: 'resources/subscribe',
      params: { uri: 'test://a' },
    });
    const second = bridge.upstream.last;
    expect(second.message.params).toMatchObject({
      notifications: { toolsListChanged: true, resourceSubscriptions: ['test://a'] },
    });
    second.openEvents();
    second.event({ jsonrpc: '2.0', method: 'notifications/subscriptions/acknowledged', params: {} });
    expect(first.aborted).toBe(true);
    const _meta = { 'io.modelcontextprotocol/subscriptionId': 'x' };
    second.event({ jsonrpc: '2.0', method: 'notifications/resources/updated', params: { uri: 'test://a', _meta } });
    await settled();
    expect(stream.messages).toEqual([
      { jsonrpc: '2.0', method: 'notifications/resources/updated', params: { uri: 'test://a', _meta: {} } },
    ]);
    bridge.send({ ...inSession(session), method: 'DELETE', body: undefined });
    await settled();
    expect([stream.ended, second.aborted]).toEqual([true, true]);
  });

  const annotated = {
    name: 't',
    inputSchema: { type: 'object', properties: { region: { type: 'string', 'x-mcp-header': 'Region' } } },
  };
  const toolCall = {
    jsonrpc: '2.0',
    id: 'c1',
    method: 'tools/call',
    params: { name: 't', arguments: { region: 'Zürich' } },
  };

  it('is begun by a server that takes its revision only when asked again', () => {
    const bridge = new Bridge();
    const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'c', version: '1' } };
    const heard = bridge.send({}, { jsonrpc: '2.0', id: 'i', method: 'initialize', params });
    const data = { supported: ['2026-07-28'], requested: 'x' };
    const refuse = () =>
      bridge.upstream.last.answer(
        { jsonrpc: '2.0', id: '$id', error: { code: -32_022, message: 'no', data } },
        { status: 400 },
      );
    refuse();
    refuse();
    expect(bridge.calls('server/discover')).toHaveLength(2);
    bridge.upstream.last.result({ resultType: 'complete', supportedVersions: ['2026-07-28'], capabilities: {} });
    expect(heard.messages).toMatchObject([{ id: 'i', result: { protocolVersion: '2025-11-25' } }]);
  });

  it('sends as headers what tools want there, as lists have said, and leaves out tools that want it wrongly', () => {
    const bridge = new Bridge();
    const session = begun(bridge);
    const listed = bridge.send(inSession(session), { jsonrpc: '2.0', id: 'l', method: 'tools/list' });
    const wrong = { name: 'w', inputSchema: { properties: { a: { type: 'number', 'x-mcp-header': 'A' } } } };
    bridge.upstream.last.result({ resultType: 'complete', tools: [annotated, wrong, { name: 'plain' }] });
    expect(listed.messages[0]?.result).toEqual({ tools: [annotated, { name: 'plain' }] });
    bridge.send(inSession(session), toolCall);
    expect(bridge.upstream.last.header('mcp-param-region')).toBe('=?base64?WsO8cmljaA==?=');
    bridge.send(inSession(session), { ...toolCall, params: { name: 't', arguments: { region: null } } });
    expect(bridge.upstream.last.header('mcp-param-region')).toBeUndefined();
  });

  it('looks at the tools anew, and calls once more, when its server misses such a header', async () => {
    const bridge = new Bridge();
    const session = begun(bridge);
    const heard = bridge.send(inSession(session), toolCall);
    const miss = () =>
      bridge.upstream.last.answer(
        { jsonrpc: '2.0', id: '$id', error: { code: -32_020, message: 'missing' } },
        { status: 400 },
      );
    miss();
    await settled();
    expect(bridge.upstream.last.message.method).toBe('tools/list');
    bridge.upstream.last.result({ resultType: 'complete', tools: [{ name: 'other' }], nextCursor: 'next' });
    expect(bridge.upstream.last.message).toMatchObject({ method: 'tools/list', params: { cursor: 'next' } });
    bridge.upstream.last.result({ resultType: 'complete', tools: [annotated] });
    expect(bridge.upstream.last.header('mcp-param-region')).toBe('=?base64?WsO8cmljaA==?=');
    miss();
    expect(heard.messages).toMatchObject([{ id: 'c1', error: { code: -32_603 } }]);
    expect(bridge.calls('tools/call')).toHaveLength(2);
  });

  it('is refused when it answers what nobody has asked', async () => {
    const bridge = new Bridge();
    const session = begun(bridge);
    const heard = bridge.send(inSession(session), { jsonrpc: '2.0', id: 'made-up', result: {} });
    await settled();
    expect(heard.status).toBe(400);
  });
});
