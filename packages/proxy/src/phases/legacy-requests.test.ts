import { describe, expect, it } from 'vitest';
import { RequestPath } from '../testing/request-path.ts';

const call = { name: 'echo', arguments: { text: 'hi' } };

describe('a legacy request', () => {
  it('begins a session whose id hides the one of the upstream', async () => {
    const path = new RequestPath();
    const session = await path.initialize({ upstreamSession: 'upstream-secret' });
    const id = session['mcp-session-id'] as string;
    expect(id).toMatch(/^[\x21-\x7e]+$/);
    expect(Buffer.from(id.split('.')[1] as string, 'base64url').includes('upstream-secret')).toBe(false);
    expect(path.events).toMatchObject([
      { method: 'initialize', era: 'legacy', status: 200, decision: 'allow', protocolVersion: '2025-11-25', error: '' },
    ]);
    expect(path.events[0]?.session).not.toBe('');
  });

  it('reaches the upstream in its own session, under an id of the gateway, without the credential', async () => {
    const path = new RequestPath();
    const session = await path.initialize();
    const exchange = await path.request(session, 'tools/call', call, 7);
    const sent = path.upstream.last;
    expect(sent.request).toMatchObject({ method: 'POST', origin: 'http://127.0.0.1:3001', target: '/mcp' });
    expect(sent.header('mcp-session-id')).toBe('upstream-1');
    expect(sent.header('mcp-protocol-version')).toBe('2025-11-25');
    expect(sent.header('authorization')).toBeUndefined();
    expect(sent.message).toMatchObject({ jsonrpc: '2.0', method: 'tools/call', params: call });
    expect(sent.message.id).not.toBe(7);
    sent.result({ content: [] });
    expect(exchange.status).toBe(200);
    expect(exchange.json).toEqual({ jsonrpc: '2.0', id: 7, result: { content: [] } });
  });

  it.each([1, '1', -5, 9007199254740991, 'ünï "quoted" \\ \u2028', 'x'.repeat(200)])(
    'gets its answer under its own id, type and all: %j',
    async (id) => {
      const path = new RequestPath();
      const session = await path.initialize();
      const exchange = await path.request(session, 'tools/call', call, id);
      path.upstream.last.result({});
      expect(exchange.json).toEqual({ jsonrpc: '2.0', id, result: {} });
    },
  );

  it('keeps the exact bytes of its id', async () => {
    const path = new RequestPath();
    const session = await path.initialize();
    const body = '{"jsonrpc":"2.0","id":"\\u0041\\/b","method":"ping"}';
    const exchange = await path.post(body, session);
    path.upstream.last.result({});
    expect(exchange.text).toBe('{"jsonrpc":"2.0","id":"\\u0041\\/b","result":{}}');
  });

  it('gets its own answer when another with the same id is in flight', async () => {
    const path = new RequestPath();
    const session = await path.initialize();
    const first = await path.request(session, 'tools/call', call, 1);
    const second = await path.request(session, 'tools/call', call, 1);
    const [, firstSent, secondSent] = path.upstream.calls;
    expect(firstSent?.message.id).not.toEqual(secondSent?.message.id);
    secondSent?.result({ second: true });
    firstSent?.result({ first: true });
    expect(first.json).toEqual({ jsonrpc: '2.0', id: 1, result: { first: true } });
    expect(second.json).toEqual({ jsonrpc: '2.0', id: 1, result: { second: true } });
  });

  it.each([
    ['at the head', (id: string) => `{"jsonrpc":"2.0","id":${id},"result":{"echo":${id}}}`],
    ['at the tail', (id: string) => `{"result":{"id":${id}},"jsonrpc":"2.0","id":${id}}`],
    ['in the middle', (id: string) => `{"result":{"id":${id}}, "id" : ${id} ,"jsonrpc":"2.0"}`],
    ['after blanks', (id: string) => ` \n{ "jsonrpc":"2.0", "id":${id}, "result":{"a":${id}} } `],
  ])('finds the id of the answer %s, and leaves the same text in the result alone', async (_where, answer) => {
    const path = new RequestPath();
    const session = await path.initialize();
    const exchange = await path.request(session, 'tools/call', call, 5);
    const token = JSON.stringify(path.upstream.last.message.id);
    path.upstream.last.answer(answer(token));
    expect(exchange.json).toMatchObject({ jsonrpc: '2.0', id: 5 });
    expect(exchange.text.split(token)).toHaveLength(2);
  });

  it('answers an error in-band when the upstream answers with another id', async () => {
    const path = new RequestPath();
    const session = await path.initialize();
    const exchange = await path.request(session, 'tools/call', call, 5);
    path.upstream.last.answer({ jsonrpc: '2.0', id: 'other', result: { id: path.upstream.last.message.id } });
    expect(exchange.status).toBe(200);
    expect(exchange.json).toMatchObject({ id: 5, error: { code: -32603 } });
    expect(path.events.at(-1)).toMatchObject({ error: 'upstream_invalid' });
  });

  it.each(['connect-failed', 'head-timeout', 'pool-full', 'protocol', 'closed-early'] as const)(
    'answers an error in-band when the upstream fails: %s',
    async (code) => {
      const path = new RequestPath();
      const session = await path.initialize();
      const exchange = await path.request(session, 'tools/call', call, 5);
      path.upstream.last.fail(code);
      expect(exchange.status).toBe(200);
      expect(exchange.json).toMatchObject({ id: 5, error: { code: -32603 } });
      expect(path.events.at(-1)?.error).toMatch(/^upstream_/);
    },
  );

  it('passes a large answer through in pieces with its exact length', async () => {
    const path = new RequestPath();
    const session = await path.initialize();
    for (const order of ['head', 'tail']) {
      const exchange = await path.request(session, 'tools/call', call, 'client-id');
      const { id } = path.upstream.last.message;
      const result = { content: 'x'.repeat(300_000), id };
      const answer = order === 'head' ? { jsonrpc: '2.0', id, result } : { result, jsonrpc: '2.0', id };
      path.upstream.last.head(200, { 'content-type': 'application/json' }, JSON.stringify(answer).length);
      const bytes = Buffer.from(JSON.stringify(answer));
      for (let at = 0; at < bytes.length; at += 65_536) path.upstream.last.data(bytes.subarray(at, at + 65_536));
      expect(exchange.bytes.length).toBeGreaterThan(100_000);
      path.upstream.last.end();
      expect(exchange.json).toEqual({ ...answer, id: 'client-id' });
      expect(exchange.contentLength).toBe(exchange.bytes.length);
      expect(path.events.at(-1)).toMatchObject({ error: '', responseBytes: exchange.bytes.length });
    }
  });

  it('breaks a large answer off when it turns out to be none to this request', async () => {
    const path = new RequestPath();
    const session = await path.initialize();
    const exchange = await path.request(session, 'tools/call', call);
    path.upstream.last.answer({ jsonrpc: '2.0', id: 'other', result: 'x'.repeat(200_000) }, { pieces: 5 });
    expect(exchange.aborted).toBe(true);
    expect(path.events.at(-1)).toMatchObject({ error: 'upstream_invalid' });
  });

  it('slows the upstream down while the client does not take a large answer', async () => {
    const path = new RequestPath();
    const session = await path.initialize();
    const exchange = await path.request(session, 'tools/call', call);
    exchange.taking = false;
    const upstream = path.upstream.last;
    upstream.head(200, { 'content-type': 'application/json' });
    upstream.data(`{"jsonrpc":"2.0","id":${JSON.stringify(upstream.message.id)},"result":"${'x'.repeat(100_000)}`);
    expect(upstream.paused).toBe(true);
    exchange.takeAll();
    expect(upstream.paused).toBe(false);
  });

  it('goes on upstream when its client leaves', async () => {
    const path = new RequestPath();
    const session = await path.initialize();
    const exchange = await path.request(session, 'tools/call', call);
    exchange.leave();
    expect(path.upstream.last.aborted).toBe(false);
    expect(path.events.at(-1)).toMatchObject({ error: 'client_gone', status: 0 });
    path.upstream.last.result({});
    expect(path.events).toHaveLength(2);
  });

  it('answers 202 to a notification that the upstream took', async () => {
    const path = new RequestPath();
    const session = await path.initialize();
    const exchange = await path.post({ jsonrpc: '2.0', method: 'notifications/initialized' }, session);
    path.upstream.last.head(202);
    expect(exchange.status).toBe(202);
    expect(exchange.bytes).toHaveLength(0);
  });

  it('forwards a posted response as it is', async () => {
    const path = new RequestPath();
    const session = await path.initialize();
    const body = '{"jsonrpc":"2.0","id":"server-1","result":{"roots":[]}}';
    const exchange = await path.post(body, session);
    expect(path.upstream.last.text).toBe(body);
    path.upstream.last.head(202);
    expect(exchange.status).toBe(202);
  });

  it('never reaches the upstream as a notification of a request method', async () => {
    const path = new RequestPath();
    const session = await path.initialize();
    const exchange = await path.post({ jsonrpc: '2.0', method: 'tools/call', params: call }, session);
    expect(exchange.status).toBe(400);
    expect(path.upstream.calls).toHaveLength(1);
  });

  it('is refused in-band when the legacy era does not have its method', async () => {
    const path = new RequestPath();
    const session = await path.initialize();
    const exchange = await path.request(session, 'tasks/list', {}, 3);
    expect(exchange.status).toBe(200);
    expect(exchange.json).toMatchObject({ id: 3, error: { code: -32601 } });
    expect(path.upstream.calls).toHaveLength(1);
  });

  it('passes on trace headers and nothing else of the client', async () => {
    const path = new RequestPath();
    const session = await path.initialize();
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    const extra = { traceparent, tracestate: 'a=b', cookie: 'secret', 'x-forwarded-for': '1.2.3.4' };
    await path.post({ jsonrpc: '2.0', id: 1, method: 'ping' }, { ...session, ...extra });
    const names = path.upstream.last.request.headers
      .filter((_text, i) => i % 2 === 0)
      .map((name) => name.toLowerCase());
    expect(new Set(names)).toEqual(
      new Set(['content-type', 'accept', 'mcp-protocol-version', 'mcp-session-id', 'traceparent', 'tracestate']),
    );
    path.upstream.last.result({});
    expect(path.events.at(-1)).toMatchObject({ traceId: '0af7651916cd43dd8448eb211c80319c' });
  });
});
