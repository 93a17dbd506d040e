import {
  gateway,
  type LegacyMcpServer,
  legacyVersion,
  mcpRoute,
  type Message,
  type ModernMcpServer,
  modernVersion,
  RawMcpClient,
  type RawHttpAnswer,
  sendBytes,
  startLegacyMcpServer,
  startModernMcpServer,
  startSystem,
  type System,
  tenant,
} from '@signalbox/test-harness';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';

const json = 'content-type: application/json';
const accept = 'accept: application/json, text/event-stream';
const key = 'authorization: Bearer alice-key';

/** What a request is made of; every part can be wrong. */
interface Parts {
  readonly start?: string;
  readonly host?: string;
  readonly headers?: readonly string[];
  readonly body?: string | Buffer;
}

/** JSON-RPC code of an answer; undefined when it has none. */
function codeOf(answer: RawHttpAnswer): number | undefined {
  if (answer.body === '') return undefined;
  return (JSON.parse(answer.body) as Message).error?.code;
}

const call = (params: unknown, id: unknown = 1) => JSON.stringify({ jsonrpc: '2.0', id, method: 'tools/call', params });
const echo = call({ name: 'echo', arguments: { text: 'x' } });

describe('bad input over a socket', () => {
  let legacy: LegacyMcpServer;
  let modern: ModernMcpServer;
  let system: System;
  let alice: RawMcpClient;
  let url: string;
  let modernUrl: string;
  const limits = { bodyBytes: 65_536, headerBytes: 8_192, urlBytes: 2_048 };

  beforeAll(async () => {
    legacy = await startLegacyMcpServer();
    modern = await startModernMcpServer();
    system = await startSystem({
      pgUrl: inject('pgUrl'),
      settings: {
        SIGNALBOX_PROXY_MAX_BODY_BYTES: String(limits.bodyBytes),
        SIGNALBOX_PROXY_MAX_HEADER_BYTES: String(limits.headerBytes),
        SIGNALBOX_PROXY_MAX_URL_BYTES: String(limits.urlBytes),
      },
    });
    const options = { keys: { alice: 'alice-key', bob: 'bob-key' }, rules: ['true'] };
    await system.apply([
      gateway(),
      tenant(),
      ...mcpRoute({ name: 'legacy', url: legacy.url, ...options }),
      ...mcpRoute({ name: 'modern', url: modern.url, ...options }),
    ]);
    url = system.endpoint('acme', 'legacy');
    modernUrl = system.endpoint('acme', 'modern');
    alice = new RawMcpClient({ url, token: 'alice-key' });
    await alice.initialize();
    await new RawMcpClient({ url: modernUrl, token: 'alice-key' }).modern('server/discover');
  });

  afterAll(async () => {
    await system.stop();
    await legacy.stop();
    await modern.stop();
  });

  const send = (to: string, parts: Parts): Promise<RawHttpAnswer> => {
    const { host, pathname } = new URL(to);
    const { start = `POST ${pathname} HTTP/1.1`, headers = [], body = '' } = parts;
    const head = [
      start,
      `host: ${parts.host ?? host}`,
      ...headers,
      `content-length: ${Buffer.byteLength(body)}`,
      '',
      '',
    ];
    return sendBytes(to, Buffer.concat([Buffer.from(head.join('\r\n'), 'latin1'), Buffer.from(body)]));
  };

  /** On alice's session, correct but for what is given. */
  const onSession = (body: string | Buffer, extra: readonly string[] = []): Promise<RawHttpAnswer> =>
    send(url, {
      headers: [
        json,
        accept,
        key,
        `mcp-session-id: ${alice.session}`,
        `mcp-protocol-version: ${legacyVersion}`,
        ...extra,
      ],
      body,
    });

  /** Status and code of a refusal, after which the upstream must have seen nothing and the process must still serve. */
  const refusal = async (ask: () => Promise<RawHttpAnswer>): Promise<[status: number, code: number | undefined]> => {
    const seen = [legacy.requests.items.length, modern.requests.items.length];
    const answer = await ask();
    expect([legacy.requests.items.length, modern.requests.items.length]).toEqual(seen);
    expect((await alice.call('echo', { text: 'still here' })).result).toMatchObject({
      content: [{ text: 'still here' }],
    });
    return [answer.status, codeOf(answer)];
  };

  describe('in the body', () => {
    const deep = (depth: number) =>
      `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":${'['.repeat(depth)}${']'.repeat(depth)}}`;
    const deepArguments = call({ name: 'echo', arguments: { text: 'DEEP' } }).replace(
      '"DEEP"',
      '{"a":'.repeat(5_000) + '1' + '}'.repeat(5_000),
    );
    const duplicate = (text: string, instead: string) => echo.replace(text, instead);

    it.each<[string, string | Buffer, number, number]>([
      ['an empty body', '', 400, -32700],
      ['half a document', echo.slice(0, -3), 400, -32700],
      ['two documents', echo + echo, 400, -32700],
      ['JSON with a comment', `/* hi */${echo}`, 400, -32700],
      ['JSON with a trailing comma', echo.replace('}}}', '},}}'), 400, -32700],
      ['a lone NaN', echo.replace('"x"', 'NaN'), 400, -32700],
      [
        'bytes that are not UTF-8',
        Buffer.concat([Buffer.from(echo.slice(0, -6)), Buffer.from([0xff, 0xfe]), Buffer.from(echo.slice(-6))]),
        400,
        -32700,
      ],
      ['a byte order mark', `\ufeff${echo}`, 400, -32700],
      ['a method named twice', duplicate('"method"', '"method":"ping","method"'), 400, -32700],
      ['a tool named twice', duplicate('"name":"echo"', '"name":"echo","name":"hidden"'), 400, -32700],
      [
        'a tool named twice, once escaped',
        duplicate('"name":"echo"', String.raw`"name":"echo","n\u0061me":"hidden"`),
        400,
        -32700,
      ],
      ['an argument named twice', duplicate('"text":"x"', '"text":"x","text":"y"'), 400, -32700],
      ['a __proto__ member', duplicate('"text":"x"', '"__proto__":{"x":1}'), 400, -32700],
      ['nesting 10,000 deep', deep(10_000), 400, -32700],
      ['arguments 5,000 deep', deepArguments, 400, -32700],
      ['a number', '42', 400, -32600],
      ['a string', '"tools/call"', 400, -32600],
      ['null', 'null', 400, -32600],
      ['an object that is no message', '{}', 400, -32600],
      ['another version of JSON-RPC', echo.replace('2.0', '1.0'), 400, -32600],
      ['a method that is a number', echo.replace('"tools/call"', '7'), 400, -32600],
      ['params that are a string', call('echo'), 400, -32600],
      ['params that are an array', call(['echo']), 400, -32600],
      ['a null id', call({ name: 'echo' }, null), 400, -32600],
      ['a fractional id', call({ name: 'echo' }, 1.5), 400, -32600],
      ['an id that is an object', call({ name: 'echo' }, {}), 400, -32600],
      ['method and result in one message', echo.replace('"params"', '"result":{},"params"'), 400, -32600],
      ['a tool whose name is a number', call({ name: 7 }), 200, -32602],
      ['a call without a tool', call({}), 200, -32602],
      ['arguments that are an array', call({ name: 'echo', arguments: [] }), 200, -32602],
      ['an empty batch', '[]', 400, -32600],
      ['a batch, which this revision has not', `[${echo}]`, 400, -32600],
      ['a batch of 10,000', `[${Array.from({ length: 10_000 }, () => '{}').join(',')}]`, 400, -32600],
    ])('%s is refused', async (_name, body, status, code) => {
      expect(await refusal(() => onSession(body))).toEqual([status, code]);
    });

    it('more bytes than the limit are answered 413, without waiting for them', async () => {
      const body = call({ name: 'echo', arguments: { text: 'x'.repeat(limits.bodyBytes) } });
      expect(await refusal(() => onSession(body))).toEqual([413, undefined]);
      const { pathname, host } = new URL(url);
      const promise = [
        `POST ${pathname} HTTP/1.1`,
        `host: ${host}`,
        json,
        accept,
        key,
        'content-length: 999999999',
        '',
        '',
      ].join('\r\n');
      expect(await refusal(() => sendBytes(url, promise))).toEqual([413, undefined]);
    });

    it('more bytes than the limit in chunks are answered 413', async () => {
      const { pathname, host } = new URL(url);
      const head = [
        `POST ${pathname} HTTP/1.1`,
        `host: ${host}`,
        json,
        accept,
        key,
        `mcp-session-id: ${alice.session}`,
        'transfer-encoding: chunked',
        '',
        '',
      ].join('\r\n');
      const chunk = `4000\r\n${'x'.repeat(0x4000)}\r\n`;
      expect(await refusal(() => sendBytes(url, head + chunk.repeat(8)))).toEqual([413, undefined]);
    });
  });

  describe('in the head', () => {
    it.each<[string, Parts, number]>([
      [
        'a header that is too large',
        { headers: [json, accept, key, `x-large: ${'x'.repeat(20_000)}`], body: echo },
        431,
      ],
      [
        'too many headers',
        { headers: [json, accept, key, ...Array.from({ length: 200 }, (_, i) => `x-${i}: 1`)], body: echo },
        431,
      ],
      ['a path that is too long', { start: `POST /${'x'.repeat(4_000)} HTTP/1.1`, headers: [key] }, 414],
      ['a space in a header name', { headers: ['bad header: 1'], body: echo }, 400],
      ['no such method of HTTP', { start: 'BREW /acme/legacy/mcp HTTP/1.1' }, 400],
      ['a folded header', { headers: ['x-a: 1\r\n folded'], body: echo }, 400],
      ['two credentials', { headers: [json, accept, key, 'authorization: Bearer bob-key'], body: echo }, 400],
      ['two sessions', { headers: [json, accept, key, 'mcp-session-id: a', 'mcp-session-id: b'], body: echo }, 400],
      ['two lengths', { headers: [json, accept, key, 'content-length: 5'], body: echo }, 400],
      ['a length beside chunks', { headers: [json, accept, key, 'transfer-encoding: chunked'], body: echo }, 400],
      ['a foreign Host', { host: 'evil.example', headers: [json, accept, key], body: echo }, 403],
      [
        'a foreign Host with a name that begins like ours',
        { host: 'localhost.evil.example', headers: [json, accept, key], body: echo },
        403,
      ],
      ['a foreign Origin', { headers: [json, accept, key, 'origin: http://evil.example'], body: echo }, 403],
      ['an Origin of null', { headers: [json, accept, key, 'origin: null'], body: echo }, 403],
      [
        'a path in a foreign form',
        { start: 'POST http://evil.example/acme/legacy/mcp HTTP/1.1', headers: [json, accept, key], body: echo },
        400,
      ],
      [
        'a path with dots',
        { start: 'POST /acme/x/../legacy/mcp HTTP/1.1', headers: [json, accept, key], body: echo },
        400,
      ],
      [
        'an encoded slash',
        { start: 'POST /acme%2flegacy/mcp HTTP/1.1', headers: [json, accept, key], body: echo },
        400,
      ],
    ])('%s is refused', async (_name, parts, status) => {
      const seen = legacy.requests.items.length;
      expect((await send(url, parts)).status).toBe(status);
      expect(legacy.requests.items).toHaveLength(seen);
      expect((await alice.call('echo', { text: 'still here' })).result).toBeDefined();
    });

    it.each<[string, readonly string[], number, number]>([
      ['no Accept for streams', [json, 'accept: application/json', key], 406, -32000],
      ['another media type', ['content-type: text/plain', accept, key], 415, -32000],
      ['a protocol version that does not exist', [json, accept, key, 'mcp-protocol-version: 1999-01-01'], 400, -32000],
    ])('%s is refused', async (_name, headers, status, code) => {
      expect(
        await refusal(() => send(url, { headers: [...headers, `mcp-session-id: ${alice.session}`], body: echo })),
      ).toEqual([status, code]);
    });

    it('a path that nobody serves is answered 404', async () => {
      expect(
        await refusal(() =>
          send(`${new URL(url).origin}/acme/nothing/mcp`, { headers: [json, accept, key], body: echo }),
        ),
      ).toEqual([404, -32000]);
    });

    it('a protocol version unlike the session is refused', async () => {
      const headers = [json, accept, key, `mcp-session-id: ${alice.session}`, 'mcp-protocol-version: 2025-03-26'];
      expect(await refusal(() => send(url, { headers, body: echo }))).toEqual([400, -32000]);
    });
  });

  describe('in the session id', () => {
    const withSession = (session: string | undefined, credential = key) =>
      send(url, {
        headers: [json, accept, credential, ...(session === undefined ? [] : [`mcp-session-id: ${session}`])],
        body: echo,
      });

    it.each<[string, () => string | undefined, number]>([
      ['none', () => undefined, 400],
      ['an unknown one', () => '0123456789abcdef', 404],
      ['one with a changed first byte', () => flip(alice.session ?? '', 0), 404],
      ['one with a changed last byte', () => flip(alice.session ?? '', -1), 404],
      ['one that is cut off', () => alice.session?.slice(0, -8), 404],
      ['a very long one', () => 'x'.repeat(4_000), 404],
    ])('%s is refused', async (_name, session, status) => {
      expect(await refusal(() => withSession(session()))).toEqual([status, status === 404 ? -32001 : -32000]);
    });

    it('the session of another principal is unknown', async () => {
      expect(await refusal(() => withSession(alice.session, 'authorization: Bearer bob-key'))).toEqual([404, -32001]);
    });
  });

  describe('of the modern era', () => {
    const meta = {
      'io.modelcontextprotocol/protocolVersion': modernVersion,
      'io.modelcontextprotocol/clientCapabilities': {},
    };
    const modernCall = (changes: object = {}, name = 'echo') =>
      call({ name, arguments: {}, _meta: { ...meta, ...changes } });
    const standard = [`mcp-protocol-version: ${modernVersion}`, 'mcp-method: tools/call', 'mcp-name: echo'];

    it.each<[string, string, readonly string[], [status: number, code: number]]>([
      ['no version header', modernCall(), standard.slice(1), [400, -32020]],
      ['no method header', modernCall(), [standard[0] ?? '', standard[2] ?? ''], [400, -32020]],
      ['no name header', modernCall(), standard.slice(0, 2), [400, -32020]],
      ['a name header that names another tool', modernCall({}, 'hidden'), standard, [400, -32020]],
      [
        'a method header unlike the body',
        modernCall(),
        [standard[0] ?? '', 'mcp-method: tools/list', standard[2] ?? ''],
        [400, -32020],
      ],
      [
        'a version header unlike the body',
        modernCall(),
        ['mcp-protocol-version: 2025-11-25', ...standard.slice(1)],
        [400, -32020],
      ],
      [
        'a name header that is badly encoded',
        modernCall(),
        [...standard.slice(0, 2), 'mcp-name: =?base64?%%%?='],
        [400, -32020],
      ],
      [
        'no capabilities',
        call({ name: 'echo', _meta: { 'io.modelcontextprotocol/protocolVersion': modernVersion } }),
        standard,
        [400, -32602],
      ],
      [
        'a version that is a number',
        modernCall({ 'io.modelcontextprotocol/protocolVersion': 7 }),
        standard,
        [400, -32602],
      ],
      ['a header without an envelope', echo, standard, [400, -32602]],
      [
        'a version of the future',
        modernCall({ 'io.modelcontextprotocol/protocolVersion': '2031-01-01' }),
        ['mcp-protocol-version: 2031-01-01', ...standard.slice(1)],
        [400, -32022],
      ],
      ['a batch', `[${modernCall()}]`, standard, [400, -32600]],
      [
        'initialize under a modern header',
        '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}',
        standard.slice(0, 1),
        [400, -32020],
      ],
    ])('%s is refused', async (_name, body, headers, expected) => {
      expect(await refusal(() => send(modernUrl, { headers: [json, accept, key, ...headers], body }))).toEqual(
        expected,
      );
    });

    it('an unknown method is answered 404', async () => {
      const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/destroy', params: { _meta: meta } });
      const headers = [json, accept, key, `mcp-protocol-version: ${modernVersion}`, 'mcp-method: tools/destroy'];
      expect(await refusal(() => send(modernUrl, { headers, body }))).toEqual([404, -32601]);
    });
  });

  it('a client that stops in the middle of a request costs nothing but itself', async () => {
    const { pathname, host } = new URL(url);
    const seen = legacy.requests.items.length;
    const partial = [
      `POST ${pathname} HTTP/1.1`,
      `host: ${host}`,
      json,
      accept,
      key,
      'content-length: 500',
      '',
      '{"jsonrpc"',
    ].join('\r\n');
    const waiting = Array.from({ length: 20 }, () =>
      sendBytes(url, partial, 300).catch((error: Error) => error.message),
    );
    expect((await alice.call('echo', { text: 'still here' })).result).toBeDefined();
    expect(new Set(await Promise.all(waiting))).toEqual(new Set(['no answer in time']));
    expect(legacy.requests.items).toHaveLength(seen + 1);
  });
});

/** The same text with another character at an index. */
function flip(text: string, index: number): string {
  const at = index < 0 ? text.length + index : index;
  return text.slice(0, at) + (text[at] === 'A' ? 'B' : 'A') + text.slice(at + 1);
}
