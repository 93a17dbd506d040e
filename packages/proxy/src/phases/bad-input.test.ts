import { describe, expect, it } from 'vitest';
import { modernMeta, modernVersion, RequestPath } from '../testing/request-path.ts';

const ping = '{"jsonrpc":"2.0","id":1,"method":"ping"}';
const deep = `${'['.repeat(10_000)}${']'.repeat(10_000)}`;

/** Body, and the JSON-RPC code that answers it with 400. */
const badBodies: readonly (readonly [string, string, number])[] = [
  ['nothing', '', -32700],
  ['a word', 'nonsense', -32700],
  ['half an object', '{"jsonrpc":"2.0","id":1', -32700],
  ['two documents', `${ping}${ping}`, -32700],
  ['a trailing comma', '{"jsonrpc":"2.0","id":1,"method":"ping",}', -32700],
  ['a repeated key', '{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}', -32700],
  ['a repeated key, escaped', '{"jsonrpc":"2.0","id":1,"\\u0069d":2,"method":"ping"}', -32700],
  ['a repeated key in the arguments', '{"jsonrpc":"2.0","id":1,"method":"x","params":{"a":{"b":1,"b":2}}}', -32700],
  ['__proto__', '{"jsonrpc":"2.0","id":1,"method":"x","params":{"__proto__":{}}}', -32700],
  ['10,000 arrays', deep, -32700],
  ['10,000 arrays in the arguments', `{"jsonrpc":"2.0","id":1,"method":"x","params":{"a":${deep}}}`, -32700],
  ['too many keys', `{${Array.from({ length: 11_000 }, (_, i) => `"k${i}":1`).join(',')}}`, -32700],
  ['a number', '5', -32600],
  ['a string', '"hi"', -32600],
  ['null', 'null', -32600],
  ['no version', '{"id":1,"method":"ping"}', -32600],
  ['another version', '{"jsonrpc":"1.0","id":1,"method":"ping"}', -32600],
  ['a null id', '{"jsonrpc":"2.0","id":null,"method":"ping"}', -32600],
  ['a fractional id', '{"jsonrpc":"2.0","id":1.5,"method":"ping"}', -32600],
  ['an object as id', '{"jsonrpc":"2.0","id":{},"method":"ping"}', -32600],
  ['a method that is no string', '{"jsonrpc":"2.0","id":1,"method":5}', -32600],
  ['parameters that are no object', '{"jsonrpc":"2.0","id":1,"method":"ping","params":[1]}', -32600],
  ['a request that is an answer too', '{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}', -32600],
  ['a result and an error', '{"jsonrpc":"2.0","id":1,"result":{},"error":{}}', -32600],
  ['an answer without id', '{"jsonrpc":"2.0","result":{}}', -32600],
  ['an empty batch', '[]', -32600],
  ['a batch', `[${ping},${ping}]`, -32600],
  ['an oversized batch', `[${Array.from({ length: 1_000 }, () => ping).join(',')}]`, -32600],
];

describe('a body that is not one strict JSON-RPC message', () => {
  it.each(badBodies)('is refused with 400 and does not reach the upstream: %s', async (_name, body, code) => {
    const path = new RequestPath();
    const session = await path.initialize();
    const exchange = await path.post(body, session);
    expect(exchange.status).toBe(400);
    expect(exchange.json).toMatchObject({ jsonrpc: '2.0', error: { code } });
    expect(path.upstream.calls).toHaveLength(1);
    expect(path.events).toHaveLength(2);
    expect(path.events[1]).toMatchObject({ decision: 'invalid', status: 400 });
  });

  it('is refused for bytes that are not UTF-8', async () => {
    const path = new RequestPath();
    const session = await path.initialize();
    const body = Buffer.concat([
      Buffer.from('{"jsonrpc":"2.0","id":"'),
      Buffer.from([0xc3, 0x28]),
      Buffer.from('","method":"ping"}'),
    ]);
    const headers = { ...session, 'content-type': 'application/json', accept: 'application/json, text/event-stream' };
    const exchange = path.send({ headers, body });
    await path.settled();
    expect(exchange.status).toBe(400);
    expect(exchange.json).toMatchObject({ error: { code: -32700, data: { fault: 'utf8' } } });
  });

  it('is answered under its id where it has a sound one', async () => {
    const path = new RequestPath();
    const exchange = await path.post('{"jsonrpc":"2.0","id":"abc","method":"ping","params":[]}');
    expect(exchange.json).toMatchObject({ id: 'abc', error: { code: -32600 } });
  });
});

describe('an oversized body', () => {
  it('is refused with 413, at one byte too many', async () => {
    const fits = new RequestPath({ limits: { bodyBytes: ping.length } });
    expect((await fits.post(ping)).status).toBe(400);
    const exchange = await fits.post(`${ping} `);
    expect(exchange.status).toBe(413);
    expect(fits.events.at(-1)).toMatchObject({ status: 413, error: 'body_too_large' });
    expect(fits.upstream.calls).toHaveLength(0);
  });

  it('that comes late is refused the same way', async () => {
    const path = new RequestPath({ limits: { bodyBytes: 10 } });
    const headers = { authorization: 'Bearer alice-key', 'content-type': 'application/json' };
    const exchange = path.send({ headers, body: ping, bodyLater: true });
    await path.settled();
    exchange.deliverBody(10);
    await path.settled();
    expect(exchange.status).toBe(413);
    expect(path.events.filter(({ error }) => error === 'body_too_large')).toHaveLength(1);
  });
});

describe('headers', () => {
  it.each([
    [{ 'content-type': 'text/plain' }, 415],
    [{ 'content-type': '' }, 415],
    [{ 'content-type': 'application/json; charset=utf-8' }, 200],
    [{ accept: 'application/json' }, 406],
    [{ accept: 'text/event-stream' }, 406],
    [{ accept: '' }, 406],
    [{ accept: 'application/json, text/event-stream;q=0' }, 406],
    [{ accept: '*/*' }, 200],
    [{ accept: 'text/event-stream;q=0.5, application/json' }, 200],
  ])('decide whether a POST is served: %j is %i', async (headers, status) => {
    const path = new RequestPath();
    const session = await path.initialize();
    const exchange = await path.post(ping, { ...session, ...(headers as Record<string, string>) });
    if (status === 200) path.upstream.last.result({});
    expect(exchange.status).toBe(status);
    expect(path.upstream.calls).toHaveLength(status === 200 ? 2 : 1);
  });

  it.each(['PUT', 'PATCH', 'OPTIONS', 'HEAD'])('%s is not a method of an endpoint: 405', async (method) => {
    const path = new RequestPath();
    const exchange = path.send({ method, headers: { authorization: 'Bearer alice-key' } });
    await path.settled();
    expect(exchange.status).toBe(405);
    expect(exchange.headers['allow']).toContain('POST');
  });

  it('GET must accept an event stream: 406', async () => {
    const path = new RequestPath();
    const session = await path.initialize();
    const exchange = path.send({ method: 'GET', headers: { ...session, accept: 'application/json' } });
    expect(exchange.status).toBe(406);
    expect(path.upstream.calls).toHaveLength(1);
  });

  it('GET and DELETE without a session are refused: 400; with a modern version: 405', async () => {
    const path = new RequestPath();
    const headers = { authorization: 'Bearer alice-key', accept: 'text/event-stream' };
    for (const method of ['GET', 'DELETE']) {
      const legacy = path.send({ method, headers });
      await path.settled();
      expect(legacy.status).toBe(400);
      const modern = path.send({ method, headers: { ...headers, 'mcp-protocol-version': modernVersion } });
      await path.settled();
      expect(modern.status).toBe(405);
    }
    expect(path.upstream.calls).toHaveLength(0);
  });
});

describe('a path that leads nowhere', () => {
  it.each([
    '/',
    '/acme/assistant',
    '/acme/assistant/mcp/',
    '/acme/assistant/mcp/x',
    '/ACME/assistant/mcp',
    '/other/mcp',
  ])('is 404 before anyone is asked for a credential: %s', async (target) => {
    const path = new RequestPath();
    const exchange = path.send({ path: target, body: ping });
    await path.settled();
    expect(exchange.status).toBe(404);
    expect(path.events).toMatchObject([{ error: 'unknown_path', tenant: '', route: '' }]);
  });
});

const modernRequest = (params: object, method = 'tools/list', id: unknown = 1) => ({
  jsonrpc: '2.0',
  id,
  method,
  params,
});
const modernHeaders = { 'mcp-protocol-version': modernVersion, 'mcp-method': 'tools/list' };
const versionKey = 'io.modelcontextprotocol/protocolVersion';
const capabilitiesKey = 'io.modelcontextprotocol/clientCapabilities';

describe('a modern request', () => {
  it.each([
    ['lacks _meta', {}, ['_meta']],
    ['lacks the version', { _meta: { [capabilitiesKey]: {} } }, [versionKey]],
  ])('that %s is refused with -32602, which names what is missing', async (_what, params, missing) => {
    const path = new RequestPath();
    const exchange = await path.post(modernRequest(params), modernHeaders);
    expect(exchange.status).toBe(400);
    expect(exchange.json).toMatchObject({ id: 1, error: { code: -32602, data: { missing } } });
  });

  it.each([
    ['no capabilities', { [versionKey]: modernVersion }],
    ['capabilities that are no object', { [versionKey]: modernVersion, [capabilitiesKey]: 5 }],
    ['a version that is no string', { [versionKey]: 5, [capabilitiesKey]: {} }],
    ['client info that is no object', { ...modernMeta, 'io.modelcontextprotocol/clientInfo': 'me' }],
  ])('with a malformed envelope is never taken for a legacy one: %s', async (_what, meta) => {
    const path = new RequestPath();
    const exchange = await path.post(modernRequest({ _meta: meta }, 'tools/list', 'x'), modernHeaders);
    expect(exchange.status).toBe(400);
    expect(exchange.json).toMatchObject({ id: 'x', error: { code: -32602 } });
    expect(path.upstream.calls).toHaveLength(0);
  });

  it('needs no client info', async () => {
    const path = new RequestPath();
    const exchange = await path.modern('tools/list');
    path.upstream.last.result({ tools: [] });
    expect(exchange.status).toBe(200);
  });

  it.each([
    ['another version', { 'mcp-protocol-version': '2026-09-01' }],
    ['a legacy version', { 'mcp-protocol-version': '2025-11-25' }],
    ['no version', { 'mcp-protocol-version': '' }],
    ['another method', { 'mcp-method': 'tools/list' }],
    ['no method', { 'mcp-method': '' }],
    ['another name', { 'mcp-name': 'other' }],
    ['another case of the name', { 'mcp-name': 'ECHO' }],
    ['no name', { 'mcp-name': '' }],
    ['a broken encoding', { 'mcp-name': '=?base64?***?=' }],
    ['another name, encoded', { 'mcp-name': '=?base64?b3RoZXI=?=' }],
  ])('whose headers and body disagree is refused with -32020: %s', async (_what, headers) => {
    const path = new RequestPath();
    const exchange = await path.modern('tools/call', { name: 'echo' }, { headers: headers as Record<string, string> });
    expect(exchange.status).toBe(400);
    expect(exchange.json).toMatchObject({ id: 1, error: { code: -32020 } });
    expect(path.upstream.calls).toHaveLength(0);
  });

  it('whose name is the same once decoded is served', async () => {
    const path = new RequestPath();
    const encoded = `=?base64?${Buffer.from('echo').toString('base64')}?=`;
    const exchange = await path.modern('tools/call', { name: 'echo' }, { headers: { 'mcp-name': encoded } });
    expect(path.upstream.last.header('mcp-name')).toBe(encoded);
    path.upstream.last.result({});
    expect(exchange.status).toBe(200);
  });

  it('of an unknown version is refused with -32022 and the versions that are', async () => {
    const path = new RequestPath();
    const headers = { 'mcp-protocol-version': '2030-01-01' };
    const exchange = await path.modern('tools/list', {}, { headers, meta: { [versionKey]: '2030-01-01' } });
    expect(exchange.status).toBe(400);
    expect(exchange.json).toMatchObject({
      id: 1,
      error: { code: -32022, data: { supported: [modernVersion], requested: '2030-01-01' } },
    });
  });

  it.each(['initialize', 'ping', 'logging/setLevel', 'resources/subscribe', 'tasks/list', 'no/such', 'constructor'])(
    'of a method that the era does not have is 404 with -32601: %s',
    async (method) => {
      const path = new RequestPath();
      const exchange = await path.modern(method, { uri: 'test://x' });
      expect(exchange.status).toBe(404);
      expect(exchange.json).toMatchObject({ id: 1, error: { code: -32601 } });
      expect(path.upstream.calls).toHaveLength(0);
    },
  );

  it('cannot be batched', async () => {
    const path = new RequestPath();
    const exchange = await path.post([modernRequest({ _meta: modernMeta })], modernHeaders);
    expect(exchange.status).toBe(400);
    expect(exchange.json).toMatchObject({ error: { code: -32600 } });
  });

  it('behind initialize with a modern header but no envelope is a mismatch', async () => {
    const path = new RequestPath();
    const exchange = await path.post(modernRequest({}, 'initialize'), { 'mcp-protocol-version': modernVersion });
    expect(exchange.status).toBe(400);
    expect(exchange.json).toMatchObject({ error: { code: -32020 } });
  });
});
