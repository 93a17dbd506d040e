import { describe, expect, it } from 'vitest';
import { RequestPath, type TableOptions } from '../testing/request-path.ts';

const withdrawals: readonly [string, TableOptions][] = [
  ['its tool is denied', { deny: ['tool.name == "echo"'] }],
  ['its key is taken away', { apiKeys: { 'bob-key': 'bob' } }],
  ['its key is given to another', { apiKeys: { 'alice-key': 'eve', 'bob-key': 'bob' } }],
];

/** A tool call that waits for its answer. */
async function openCall(params: object = { name: 'echo' }) {
  const path = new RequestPath();
  const session = await path.initialize();
  const exchange = await path.request(session, 'tools/call', params, 'call-1');
  return { path, session, exchange, upstream: path.upstream.last };
}

describe('a call that waits for its answer', () => {
  it.each(withdrawals)('ends when %s, and the upstream hears of it', async (_, change) => {
    const { path, exchange, upstream } = await openCall();
    await path.swap({ revision: 9, ...change });
    const data = { reason: 'revoked', revision: 9 };
    expect([exchange.status, exchange.json]).toMatchObject([200, { id: 'call-1', error: { code: -32000, data } }]);
    expect(upstream.aborted).toBe(true);
    const cancelled = path.upstream.calls.find(({ message: { method } }) => method === 'notifications/cancelled');
    expect(cancelled?.message).toMatchObject({ params: { requestId: upstream.message.id } });
    expect(path.events.filter(({ method }) => method === 'tools/call')).toMatchObject([{ error: 'revoked' }]);
  });

  it('ends with its session, at the upstream too, when its principal has no credential left', async () => {
    const { path } = await openCall();
    const ended = () => path.upstream.calls.filter(({ request: { method } }) => method === 'DELETE').length;
    await path.swap({ apiKeys: { 'new-key': 'alice', 'bob-key': 'bob' } });
    expect(ended()).toBe(0);
    await path.swap({ apiKeys: { 'bob-key': 'bob' } });
    expect(ended()).toBe(1);
  });

  it('ends by the arguments it was made with', async () => {
    const { path, exchange } = await openCall({ name: 'echo', arguments: { amount: 5 } });
    await path.swap({ revision: 2, deny: ['tool.name == "echo" && args.amount > 10'] });
    expect(exchange.answered).toBe(false);
    await path.swap({ revision: 3, deny: ['tool.name == "echo" && args.amount > 4'] });
    expect(exchange.json).toMatchObject({ error: { data: { revision: 3 } } });
  });

  it('is broken off when a part of its answer is on its way', async () => {
    const { path, exchange, upstream } = await openCall();
    const { id } = upstream.message;
    const answer = JSON.stringify({ jsonrpc: '2.0', id, result: { text: 'x'.repeat(200_000) } });
    upstream.head(200, { 'content-type': 'application/json' }, answer.length);
    upstream.data(answer.slice(0, 100_000));
    expect(exchange.answered).toBe(true);
    await path.swap({ deny: ['tool.name == "echo"'] });
    expect([exchange.aborted, upstream.aborted]).toEqual([true, true]);
  });

  it.each<[string, TableOptions]>([
    ['something else changes', { deny: ['tool.name == "other"'] }],
    ['its route is removed', { routes: ['other'] }],
    ['its backend is changed', { backendUrl: 'http://127.0.0.1:9999/mcp' }],
  ])('runs on when %s', async (_, change) => {
    const { path, exchange, upstream } = await openCall();
    await path.swap(change);
    upstream.result({ content: [] });
    expect(exchange.json).toEqual({ jsonrpc: '2.0', id: 'call-1', result: { content: [] } });
  });

  it('is checked too when tables were swapped before it was sent', async () => {
    const path = new RequestPath();
    const sent = path.modern('tools/call', { name: 'echo' }, { probe: false });
    const exchange = await sent;
    await path.swap({ deny: ['tool.name == "echo"'] });
    await path.answerProbe();
    expect(exchange.json).toMatchObject({ error: { data: { reason: 'revoked' } } });
  });

  it('of a list shows what may be seen by then', async () => {
    const path = new RequestPath();
    const session = await path.initialize();
    const exchange = await path.request(session, 'tools/list');
    const upstream = path.upstream.last;
    await path.swap({ deny: ['tool.name == "echo"'] });
    upstream.result({ tools: [{ name: 'echo' }, { name: 'add' }] });
    expect(exchange.json).toMatchObject({ result: { tools: [{ name: 'add' }] } });
  });

  it('is looked at no more once it has ended', async () => {
    const { path, exchange, upstream } = await openCall();
    upstream.result({});
    expect(path.streams.calls.size).toBe(0);
    await path.swap({ deny: ['tool.name == "echo"'] });
    expect(exchange.answers).toBe(1);
  });

  it('becomes one of the open streams when the upstream answers in events', async () => {
    const { path, upstream } = await openCall();
    expect([path.streams.calls.size, path.streams.size]).toEqual([1, 0]);
    upstream.openEvents();
    expect([path.streams.calls.size, path.streams.size]).toEqual([0, 1]);
  });
});
