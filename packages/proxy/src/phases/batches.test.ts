import { describe, expect, it } from 'vitest';
import type { FakeUpstreamCall } from '../testing/fake-upstream.ts';
import { RequestPath } from '../testing/request-path.ts';

const call = (id: number, name: string) => ({ jsonrpc: '2.0', id, method: 'tools/call', params: { name } });
const notification = { jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken: 1, progress: 1 } };

async function openOldSession() {
  const path = new RequestPath();
  const session = await path.initialize({ version: '2025-03-26' });
  const begun = path.events.length;
  return { path, session, sent: () => path.upstream.calls.slice(1), events: () => path.events.slice(begun) };
}

function named(calls: readonly FakeUpstreamCall[], method: string): FakeUpstreamCall[] {
  return calls.filter(({ message }) => message.method === method);
}

describe('a batch', () => {
  it('is answered together, policy for each message, in a session of 2025-03-26', async () => {
    const { path, session, sent, events } = await openOldSession();
    const exchange = await path.post([call(1, 'echo'), notification, call(2, 'hidden'), call(3, 'other')], session);
    expect(named(sent(), 'tools/call')).toHaveLength(2);
    expect(exchange.answered).toBe(false);
    named(sent(), 'notifications/progress')[0]?.head(202);
    named(sent(), 'tools/call')[1]?.result({ third: true });
    named(sent(), 'tools/call')[0]?.result({ first: true });
    expect(exchange.status).toBe(200);
    expect((exchange.json as { id: number }[]).toSorted((a, b) => a.id - b.id)).toEqual([
      { jsonrpc: '2.0', id: 1, result: { first: true } },
      { jsonrpc: '2.0', id: 2, error: { code: -32602, message: 'Unknown tool: hidden' } },
      { jsonrpc: '2.0', id: 3, result: { third: true } },
    ]);
    expect(
      events()
        .map(({ method, decision }) => `${method} ${decision}`)
        .toSorted(),
    ).toEqual([
      'batch allow',
      'notifications/progress allow',
      'tools/call allow',
      'tools/call allow',
      'tools/call deny',
    ]);
  });

  it('of notifications alone is accepted without a body', async () => {
    const { path, session, sent } = await openOldSession();
    const exchange = await path.post([notification, { ...notification, method: 'tools/call' }], session);
    expect(exchange.answered).toBe(false);
    sent()[0]?.head(202);
    expect(exchange.status).toBe(202);
    expect(exchange.bytes).toHaveLength(0);
  });

  it('is answered on one stream when one of its answers is a stream', async () => {
    const { path, session, sent } = await openOldSession();
    const exchange = await path.post([call(1, 'echo'), call(2, 'hidden'), call(3, 'echo')], session);
    const [first, third] = sent();
    first?.openEvents();
    first?.event(notification);
    third?.result({ third: true });
    expect(exchange.ended).toBe(false);
    first?.resultEvent({ first: true });
    first?.end();
    expect(exchange.headers['content-type']).toBe('text/event-stream');
    expect(exchange.events).toEqual([
      { jsonrpc: '2.0', id: 2, error: { code: -32602, message: 'Unknown tool: hidden' } },
      notification,
      { jsonrpc: '2.0', id: 3, result: { third: true } },
      { jsonrpc: '2.0', id: 1, result: { first: true } },
    ]);
    expect(exchange.ended).toBe(true);
  });

  it('holds large answers too', async () => {
    const { path, session, sent } = await openOldSession();
    const exchange = await path.post([call(1, 'echo')], session);
    sent()[0]?.result({ text: 'x'.repeat(200_000) });
    expect(exchange.json).toEqual([{ jsonrpc: '2.0', id: 1, result: { text: 'x'.repeat(200_000) } }]);
  });

  it('leaves its requests running upstream when its client leaves, and ends in as many events', async () => {
    const { path, session, sent, events } = await openOldSession();
    const exchange = await path.post([call(1, 'echo'), call(2, 'echo')], session);
    exchange.leave();
    expect(sent().map(({ aborted }) => aborted)).toEqual([false, false]);
    for (const one of sent()) one.result({});
    expect(events().map(({ error }) => error)).toEqual(['client_gone', 'client_gone', 'client_gone']);
    expect(path.tables.superseded).toBe(0);
  });

  it('cannot begin a session', async () => {
    const { path, session } = await openOldSession();
    const initialize = { jsonrpc: '2.0', id: 1, method: 'initialize', params: { protocolVersion: '2025-03-26' } };
    const exchange = await path.post([initialize, call(2, 'hidden')], session);
    expect(exchange.status).toBe(400);
    expect(exchange.json).toMatchObject({ error: { code: -32600 } });
    expect(path.upstream.calls).toHaveLength(1);
  });

  it.each(['2025-06-18', '2025-11-25'])('is refused in a session of %s', async (version) => {
    const path = new RequestPath();
    const session = await path.initialize({ version });
    const exchange = await path.post([call(1, 'echo')], session);
    expect(exchange.status).toBe(400);
    expect(exchange.json).toMatchObject({ error: { code: -32600 } });
    expect(path.upstream.calls).toHaveLength(1);
  });

  it('is refused without a session', async () => {
    const path = new RequestPath();
    expect((await path.post([call(1, 'echo')])).status).toBe(400);
  });
});
