import { describe, expect, it } from 'vitest';
import { RequestPath } from '../testing/request-path.ts';

const onlyEcho = { allow: ['tool.name == "echo"'] };

describe('tools/list', () => {
  it('shows what policy allows, byte for byte, and keeps the rest of the result', async () => {
    const path = new RequestPath(onlyEcho);
    const session = await path.initialize();
    const exchange = await path.request(session, 'tools/list');
    const tool = '{"name":"echo", "inputSchema" : {"type":"object"},"x":1e400,"dup":[{"n":9007199254740993}]}';
    const result = `{"tools":[{"name":"hidden"}, ${tool} ,{"noName":1},{"name":5}],"nextCursor":"c","_meta":{"a":1}}`;
    path.upstream.last.answer(`{"jsonrpc":"2.0","id":"$id","result":${result}}`);
    expect(exchange.text).toBe(
      `{"jsonrpc":"2.0","id":1,"result":{"tools":[${tool}],"nextCursor":"c","_meta":{"a":1}}}`,
    );
    expect(path.events.at(-1)).toMatchObject({ method: 'tools/list', decision: 'allow', error: '' });
  });

  it('passes an untouched list on as it came', async () => {
    const path = new RequestPath(onlyEcho);
    const session = await path.initialize();
    const exchange = await path.request(session, 'tools/list');
    path.upstream.last.answer('{"result":{"tools":[ {"name":"echo"} ]}, "jsonrpc":"2.0","id":"$id"}');
    expect(exchange.text).toBe('{"result":{"tools":[ {"name":"echo"} ]}, "jsonrpc":"2.0","id":1}');
  });

  it('shows nothing without a rule that allows', async () => {
    const path = new RequestPath({ allow: [] });
    const session = await path.initialize();
    const exchange = await path.request(session, 'tools/list');
    path.upstream.last.result({ tools: [{ name: 'echo' }, { name: 'other' }] });
    expect(exchange.json).toMatchObject({ result: { tools: [] } });
  });

  it('is filtered within an event stream too', async () => {
    const path = new RequestPath(onlyEcho);
    const session = await path.initialize();
    const exchange = await path.request(session, 'tools/list');
    const upstream = path.upstream.last;
    upstream.openEvents();
    upstream.event({ jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data: 1 } });
    upstream.resultEvent({ tools: [{ name: 'echo' }, { name: 'hidden' }] }, 'event-9');
    upstream.end();
    expect(exchange.events).toEqual([
      { jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data: 1 } },
      { jsonrpc: '2.0', id: 1, result: { tools: [{ name: 'echo' }] } },
    ]);
    expect(exchange.text).toContain('id: event-9');
    expect(exchange.ended).toBe(true);
  });

  it('refuses an answer that is not strict JSON', async () => {
    const path = new RequestPath(onlyEcho);
    const session = await path.initialize();
    for (const result of ['{"tools":[{"name":"echo","name":"hidden"}]}', '{"tools":[}', '{"tools":[]} x']) {
      const exchange = await path.request(session, 'tools/list');
      path.upstream.last.answer(`{"jsonrpc":"2.0","id":"$id","result":${result}}`);
      expect(exchange.json).toMatchObject({ id: 1, error: { code: -32603 } });
    }
  });

  it('refuses an answer beyond the bound', async () => {
    const path = new RequestPath({ ...onlyEcho, limits: { heldAnswerBytes: 1_000 } });
    const session = await path.initialize();
    const exchange = await path.request(session, 'tools/list');
    path.upstream.last.result({ tools: [{ name: 'echo', description: 'x'.repeat(2_000) }] });
    expect(exchange.json).toMatchObject({ id: 1, error: { code: -32603 } });
    expect(path.upstream.last.aborted).toBe(true);
  });

  it('is private to its caller on the modern era, whatever the upstream says', async () => {
    const path = new RequestPath(onlyEcho);
    const exchange = await path.modern('tools/list');
    path.upstream.last.result({
      tools: [{ name: 'echo' }, { name: 'no' }],
      ttlMs: 5,
      cacheScope: 'public',
      resultType: 'complete',
    });
    expect(exchange.json).toEqual({
      jsonrpc: '2.0',
      id: 1,
      result: { tools: [{ name: 'echo' }], ttlMs: 5, cacheScope: 'private', resultType: 'complete' },
    });
  });
});

describe('prompts and resources', () => {
  it('are listed as policy says', async () => {
    const path = new RequestPath({ allow: ['prompt.name == "greeting"', 'resource.uri.startsWith("test://")'] });
    const session = await path.initialize();
    const prompts = await path.request(session, 'prompts/list');
    path.upstream.last.result({ prompts: [{ name: 'greeting' }, { name: 'secret' }] });
    expect(prompts.json).toMatchObject({ result: { prompts: [{ name: 'greeting' }] } });
    const resources = await path.request(session, 'resources/list');
    path.upstream.last.result({
      resources: [
        { uri: 'test://a', name: 'a' },
        { uri: 'file:///etc/passwd', name: 'b' },
      ],
    });
    expect(resources.json).toMatchObject({ result: { resources: [{ uri: 'test://a', name: 'a' }] } });
    const templates = await path.request(session, 'resources/templates/list');
    path.upstream.last.result({ resourceTemplates: [{ uriTemplate: 'test://{id}' }, { uriTemplate: 'file:///{p}' }] });
    expect(templates.json).toMatchObject({ result: { resourceTemplates: [{ uriTemplate: 'test://{id}' }] } });
  });

  it.each([
    ['prompts/get', { name: 'secret' }, -32602, 'Unknown prompt: secret'],
    ['resources/read', { uri: 'file:///x' }, -32002, 'Resource not found'],
    ['resources/subscribe', { uri: 'file:///x' }, -32002, 'Resource not found'],
  ])('that policy hides do not exist: %s', async (method, params, code, message) => {
    const path = new RequestPath({ allow: ['prompt.name == "greeting"', 'resource.uri.startsWith("test://")'] });
    const session = await path.initialize();
    const exchange = await path.request(session, method, params);
    expect(exchange.status).toBe(200);
    expect(exchange.json).toMatchObject({ id: 1, error: { code, message } });
    expect(path.upstream.calls).toHaveLength(1);
    expect(path.events.at(-1)).toMatchObject({ decision: 'deny', error: 'denied' });
  });

  it('that policy hides do not exist on the modern era: -32602 with the URI', async () => {
    const path = new RequestPath({ allow: ['resource.uri.startsWith("test://")'] });
    const exchange = await path.modern('resources/read', { uri: 'file:///x' });
    expect(exchange.json).toMatchObject({ error: { code: -32602, data: { uri: 'file:///x' } } });
  });
});

describe('tools/call', () => {
  it('of a tool that policy hides is answered as for a tool that does not exist', async () => {
    const path = new RequestPath(onlyEcho);
    const session = await path.initialize();
    const denied = await path.request(session, 'tools/call', { name: 'hidden', arguments: {} });
    const unknown = await path.request(session, 'tools/call', { name: 'no-such-tool', arguments: {} });
    expect(denied.status).toBe(200);
    expect(denied.text.replace('hidden', 'no-such-tool')).toBe(unknown.text);
    expect(denied.json).toEqual({ jsonrpc: '2.0', id: 1, error: { code: -32602, message: 'Unknown tool: hidden' } });
    expect(path.upstream.calls).toHaveLength(1);
    expect(path.events.at(-2)).toMatchObject({ decision: 'deny', tool: 'hidden', error: 'denied', status: 200 });
  });

  it('records the rule that allowed or denied', async () => {
    const path = new RequestPath({ deny: ['tool.name == "drop"'], allow: ['tool.name == "echo"'] });
    const session = await path.initialize();
    await path.request(session, 'tools/call', { name: 'drop' });
    expect(path.events.at(-1)).toMatchObject({ decision: 'deny', rule: 'policy/access/deny-0', tool: 'drop' });
    await path.request(session, 'tools/call', { name: 'echo' });
    path.upstream.last.result({});
    expect(path.events.at(-1)).toMatchObject({ decision: 'allow', rule: 'policy/access/allow-0', tool: 'echo' });
  });

  it('is decided by its arguments where rules read them, big integers exactly', async () => {
    const path = new RequestPath({ allow: ['tool.name == "pay" && args.amount == 9007199254740993'] });
    const session = await path.initialize();
    const body = (amount: string) =>
      `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"pay","arguments":{"amount":${amount}}}}`;
    const near = await path.post(body('9007199254740992'), session);
    expect(near.json).toMatchObject({ error: { code: -32602 } });
    const exact = await path.post(body('9007199254740993'), session);
    expect(path.upstream.last.text).toContain('9007199254740993');
    path.upstream.last.result({});
    expect(exact.json).toMatchObject({ result: {} });
    const missing = await path.request(session, 'tools/call', { name: 'pay' });
    expect(missing.json).toMatchObject({ error: { code: -32602 } });
  });

  it.each([{}, { name: 5 }, { name: 'echo', arguments: [] }])(
    'with parameters that name no tool, or no arguments, is invalid: %j',
    async (params) => {
      const path = new RequestPath({ allow: ['tool.name == "echo" && args.a == 1'] });
      const session = await path.initialize();
      const exchange = await path.request(session, 'tools/call', params);
      expect(exchange.json).toMatchObject({ error: { code: -32602 } });
      expect(path.upstream.calls).toHaveLength(1);
    },
  );

  it('is decided for the tool in the body, and recorded under it', async () => {
    const path = new RequestPath(onlyEcho);
    const exchange = await path.modern('tools/call', { name: 'hidden' }, { headers: { 'mcp-name': 'echo' } });
    expect(exchange.json).toMatchObject({ error: { code: -32020 } });
    const denied = await path.modern('tools/call', { name: 'hidden' });
    expect(denied.json).toMatchObject({ error: { code: -32602, message: 'Unknown tool: hidden' } });
    expect(path.events.at(-1)).toMatchObject({ tool: 'hidden', decision: 'deny' });
    expect(path.upstream.calls).toHaveLength(0);
  });
});
