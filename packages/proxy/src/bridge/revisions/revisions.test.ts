import { describe, expect, it } from 'vitest';
import { RequestPath } from '../../testing/request-path.ts';

/** A session of a client of one revision at a server of another. */
async function session(path: RequestPath, client: string, server: string, result: object = {}) {
  const params = { protocolVersion: client, capabilities: {}, clientInfo: { name: 'c', version: '1' } };
  const exchange = await path.post({ jsonrpc: '2.0', id: 0, method: 'initialize', params });
  expect(path.upstream.last.message.params).toMatchObject({ protocolVersion: client });
  path.upstream.last.result(
    { protocolVersion: server, capabilities: { tools: {}, tasks: {} }, serverInfo: { name: 's' }, ...result },
    { 'mcp-session-id': 'upstream-1' },
  );
  const id = exchange.headers['mcp-session-id'] ?? '';
  return { greeting: exchange.json, headers: { 'mcp-session-id': id, 'mcp-protocol-version': client } };
}

async function answered(client: string, server: string, method: string, result: unknown): Promise<unknown> {
  const path = new RequestPath();
  const { headers } = await session(path, client, server);
  const exchange = await path.request(headers, method, method === 'tools/call' ? { name: 'echo' } : {});
  path.upstream.last.result(result);
  return (exchange.json as { result: unknown }).result;
}

describe('a client and a server of different revisions', () => {
  it.each([
    ['2025-06-18', '2025-11-25'],
    ['2025-11-25', '2025-06-18'],
    ['2024-11-05', '2025-11-25'],
    ['2025-11-25', '2024-11-05'],
  ])('each speak their own, %s and %s, in a session of both', async (client, server) => {
    const path = new RequestPath();
    const { greeting, headers } = await session(path, client, server);
    expect(greeting).toMatchObject({ id: 0, result: { protocolVersion: client } });
    const exchange = await path.request(headers, 'tools/call', { name: 'echo' });
    expect(path.upstream.last.header('mcp-protocol-version')).toBe(server);
    expect(path.upstream.last.header('mcp-session-id')).toBe('upstream-1');
    path.upstream.last.result({ content: [] });
    expect(exchange.json).toEqual({ jsonrpc: '2.0', id: 1, result: { content: [] } });
    path.send({ method: 'DELETE', headers: { authorization: 'Bearer alice-key', ...headers } });
    expect([path.upstream.last.request.method, path.upstream.last.header('mcp-session-id')]).toEqual([
      ...['DELETE', 'upstream-1'],
    ]);
  });

  it('of one revision have nothing between them', async () => {
    const path = new RequestPath();
    await session(path, '2025-06-18', '2025-06-18');
    const exchange = await path.post({ jsonrpc: '2.0', id: 0, method: 'initialize', params: {} });
    const text = '{ "jsonrpc":"2.0", "id":"$id", "result":{"protocolVersion":"2025-11-25","capabilities":{ }}}';
    path.upstream.last.answer(text);
    expect(exchange.text).toBe(text.replace('"$id"', '0'));
  });
});

const tool = {
  ...{ name: 't', title: 'T', description: 'd', inputSchema: { type: 'object', title: 'kept' } },
  ...{ annotations: { title: 'kept' }, icons: [{ src: 'x:' }], execution: { taskSupport: 'optional' } },
  ...{ outputSchema: { type: 'object' }, unknown: 1.5 },
};

describe('a client of an older revision', () => {
  it('is greeted without what it does not know', async () => {
    const path = new RequestPath();
    const serverInfo = { name: 's', title: 'S', icons: [] };
    const { greeting } = await session(path, '2025-03-26', '2025-11-25', { serverInfo });
    expect(greeting).toMatchObject({ result: { capabilities: { tools: {} }, serverInfo: { name: 's' } } });
    expect(JSON.stringify(greeting)).not.toMatch(/tasks|icons|title/);
  });

  it('sees lists without members that came later, and with all others', async () => {
    const { icons: _, execution: __, ...of20250618 } = tool;
    const { title: ___, outputSchema: ____, ...of20250326 } = of20250618;
    expect(await answered('2025-06-18', '2025-11-25', 'tools/list', { tools: [{ ...tool, name: 'echo' }] })).toEqual({
      tools: [{ ...of20250618, name: 'echo' }],
    });
    expect(await answered('2025-03-26', '2025-11-25', 'tools/list', { tools: [{ ...tool, name: 'echo' }] })).toEqual({
      tools: [{ ...of20250326, name: 'echo' }],
    });
    const prompts = [{ name: 'p', title: 'P', arguments: [{ name: 'a', title: 'A', required: true }] }];
    expect(await answered('2024-11-05', '2025-06-18', 'prompts/list', { prompts })).toEqual({
      prompts: [{ name: 'p', arguments: [{ name: 'a', required: true }] }],
    });
  });

  it('gets structured content as text, unless a text says the same', async () => {
    const structuredContent = { a: [1, { b: null }] };
    const said = { type: 'text', text: '{ "a": [1, {"b": null}] }' };
    const other = { type: 'text', text: 'something' };
    const text = { type: 'text', text: JSON.stringify(structuredContent) };
    const call = (result: object) => answered('2025-03-26', '2025-06-18', 'tools/call', result);
    expect(await call({ content: [said], structuredContent })).toEqual({ content: [said] });
    expect(await call({ structuredContent, content: [other], isError: false })).toEqual({
      content: [other, text],
      isError: false,
    });
    expect(await call({ content: [], structuredContent })).toEqual({ content: [text] });
    expect(await call({ structuredContent })).toEqual({ content: [text] });
    expect(await answered('2025-06-18', '2025-11-25', 'tools/call', { content: [], structuredContent })).toEqual({
      ...{ content: [], structuredContent },
    });
  });

  it('gets links and sound as text where it knows neither', async () => {
    const link = { type: 'resource_link', uri: 'test://a', name: 'a', icons: [] };
    const audio = { type: 'audio', data: 'AAAA', mimeType: 'audio/wav' };
    const content = [link, audio];
    expect(await answered('2025-06-18', '2025-11-25', 'tools/call', { content })).toEqual({
      content: [{ type: 'resource_link', uri: 'test://a', name: 'a' }, audio],
    });
    expect(await answered('2025-03-26', '2025-11-25', 'tools/call', { content })).toEqual({
      content: [{ type: 'text', text: 'Resource: a, test://a' }, audio],
    });
    expect(await answered('2024-11-05', '2025-11-25', 'tools/call', { content })).toEqual({
      content: [
        { type: 'text', text: 'Resource: a, test://a' },
        { type: 'text', text: 'Audio (audio/wav) that this client cannot take' },
      ],
    });
  });

  it('hears no error that sends it to a URL, no notification and no priming event of later revisions', async () => {
    const path = new RequestPath();
    const { headers } = await session(path, '2025-06-18', '2025-11-25');
    const exchange = await path.request(headers, 'tools/call', { name: 'echo' });
    const { last } = path.upstream;
    last.openEvents();
    last.data('id: 1\ndata:\n\n');
    last.event({ jsonrpc: '2.0', method: 'notifications/elicitation/complete', params: { elicitationId: 'e' } }, '2');
    last.event({ jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken: 1, progress: 1 } }, '3');
    last.event({ jsonrpc: '2.0', id: '$id', error: { code: -32042, message: 'visit', data: {} } }, '4');
    last.end();
    expect(exchange.text).toMatch(/^id: 1\n\nid: 2\n\nid: 3\n/);
    expect(exchange.events).toMatchObject([{ method: 'notifications/progress' }, { error: { code: -32603 } }]);
  });

  it.each([
    ['2025-03-26', 'elicitation/create', { message: 'm' }, -32601],
    ['2025-06-18', 'elicitation/create', { mode: 'url', url: 'https://a.example' }, -32602],
    ['2025-06-18', 'sampling/createMessage', { tools: [] }, -32602],
    ['2025-06-18', 'tasks/get', { taskId: 't' }, -32601],
  ])('of %s is not asked %s; its server hears why', async (client, method, params, code) => {
    const path = new RequestPath();
    const { headers } = await session(path, client, '2025-11-25');
    const exchange = await path.request(headers, 'tools/call', { name: 'echo' });
    const call = path.upstream.last;
    call.openEvents();
    call.event({ jsonrpc: '2.0', id: 9, method, params });
    expect(path.upstream.last.message).toMatchObject({ id: 9, error: { code } });
    expect(path.upstream.last.header('mcp-session-id')).toBe('upstream-1');
    call.event({ jsonrpc: '2.0', id: 10, method: 'roots/list' });
    expect(exchange.events).toEqual([{ jsonrpc: '2.0', id: 10, method: 'roots/list' }]);
  });
});

describe('a server of 2025-03-26', () => {
  it.each(['2025-03-26', '2025-11-25'])('may send batches; a client of %s gets their messages', async (client) => {
    const path = new RequestPath();
    const { headers } = await session(path, client, '2025-03-26');
    const progress = { jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken: 1, progress: 1 } };
    const streamed = await path.request(headers, 'tools/call', { name: 'echo' });
    const { last } = path.upstream;
    last.openEvents();
    last.event([progress, { jsonrpc: '2.0', id: last.message.id, result: { content: [] } }], 'e-1');
    last.end();
    const result = { jsonrpc: '2.0', id: 1, result: { content: [] } };
    expect(streamed.events).toEqual([progress, result]);
    expect(streamed.text.match(/id: e-1/g)).toHaveLength(1);
    const whole = await path.request(headers, 'tools/call', { name: 'echo' });
    path.upstream.last.answer([{ jsonrpc: '2.0', id: path.upstream.last.message.id, result: { content: [] } }]);
    expect(whole.json).toEqual(result);
    const both = await path.request(headers, 'tools/call', { name: 'echo' });
    path.upstream.last.answer([
      progress,
      { jsonrpc: '2.0', id: path.upstream.last.message.id, result: { content: [] } },
    ]);
    expect(both.events).toEqual([progress, result]);
  });
});
