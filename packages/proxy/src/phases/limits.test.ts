import { describe, expect, it } from 'vitest';
import { RequestPath, type RequestPathOptions } from '../testing/request-path.ts';

type Resource = readonly [kind: string, name: string, spec: object];

function limited(limits: object, more: readonly Resource[] = [], options: RequestPathOptions = {}): RequestPath {
  const policy: Resource = ['Policy', 'pace', { target: { tenant: {} }, limits }];
  return new RequestPath({ more: [policy, ...more], allow: ['true'], ...options });
}

describe('a limit of calls', () => {
  it('is told to a model as the result of its tool', async () => {
    const path = limited({ callsPerMinute: 6, burst: 1 });
    const session = await path.initialize();
    await path.request(session, 'tools/call', { name: 'echo' });
    path.upstream.last.result({ content: [] });
    const before = path.upstream.calls.length;
    const exchange = await path.request(session, 'tools/call', { name: 'echo' }, 9);
    expect(exchange.status).toBe(200);
    expect(exchange.json).toEqual({
      ...{ jsonrpc: '2.0', id: 9 },
      result: {
        content: [
          { type: 'text', text: 'Too many calls: at most 6 a minute are allowed here. Try again in 10 seconds.' },
        ],
        isError: true,
      },
    });
    expect(exchange.headers).toMatchObject({ 'retry-after': '10', 'x-ratelimit-remaining': '0' });
    expect(path.upstream.calls).toHaveLength(before);
    expect(path.events.at(-1)).toMatchObject({
      ...{ decision: 'limited', rule: 'policy/pace/limits', error: 'rate_limited', tool: 'echo', status: 200 },
    });
    await path.clock.advance(10_000);
    await path.request(session, 'tools/call', { name: 'echo' });
    expect(path.upstream.calls).toHaveLength(before + 1);
  });

  it('is HTTP 429 for prompts and resources, and does not count the protocol itself', async () => {
    const path = limited({ callsPerMinute: 1, burst: 1 });
    const session = await path.initialize();
    for (const method of ['tools/list', 'ping', 'tools/list']) await path.request(session, method);
    await path.request(session, 'prompts/get', { name: 'a' });
    const exchange = await path.request(session, 'resources/read', { uri: 'test://a' });
    expect(exchange.status).toBe(429);
    expect(exchange.json).toMatchObject({ error: { code: -32000 } });
    expect(exchange.headers['retry-after']).toBe('60');
  });

  it('is not used up by what policy denies', async () => {
    const path = limited({ callsPerMinute: 1, burst: 1 }, [], { allow: ['tool.name == "echo"'] });
    const session = await path.initialize();
    for (let i = 0; i < 5; i += 1) await path.request(session, 'tools/call', { name: 'hidden' });
    await path.request(session, 'tools/call', { name: 'echo' });
    expect(path.upstream.last.message.params).toEqual({ name: 'echo' });
  });

  it('can be each principal’s own, or each tool’s', async () => {
    const path = limited({ callsPerMinute: 1, burst: 1, per: ['PRINCIPAL', 'TOOL'] });
    const [alice, bob] = [await path.initialize(), await path.initialize({ key: 'bob-key' })];
    const passes = async (session: Record<string, string>, name: string): Promise<boolean> => {
      const before = path.upstream.calls.length;
      await path.request(session, 'tools/call', { name });
      return path.upstream.calls.length > before;
    };
    expect([await passes(alice, 'a'), await passes(alice, 'a')]).toEqual([true, false]);
    expect([await passes(alice, 'b'), await passes(bob, 'a'), await passes(bob, 'a')]).toEqual([true, true, false]);
  });

  it('goes on across a change of something else', async () => {
    const path = limited({ callsPerMinute: 1, burst: 1 });
    const session = await path.initialize();
    await path.request(session, 'tools/call', { name: 'echo' });
    await path.swap({ allow: ['true', 'tool.name == "x"'] });
    const exchange = await path.request(session, 'tools/call', { name: 'echo' });
    expect(exchange.json).toMatchObject({ result: { isError: true } });
  });

  it('is HTTP 429 on HTTP routes, and a JSON-RPC error on A2A routes', async () => {
    const path = limited({ callsPerMinute: 2, burst: 2 }, [
      ['Backend', 'orders', { http: { url: 'http://127.0.0.1:4000' } }],
      ['Backend', 'planner', { a2a: { url: 'http://127.0.0.1:4001' } }],
      ['Route', 'orders', { gateway: 'default', match: { path: '/acme/orders' }, http: { backend: 'orders' } }],
      ['Route', 'planner', { gateway: 'default', match: { path: '/acme/planner' }, a2a: { backend: 'planner' } }],
    ]);
    const headers = { authorization: 'Bearer alice-key', 'content-type': 'application/json', 'a2a-version': '1.0' };
    const http = () => path.send({ method: 'GET', path: '/acme/orders', headers });
    expect([http().status, http().status]).toEqual([0, 0]);
    const third = http();
    expect(third).toMatchObject({ status: 429 });
    expect(third.json).toMatchObject({ code: 'rate_limited' });
    expect(third.headers).toMatchObject({ 'retry-after': '30', 'x-ratelimit-limit': '2' });
    const body = '{"jsonrpc":"2.0","id":1,"method":"GetTask","params":{}}';
    const a2a = path.send({ method: 'POST', path: '/acme/planner', headers, body });
    expect(a2a).toMatchObject({ status: 429 });
    expect(a2a.json).toMatchObject({ id: 1, error: { code: -32000 } });
    expect(path.events).toMatchObject([{ decision: 'limited', rule: 'policy/pace/limits' }, { decision: 'limited' }]);
  });
});
