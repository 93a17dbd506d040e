import { describe, expect, it } from 'vitest';
import { RequestPath, type RequestPathOptions } from '../testing/request-path.ts';
import type { FakeUpstreamCall } from '../testing/fake-upstream.ts';
import { sentHeaders } from '../upstream/request-head.ts';

/** A node whose only MCP route says more, and has a policy with limits. */
function node(route: object, limits?: object, options: RequestPathOptions = {}): RequestPath {
  const place = { gateway: 'default', match: { path: '/acme/assistant' }, mcp: { virtualServer: 'assistant' } };
  const more: RequestPathOptions['more'] = [
    ['Route', 'assistant', { ...place, ...route }],
    ...(limits ? [['Policy', 'bounds', { target: { tenant: {} }, limits }] as const] : []),
  ];
  return new RequestPath({ allow: ['true'], routes: [], more, ...options });
}

/** A header as it goes out. */
function sent(call: FakeUpstreamCall, name: string): string | undefined {
  const headers = sentHeaders(call.request);
  const at = headers.findIndex((text, i) => i % 2 === 0 && text.toLowerCase() === name);
  return at < 0 ? undefined : headers[at + 1];
}

const usual = { headMs: 60_000, idleMs: 300_000, totalMs: 300_000 };

describe('header fields of an MCP route', () => {
  const changes = {
    requestHeaderModifier: { set: [{ name: 'X-Team', value: 'agents' }], remove: ['traceparent'] },
    responseHeaderModifier: { set: [{ name: 'cache-control', value: 'no-store' }], add: [{ name: 'x-a', value: 'b' }] },
  };

  it('are changed in whatever goes upstream: calls, sessions, streams', async () => {
    const path = node(changes);
    const session = await path.initialize();
    const { upstream } = path;
    expect(sent(upstream.last, 'x-team')).toBe('agents');
    const traced = { ...session, traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' };
    await path.request(traced, 'tools/call', { name: 'echo' });
    expect([sent(upstream.last, 'x-team'), sent(upstream.last, 'traceparent')]).toEqual(['agents', undefined]);
    expect(sent(upstream.last, 'mcp-session-id')).toBe('upstream-1');
    path.send({ method: 'GET', headers: { ...session, accept: 'text/event-stream' } });
    expect([upstream.last.request.method, sent(upstream.last, 'x-team')]).toEqual(['GET', 'agents']);
  });

  it('are changed at every member of a virtual server', async () => {
    const federated = {
      members: [
        { backend: 'tools', prefix: 'a' },
        { backend: 'more', prefix: 'b' },
      ],
    };
    const path = node(changes, undefined, { federated });
    await path.post({
      ...{ jsonrpc: '2.0', id: 0, method: 'initialize' },
      params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'test', version: '1' } },
    });
    expect(path.upstream.calls.map((call) => sent(call, 'x-team'))).toEqual(['agents', 'agents']);
  });

  it('are changed in answers and streams, and in the gateway’s own errors', async () => {
    const path = node(changes);
    const session = await path.initialize();
    const answer = await path.request(session, 'tools/call', { name: 'echo' });
    path.upstream.last.result({ content: [] });
    expect(answer.headers).toMatchObject({
      'content-type': 'application/json',
      'cache-control': 'no-store',
      'x-a': 'b',
    });
    const stream = await path.request(session, 'tools/call', { name: 'echo' });
    path.upstream.last.openEvents();
    expect(stream.headers).toMatchObject({ 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    expect((await path.request(session, 'nothing/such')).headers['x-a']).toBe('b');
  });
});

describe('timeouts of an MCP route', () => {
  it('hold for messages, and idle also for streams', async () => {
    const path = node({ timeouts: { request: '10s', backendRequest: '5s', idle: '3s' } });
    const session = await path.initialize();
    expect(path.upstream.last.request.timeouts).toMatchObject({ headMs: 5_000, idleMs: 3_000, totalMs: 10_000 });
    path.send({ method: 'GET', headers: { ...session, accept: 'text/event-stream' } });
    expect(path.upstream.last.request.timeouts).toMatchObject({ headMs: 60_000, idleMs: 3_000, totalMs: 3_600_000 });
  });

  it('let a message that may take longer be silent for as long', async () => {
    const path = node({ timeouts: { request: '20m' } });
    await path.initialize();
    expect(path.upstream.last.request.timeouts).toMatchObject({
      headMs: 60_000,
      idleMs: 1_200_000,
      totalMs: 1_200_000,
    });
  });

  it('are the node’s own where nothing is said', async () => {
    const path = node({});
    await path.initialize();
    expect(path.upstream.last.request.timeouts).toMatchObject(usual);
    expect(path.upstream.last.request.peer).not.toHaveProperty('requestHeaders');
  });
});

describe('limits of one call', () => {
  it('bound its time and its answer, and nothing of the protocol itself', async () => {
    const path = node({ timeouts: { request: '1m' } }, { timeout: '30s', responseBytes: '64Ki' });
    const session = await path.initialize();
    await path.request(session, 'tools/list');
    expect(path.upstream.last.request).toMatchObject({ timeouts: { totalMs: 60_000 }, maxBodyBytes: undefined });
    const exchange = await path.request(session, 'tools/call', { name: 'echo' });
    expect(path.upstream.last.request.timeouts).toMatchObject({ headMs: 30_000, idleMs: 30_000, totalMs: 30_000 });
    expect(path.upstream.last.request.maxBodyBytes).toBe(65_536);
    path.upstream.last.fail('too-large');
    expect(exchange.json).toMatchObject({ error: { code: -32603 } });
    expect(path.events.at(-1)).toMatchObject({ error: 'upstream_too_large', decision: 'allow' });
  });

  it('are the tightest of all policies, and at a member of a virtual server also those on its backend', async () => {
    const federated = {
      members: [
        { backend: 'tools', prefix: 'a' },
        { backend: 'more', prefix: 'b' },
      ],
    };
    const place = { gateway: 'default', match: { path: '/acme/assistant' }, mcp: { virtualServer: 'assistant' } };
    const path = new RequestPath({
      ...{ allow: ['true'], routes: [], federated },
      more: [
        ['Route', 'assistant', place],
        ['Policy', 'all', { target: { tenant: {} }, limits: { timeout: '1m', responseBytes: '2Ki' } }],
        ['Policy', 'some', { target: { backend: 'tools' }, limits: { timeout: '20s', responseBytes: '4Ki' } }],
      ],
    });
    path.upstream.onCall = (call) => {
      if (call.message.method === 'server/discover')
        call.result({ supportedVersions: ['2026-07-28'], capabilities: {} });
    };
    await path.modern('tools/call', { name: 'a__echo' }, { probe: false });
    expect(path.upstream.last.message.params?.['name']).toBe('echo');
    expect(path.upstream.last.request).toMatchObject({ timeouts: { totalMs: 20_000 }, maxBodyBytes: 2_048 });
  });

  it('bound those of HTTP routes, with or without an answer that has begun', async () => {
    const path = node({}, undefined, {
      more: [
        ['Backend', 'orders', { http: { url: 'http://127.0.0.1:4000' } }],
        ['Route', 'orders', { gateway: 'default', match: { path: '/acme/orders' }, http: { backend: 'orders' } }],
        ['Policy', 'bounds', { target: { route: 'orders' }, limits: { timeout: '5s', responseBytes: '10' } }],
      ],
    });
    const get = () =>
      path.send({ method: 'GET', path: '/acme/orders', headers: { authorization: 'Bearer alice-key' } });
    const first = get();
    expect(path.upstream.last.request).toMatchObject({ timeouts: { totalMs: 5_000 }, maxBodyBytes: 10 });
    path.upstream.last.fail('too-large');
    expect(first).toMatchObject({ status: 502 });
    expect(first.json).toMatchObject({ code: 'upstream_too_large' });
    const second = get();
    path.upstream.last.head(200);
    path.upstream.last.data('0123456789');
    path.upstream.last.fail('too-large');
    expect(second).toMatchObject({ status: 200, aborted: true });
  });
});

describe('a limit of calls under way', () => {
  it('refuses what is beyond it, and lets the next one in when one has ended', async () => {
    const path = node({}, { concurrent: 1 });
    const session = await path.initialize();
    await path.request(session, 'tools/call', { name: 'slow' });
    const running = path.upstream.last;
    const refused = await path.request(session, 'tools/call', { name: 'slow' }, 2);
    expect(path.upstream.last).toBe(running);
    expect(refused.json).toMatchObject({ id: 2, result: { isError: true } });
    expect(refused.text).toContain('at most 1 may be under way');
    expect(refused.headers).toMatchObject({ 'retry-after': '1' });
    expect(refused.headers).not.toHaveProperty('x-ratelimit-limit');
    expect(path.events.at(-1)).toMatchObject({ decision: 'limited', rule: 'policy/bounds/limits' });
    await path.request(session, 'tools/list');
    running.result({ content: [] });
    await path.request(session, 'tools/call', { name: 'slow' }, 3);
    expect(path.upstream.last.message.method).toBe('tools/call');
  });

  it('counts each principal by itself, across a change of its number', async () => {
    const path = node({}, { concurrent: 1, per: ['PRINCIPAL'] });
    const [alice, bob] = [await path.initialize(), await path.initialize({ key: 'bob-key' })];
    const passes = async (session: Record<string, string>): Promise<boolean> => {
      const before = path.upstream.calls.length;
      await path.request(session, 'tools/call', { name: 'slow' });
      return path.upstream.calls.length > before;
    };
    expect([await passes(alice), await passes(bob), await passes(alice)]).toEqual([true, true, false]);
    const place = { gateway: 'default', match: { path: '/acme/assistant' }, mcp: { virtualServer: 'assistant' } };
    const limits = { concurrent: 2, per: ['PRINCIPAL'] };
    await path.swap({
      more: [
        ['Route', 'assistant', place],
        ['Policy', 'bounds', { target: { tenant: {} }, limits }],
      ],
    });
    expect([await passes(alice), await passes(alice)]).toEqual([true, false]);
  });

  it('counts a legacy call on until its answer is there, whether or not its client waits', async () => {
    const path = node({}, { concurrent: 1 });
    const session = await path.initialize();
    const left = await path.request(session, 'tools/call', { name: 'slow' });
    const running = path.upstream.last;
    left.leave();
    await path.request(session, 'tools/call', { name: 'slow' }, 2);
    expect(path.upstream.last).toBe(running);
    running.result({ content: [] });
    await path.request(session, 'tools/call', { name: 'slow' }, 3);
    expect(path.upstream.last).not.toBe(running);
  });

  it('counts a legacy stream on when its client has left, until it ends or its permission does', async () => {
    const path = node({}, { concurrent: 1 });
    const session = await path.initialize();
    const passes = async (): Promise<boolean> => {
      const before = path.upstream.calls.length;
      await path.request(session, 'tools/call', { name: 'slow' });
      return path.upstream.calls.length > before;
    };
    for (const end of ['ended', 'broken', 'withdrawn'] as const) {
      const exchange = await path.request(session, 'tools/call', { name: 'slow' });
      const running = path.upstream.last;
      running.openEvents();
      running.event({ jsonrpc: '2.0', method: 'notifications/message', params: {} });
      exchange.leave();
      expect(await passes()).toBe(false);
      if (end === 'ended') running.resultEvent({ content: [] });
      if (end === 'ended') running.end();
      if (end === 'broken') running.fail('closed-early');
      if (end === 'withdrawn') await path.swap({ allow: [] });
      if (end === 'withdrawn') running.end();
      if (end === 'withdrawn') await path.swap({ allow: ['true'], revision: 3 });
      expect(await passes()).toBe(true);
      path.upstream.last.result({ content: [] });
    }
  });

  it('uses up nothing of a rate, and a rate nothing of it', async () => {
    const path = node({}, { concurrent: 1, callsPerMinute: 60, burst: 2 });
    const session = await path.initialize();
    await path.request(session, 'tools/call', { name: 'slow' });
    for (let i = 0; i < 5; i += 1) await path.request(session, 'tools/call', { name: 'slow' });
    path.upstream.last.result({ content: [] });
    const second = await path.request(session, 'tools/call', { name: 'slow' });
    path.upstream.last.result({ content: [] });
    expect(second.json).toMatchObject({ result: { content: [] } });
    expect((await path.request(session, 'tools/call', { name: 'slow' })).text).toContain('a minute');
    await path.clock.advance(1_000);
    expect((await path.request(session, 'tools/call', { name: 'slow' })).answered).toBe(false);
  });

  it('counts requests of other routes, and streams until they end', async () => {
    const path = node({}, undefined, {
      more: [
        ['Backend', 'orders', { http: { url: 'http://127.0.0.1:4000' } }],
        ['Route', 'orders', { gateway: 'default', match: { path: '/acme/orders' }, http: { backend: 'orders' } }],
        ['Policy', 'bounds', { target: { route: 'orders' }, limits: { concurrent: 1 } }],
      ],
    });
    const get = () =>
      path.send({ method: 'GET', path: '/acme/orders', headers: { authorization: 'Bearer alice-key' } });
    const first = get();
    path.upstream.last.openEvents();
    const second = get();
    expect(second).toMatchObject({ status: 429 });
    expect(second.json).toMatchObject({ code: 'rate_limited' });
    first.leave();
    expect(get().answered).toBe(false);
    expect(path.metrics.expose()).toContain('signalbox_concurrency_limited_total 1');
  });
});
