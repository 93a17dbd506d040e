import { request as nodeRequest } from 'node:http';
import { Metrics } from '@signalbox/runtime';
import { ManualClock, MemoryLogger } from '@signalbox/runtime/testing';
import { afterEach, describe, expect, it } from 'vitest';
import { RawClient } from '../testing/raw-client.ts';
import type { BodyWriter, Exchange } from './exchange.ts';
import { defaultHttpServerLimits, type HttpServer, type HttpServerLimits, type JudgeHost } from './http-server.ts';
import { createNodeHttpServer } from './node-http-codec.ts';

interface Running {
  readonly server: HttpServer;
  readonly port: number;
  readonly clock: ManualClock;
  readonly logger: MemoryLogger;
  /** Exchanges that reached the handler. */
  readonly exchanges: Exchange[];
  readonly value: (metric: string) => number;
  readonly connect: () => Promise<RawClient>;
}

const running: Running[] = [];
const clients: RawClient[] = [];

afterEach(async () => {
  for (const client of clients.splice(0)) client.socket.destroy();
  for (const { server } of running.splice(0)) await server.close(AbortSignal.abort());
});

interface Changes {
  readonly limits?: Partial<HttpServerLimits>;
  readonly judgeHost?: JudgeHost;
  readonly port?: number;
}

async function start(onExchange: (exchange: Exchange) => void, changes: Changes = {}): Promise<Running> {
  const clock = new ManualClock();
  const logger = new MemoryLogger();
  const metrics = new Metrics();
  const exchanges: Exchange[] = [];
  const limits = { ...defaultHttpServerLimits, ...changes.limits };
  const judgeHost = changes.judgeHost ?? (() => undefined);
  const server = createNodeHttpServer({ limits, judgeHost, clock, logger, metrics }, (exchange) => {
    exchanges.push(exchange);
    onExchange(exchange);
  });
  const { port } = await server.listen('127.0.0.1', changes.port ?? 0);
  const connect = async () => {
    const client = await RawClient.connect(port);
    clients.push(client);
    return client;
  };
  const value = (metric: string) =>
    metrics
      .expose()
      .split('\n')
      .filter((line) => line.startsWith(metric))
      .reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
  const all = { server, port, clock, logger, exchanges, value, connect };
  running.push(all);
  return all;
}

/** Answers with what it got. */
async function echo(exchange: Exchange): Promise<void> {
  const body = await exchange.body(1_000_000);
  if (body) exchange.respond(200, ['Content-Type', 'text/plain'], body);
}

const echoes = (exchange: Exchange) => void echo(exchange);

const post = (body: string, headers = '') =>
  `POST /mcp?x=1 HTTP/1.1\r\nHost: a.test\r\n${headers}Content-Length: ${body.length}\r\n\r\n${body}`;

const get = 'GET / HTTP/1.1\r\nHost: a.test\r\n\r\n';

function statusOf(received: string): number {
  return Number(/^HTTP\/1\.1 (\d{3}) /.exec(received)?.[1]);
}

function bodyOf(received: string): string {
  return received.slice(received.indexOf('\r\n\r\n') + 4);
}

describe('an exchange', () => {
  it('carries head and body in, and an answer out, over a connection that is kept', async () => {
    const test = await start(echoes);
    const client = await test.connect();
    const received = await client.send(post('hello', 'X-A: 1\r\nX-a: 2\r\nMcp-Name: n\r\n')).receives('hello');
    expect(statusOf(received)).toBe(200);
    expect(received).toContain('Content-Length: 5\r\n');
    expect(received).toMatch(/\r\nDate: /);
    const { head } = test.exchanges[0] as Exchange;
    expect(head).toMatchObject({ method: 'POST', path: '/mcp', query: 'x=1', host: 'a.test', port: test.port });
    expect([head.header('x-a'), head.header('x-b'), head.remoteAddress]).toEqual(['1, 2', undefined, '127.0.0.1']);
    expect(head.withPrefix('mcp-')).toEqual(['mcp-name', 'n']);
    await client.send(post('again')).receives('again');
    expect(test.exchanges).toHaveLength(2);
    expect([test.server.connections, test.server.inFlight]).toEqual([1, 0]);
  });

  it.each([
    ['of known length', post('abc')],
    ['in chunks', 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2;x=y\r\nbc\r\n0\r\n\r\n'],
  ])('reads a body %s, byte by byte too', async (_, text) => {
    const test = await start(echoes);
    const client = await test.connect();
    expect(bodyOf(await client.send(text).until((got) => got.endsWith('abc')))).toBe('abc');
    const slow = await test.connect();
    for (const byte of text) {
      slow.send(byte);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(bodyOf(await slow.until((got) => got.endsWith('abc')))).toBe('abc');
  });

  it('has an empty body at once when there is none', async () => {
    const bodies: unknown[] = [];
    const test = await start((exchange) => {
      bodies.push(exchange.body(0));
      exchange.respond(202, [], undefined);
    });
    const client = await test.connect();
    const received = await client.send(get).receives('\r\n\r\n');
    expect(bodies).toEqual([Buffer.alloc(0)]);
    expect([statusOf(received), bodyOf(received)]).toEqual([202, '']);
    expect(received).toContain('Content-Length: 0');
  });

  it('answers in text, in bytes, with nothing, and to HEAD without a body', async () => {
    const answers: Record<string, string | Buffer | undefined> = {
      '/text': 'é',
      '/bytes': Buffer.from([0xff, 0]),
      '/none': undefined,
    };
    const test = await start((exchange) =>
      exchange.respond(exchange.head.path === '/none' ? 204 : 200, [], answers[exchange.head.path]),
    );
    const client = await test.connect();
    const sizes: [number, string][] = [];
    for (const path of Object.keys(answers)) {
      client.received = '';
      const received = await client.send(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`).receives('\r\n\r\n');
      sizes.push([statusOf(received), bodyOf(received)]);
    }
    expect(sizes).toEqual([
      [200, '\xc3\xa9'],
      [200, '\xff\0'],
      [204, ''],
    ]);
    client.received = '';
    const head = await client.send('HEAD /text HTTP/1.1\r\nHost: a\r\n\r\n').receives('\r\n\r\n');
    expect(head).toContain('Content-Length: 2');
    client.received = '';
    await client.send('GET /text HTTP/1.1\r\nHost: a\r\n\r\n').receives('\xc3\xa9');
    expect(test.exchanges.map((exchange) => exchange.responseBytes)).toEqual([2, 2, 0, 0, 2]);
  });

  it('streams an answer of unknown length in chunks, its head at once', async () => {
    let writer: BodyWriter | undefined;
    const test = await start((exchange) => void (writer = exchange.stream(200, ['Content-Type', 'text/event-stream'])));
    const client = await test.connect();
    await client.send(get).receives('Transfer-Encoding: chunked');
    writer?.write('data: 1\n\n');
    await client.receives('data: 1\n\n');
    writer?.end('data: 2\n\n');
    await client.receives('0\r\n\r\n');
    expect(test.exchanges[0]).toMatchObject({ closed: true, responseBytes: 18 });
    await client.send(get).until((got) => got.split('HTTP/1.1 200').length === 3);
  });

  it('streams an answer of known length as it is', async () => {
    const test = await start((exchange) => {
      const writer = exchange.stream(200, [], 6);
      writer.write(Buffer.from('abc'));
      writer.end('def');
    });
    const client = await test.connect();
    expect(bodyOf(await client.send(get).receives('abcdef'))).toBe('abcdef');
  });

  it('that is broken off looks broken to the client', async () => {
    const test = await start((exchange) => {
      const writer = exchange.stream(200, []);
      writer.write('half');
      setImmediate(() => writer.abort());
    });
    const client = await test.connect();
    const received = await client.send(get).closed;
    expect(received).toContain('half');
    expect(received).not.toContain('0\r\n\r\n');
  });

  it('is answered once, and its body read once', async () => {
    const faults: unknown[] = [];
    const test = await start((exchange) => {
      void exchange.body(10);
      for (const fault of [
        () => exchange.body(10),
        () => exchange.respond(200, [], 'b'),
        () => exchange.stream(200, []),
      ]) {
        try {
          fault();
        } catch (error) {
          faults.push(error);
        }
      }
    });
    await (await test.connect()).send(post('x')).receives('b');
    expect(faults.map(String)).toEqual([
      expect.stringContaining('read once'),
      expect.stringContaining('answered once'),
    ]);
  });

  it('whose handler fails is answered 500, and others go on', async () => {
    const test = await start(() => {
      throw new Error('a fault of ours');
    });
    const client = await test.connect();
    expect(statusOf(await client.send(get).receives('\r\n\r\n'))).toBe(500);
    expect(test.logger.lines[0]?.fields).toEqual({ error: 'Error: a fault of ours' });
  });
});

describe('a client that leaves', () => {
  it('is noticed while it waits, and nothing is written any more', async () => {
    const gone = Promise.withResolvers<void>();
    const test = await start((exchange) => exchange.onClientGone(gone.resolve));
    const client = await test.connect();
    await client.send(get).until(() => true);
    while (test.exchanges.length === 0) await new Promise((resolve) => setImmediate(resolve));
    client.socket.destroy();
    await gone.promise;
    const exchange = test.exchanges[0] as Exchange;
    expect(exchange.closed).toBe(true);
    exchange.respond(200, [], 'late');
    expect([exchange.responseBytes, test.server.inFlight]).toEqual([0, 0]);
  });

  it('is noticed within a stream, and its writer takes nothing any more', async () => {
    const gone = Promise.withResolvers<void>();
    let writer: BodyWriter | undefined;
    const test = await start((exchange) => {
      exchange.onClientGone(gone.resolve);
      writer = exchange.stream(200, []);
      writer.write('x');
    });
    const client = await test.connect();
    await client.send(get).receives('x');
    client.socket.destroy();
    await gone.promise;
    expect(writer?.write('y')).toBe(false);
    writer?.end('z');
    writer?.abort();
    expect(test.exchanges[0]?.responseBytes).toBe(1);
  });

  it('in the middle of its body leaves no body', async () => {
    const body = Promise.withResolvers<Buffer | undefined>();
    const test = await start((exchange) => void Promise.resolve(exchange.body(100)).then(body.resolve));
    const client = await test.connect();
    client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf');
    while (test.exchanges.length === 0) await new Promise((resolve) => setImmediate(resolve));
    client.socket.destroy();
    expect(await body.promise).toBeUndefined();
  });

  it('after the answer is complete is nobody’s concern', async () => {
    let gone = 0;
    const test = await start((exchange) => {
      exchange.onClientGone(() => void (gone += 1));
      exchange.respond(200, [], 'x');
    });
    const client = await test.connect();
    await client.send(get).receives('x');
    client.socket.destroy();
    while (test.server.connections > 0) await new Promise((resolve) => setImmediate(resolve));
    expect(gone).toBe(0);
  });
});

describe('a body beyond its bound', () => {
  const tooMuch = async (text: string, then = '') => {
    let body: unknown = 'not read';
    const test = await start((exchange) => void Promise.resolve(exchange.body(10)).then((read) => void (body = read)));
    const client = await test.connect();
    client.send(text);
    const received = await client.receives('\r\n\r\n');
    client.send(then);
    await client.closed;
    return { status: statusOf(received), body, closed: test.exchanges[0]?.closed };
  };

  it('by its length is refused before it is read', async () => {
    const refused = { status: 413, body: undefined, closed: true };
    expect(await tooMuch('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n')).toEqual(refused);
    expect(await tooMuch('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10737418240\r\n\r\nx')).toEqual(refused);
  });

  it('in endless chunks is refused as soon as it exceeds it', async () => {
    const head = 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n';
    expect(await tooMuch(`${head}8\r\n12345678\r\n8\r\n12345678\r\n`, 'ff\r\n')).toMatchObject({
      status: 413,
      body: undefined,
    });
  });

  it('is read at just its bound', async () => {
    const test = await start(
      (exchange) => void Promise.resolve(exchange.body(10)).then((body) => exchange.respond(200, [], body)),
    );
    expect(await (await test.connect()).send(post('1234567890')).receives('1234567890')).toContain('200');
  });
});

describe('Expect: 100-continue', () => {
  const head = 'POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n';

  it('is answered when the body is asked for', async () => {
    const test = await start(echoes);
    const client = await test.connect();
    await client.send(head).receives('HTTP/1.1 100 Continue\r\n\r\n');
    expect(await client.send('hello').receives('hello')).toContain('HTTP/1.1 200');
  });

  it('is not answered when the body is not wanted, and the connection ends', async () => {
    const test = await start((exchange) => exchange.respond(401, [], undefined));
    const received = await (await test.connect()).send(head).closed;
    expect(statusOf(received)).toBe(401);
    expect(received).toContain('Connection: close');
  });

  it('with another expectation is refused', async () => {
    const test = await start(echoes);
    expect(statusOf(await (await test.connect()).send(post('', 'Expect: 200-ok\r\n')).closed)).toBe(417);
    expect(test.exchanges).toHaveLength(0);
  });
});

const line = 'POST / HTTP/1.1\r\n';
const host = 'Host: a.test\r\n';
const badInput: readonly [string, string, number][] = [
  ['both a length and chunks', `${line}${host}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, 400],
  ['chunks and a length', `${line}${host}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n`, 400],
  ['two lengths', `${line}${host}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello`, 400],
  ['the same length twice', `${line}${host}Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello`, 400],
  ['a list of lengths', `${line}${host}Content-Length: 5, 5\r\n\r\nhello`, 400],
  ['a signed length', `${line}${host}Content-Length: +5\r\n\r\nhello`, 400],
  ['a negative length', `${line}${host}Content-Length: -5\r\n\r\nhello`, 400],
  ['a length with letters', `${line}${host}Content-Length: 5x\r\n\r\nhello`, 400],
  ['a coding that hides chunked', `${line}${host}Transfer-Encoding: xchunked\r\n\r\n`, 400],
  ['a coding behind chunked', `${line}${host}Transfer-Encoding: chunked, identity\r\n\r\n`, 400],
  ['two codings', `${line}${host}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n`, 400],
  ['a blank before the colon', `${line}${host}Content-Length : 5\r\n\r\nhello`, 400],
  ['a folded header', `${line}${host}X: a\r\n b\r\n\r\n`, 400],
  ['a folded coding', `${line}${host}Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n`, 400],
  ['two Hosts', `${line}${host}Host: b.test\r\n\r\n`, 400],
  ['no Host', `${line}\r\n`, 400],
  ['a Host with a path', `${line}Host: a.test/x\r\n\r\n`, 400],
  ['two Authorizations', `${line}${host}Authorization: Bearer a\r\nauthorization: Bearer b\r\n\r\n`, 400],
  ['two Content-Types', `${line}${host}Content-Type: a/b\r\nContent-Type: c/d\r\n\r\n`, 400],
  ['two Origins', `${line}${host}Origin: null\r\nOrigin: http://a.test\r\n\r\n`, 400],
  ['two Mcp-Names', `${line}${host}Mcp-Name: a\r\nMcp-Name: b\r\n\r\n`, 400],
  ['two session ids', `${line}${host}Mcp-Session-Id: a\r\nmcp-session-id: b\r\n\r\n`, 400],
  ['absolute form', `POST http://evil.test/ HTTP/1.1\r\n${host}\r\n`, 400],
  ['authority form', `POST a.test:80 HTTP/1.1\r\n${host}\r\n`, 400],
  ['asterisk form', `OPTIONS * HTTP/1.1\r\n${host}\r\n`, 400],
  ['two leading slashes', `GET //evil.test/x HTTP/1.1\r\n${host}\r\n`, 400],
  ['a fragment', `GET /a#b HTTP/1.1\r\n${host}\r\n`, 400],
  ['a backslash', `GET /a\\b HTTP/1.1\r\n${host}\r\n`, 400],
  ['dot segments', `GET /a/../b HTTP/1.1\r\n${host}\r\n`, 400],
  ['encoded dot segments', `GET /a/%2e%2e/b HTTP/1.1\r\n${host}\r\n`, 400],
  ['an encoded slash', `GET /a%2fb HTTP/1.1\r\n${host}\r\n`, 400],
  ['NUL in the target', `GET /a\0b HTTP/1.1\r\n${host}\r\n`, 400],
  ['NUL in a value', `${line}${host}X: a\0b\r\n\r\n`, 400],
  ['NUL in a name', `${line}${host}X\0: a\r\n\r\n`, 400],
  ['bytes beyond ASCII in a value', `${line}${host}Authorization: Bearer \xe9\r\n\r\n`, 400],
  ['bytes beyond ASCII in the target', `GET /\xc3\xa9 HTTP/1.1\r\n${host}\r\n`, 400],
  ['LF alone', 'POST / HTTP/1.1\nHost: a.test\n\n', 400],
  ['LF alone between headers', `${line}${host}X: a\nY: b\r\n\r\n`, 400],
  ['CR alone in a value', `${line}${host}X: a\rY: b\r\n\r\n`, 400],
  ['LF alone in chunks', `${line}${host}Transfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n`, 400],
  ['a size of chunk that is none', `${line}${host}Transfer-Encoding: chunked\r\n\r\nzz\r\n`, 400],
  ['HTTP/0.9', 'GET /\r\n\r\n', 400],
  ['HTTP/1.0', `GET / HTTP/1.0\r\n${host}\r\n`, 400],
  ['HTTP/1.2', `GET / HTTP/1.2\r\n${host}\r\n`, 400],
  ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400],
  ['lower-case HTTP', `GET / http/1.1\r\n${host}\r\n`, 400],
  ['a method of no list', `BREW / HTTP/1.1\r\n${host}\r\n`, 400],
  ['a method that is not served', `TRACE / HTTP/1.1\r\n${host}\r\n`, 405],
  ['a blank before the method', ` GET / HTTP/1.1\r\n${host}\r\n`, 400],
  ['a body on GET', `GET / HTTP/1.1\r\n${host}Content-Length: 5\r\n\r\nhello`, 400],
  ['chunks on GET', `GET / HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, 400],
  ['another protocol', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', 400],
  ['an unknown expectation', `${line}${host}Expect: x\r\n\r\n`, 417],
  ['an encoded body', `${line}${host}Content-Encoding: gzip\r\nContent-Length: 0\r\n\r\n`, 415],
  ['101 headers', `${line}${host}${Array.from({ length: 100 }, (_, i) => `X-${i}: 1\r\n`).join('')}\r\n`, 431],
  ['3,000 headers', `${line}${host}${'x:\r\n'.repeat(3_000)}\r\n`, 431],
  ['a header beyond 16 KiB', `${line}${host}X: ${'x'.repeat(17_000)}\r\n\r\n`, 431],
  ['a target beyond 8 KiB', `GET /${'x'.repeat(8_200)} HTTP/1.1\r\n${host}\r\n`, 414],
];

describe('bad input', () => {
  it.each(badInput)('with %s is refused, closes the connection and reaches nobody', async (_, text, status) => {
    const test = await start(echoes);
    const client = await test.connect();
    const received = await client.send(text + get).closed;
    expect(statusOf(received)).toBe(status);
    expect(received).toContain('Connection: close');
    expect(received.match(/HTTP\/1\.1 \d/g)).toHaveLength(1);
    const reached = test.exchanges.filter((exchange) => exchange.head.method !== 'POST' || exchange.responseBytes > 0);
    expect(reached).toEqual([]);
    expect(test.value('signalbox_http_refused_total')).toBe(1);
  });

  it('byte by byte is refused the same', async () => {
    for (const [, text, status] of badInput.slice(0, 12)) {
      const test = await start(echoes);
      const client = await test.connect();
      for (const byte of text.slice(0, 200)) client.send(byte);
      expect(statusOf(await client.closed)).toBe(status);
    }
  });

  it('CONNECT is not served', async () => {
    const test = await start(echoes);
    await (await test.connect()).send(`CONNECT a.test:80 HTTP/1.1\r\n${host}\r\n`).closed;
    expect(test.exchanges).toHaveLength(0);
  });

  it('an Upgrade is ignored', async () => {
    const test = await start(echoes);
    const client = await test.connect();
    const received = await client
      .send(`GET / HTTP/1.1\r\n${host}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n`)
      .receives('\r\n\r\n');
    expect(statusOf(received)).toBe(200);
  });

  it('a host that is refused reaches nobody', async () => {
    const test = await start(echoes, {
      judgeHost: (head) => (head.host === 'a.test' ? undefined : { status: 403, reason: 'not here' }),
    });
    const client = await test.connect();
    const received = await client.send(`GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n${get}`).closed;
    expect([statusOf(received), bodyOf(received)]).toEqual([403, 'not here\n']);
    expect(test.exchanges).toHaveLength(0);
  });
});

describe('requests sent before the answer', () => {
  it('are dropped with the connection, which says so', async () => {
    const test = await start((exchange) => void setImmediate(() => exchange.respond(200, [], exchange.head.path)));
    const client = await test.connect();
    const received = await client.send(
      `GET /1 HTTP/1.1\r\n${host}\r\nGET /2 HTTP/1.1\r\n${host}\r\nGET /3 HTTP/1.1\r\n${host}\r\n`,
    ).closed;
    expect([statusOf(received), bodyOf(received)]).toEqual([200, '/1']);
    expect(received).toContain('Connection: close');
    expect(test.exchanges).toHaveLength(1);
  });

  it('end a stream that had promised to keep the connection, once it is complete', async () => {
    let writer: BodyWriter | undefined;
    const test = await start((exchange) => void (writer = exchange.stream(200, [])));
    const client = await test.connect();
    await client.send(get).receives('chunked');
    client.send(get);
    while (test.value('signalbox_http_refused_total') === 0) await new Promise((resolve) => setImmediate(resolve));
    writer?.end('all');
    expect((await client.closed).endsWith('3\r\nall\r\n0\r\n\r\n')).toBe(true);
    expect(test.exchanges).toHaveLength(1);
  });

  it('that are not HTTP break off the answer under way', async () => {
    const gone = Promise.withResolvers<void>();
    const test = await start((exchange) => {
      exchange.onClientGone(gone.resolve);
      exchange.stream(200, []).write('begun');
    });
    const client = await test.connect();
    await client.send(get).receives('begun');
    const received = await client.send('not HTTP\r\n\r\n').closed;
    await gone.promise;
    expect(received).not.toContain('400');
  });
});

describe('a slow client', () => {
  const limits = { headersTimeoutMs: 100, requestTimeoutMs: 150, checkIntervalMs: 20 };

  it('that does not finish its head is answered 408 and cut off', async () => {
    const test = await start(echoes, { limits });
    const client = await test.connect();
    expect(statusOf(await client.send('GET / HTTP/1.1\r\nX: ').closed)).toBe(408);
    expect(test.exchanges).toHaveLength(0);
  });

  it('that does not finish its body is answered 408, cut off, and leaves no body', async () => {
    const body = Promise.withResolvers<Buffer | undefined>();
    const test = await start((exchange) => void Promise.resolve(exchange.body(100)).then(body.resolve), { limits });
    const client = await test.connect();
    expect(statusOf(await client.send(`${line}${host}Content-Length: 9\r\n\r\nx`).closed)).toBe(408);
    expect(await body.promise).toBeUndefined();
  });

  it('that says nothing at all is cut off', async () => {
    const test = await start(echoes, { limits });
    await (
      await test.connect()
    ).closed;
    expect(test.server.connections).toBe(0);
  });

  it('that does not read a stream is cut off after the write timeout, and the stream hears of it', async () => {
    const gone = Promise.withResolvers<void>();
    let writer: BodyWriter | undefined;
    const test = await start((exchange) => {
      exchange.onClientGone(gone.resolve);
      writer = exchange.stream(200, []);
    });
    const client = await test.connect();
    client.socket.pause();
    client.send(get);
    while (!writer) await new Promise((resolve) => setImmediate(resolve));
    writer.write(Buffer.alloc(20_000_000));
    expect(writer.bufferedBytes).toBeGreaterThan(0);
    await test.clock.advance(29_000);
    expect(test.server.inFlight).toBe(1);
    await test.clock.advance(3_000);
    await gone.promise;
    expect(test.value('signalbox_http_stalled_total')).toBe(1);
  });

  it('that reads on is not cut off, and the writer hears when it has caught up', async () => {
    const drained = Promise.withResolvers<void>();
    let writer: BodyWriter | undefined;
    const test = await start((exchange) => {
      writer = exchange.stream(200, []);
      writer.onDrain(drained.resolve);
    });
    const client = await test.connect();
    client.socket.pause();
    client.send(get);
    while (!writer) await new Promise((resolve) => setImmediate(resolve));
    writer.write(Buffer.alloc(20_000_000));
    await test.clock.advance(20_000);
    client.socket.resume();
    await drained.promise;
    await test.clock.advance(60_000);
    expect(test.server.inFlight).toBe(1);
    writer.end();
    await client.receives('0\r\n\r\n');
  });

  it('of a whole answer has time by its size', async () => {
    const size = 20_000_000;
    const test = await start((exchange) => exchange.respond(200, [], Buffer.alloc(size)));
    const client = await test.connect();
    client.socket.pause();
    client.send(get);
    while (test.exchanges.length === 0) await new Promise((resolve) => setImmediate(resolve));
    const allowedMs = 30_000 + (size / 16_384) * 1_000;
    await test.clock.advance(allowedMs - 2_000);
    expect(test.server.inFlight).toBe(1);
    await test.clock.advance(5_000);
    expect(test.value('signalbox_http_stalled_total')).toBe(1);
  });
});

describe('a server', () => {
  it('that drains still accepts, and closes each connection with its answer', async () => {
    const test = await start(echoes);
    const kept = await test.connect();
    await kept.send(post('a')).receives('a');
    test.server.drain();
    expect(await kept.send(post('b')).closed).toContain('Connection: close');
    expect(await (await test.connect()).send(post('c')).closed).toMatch(/Connection: close[^]*c$/);
  });

  it('that closes waits for what is in flight, and for nothing idle', async () => {
    let exchange: Exchange | undefined;
    const test = await start((begun) => void (exchange = begun));
    const idle = await test.connect();
    const busy = await test.connect();
    busy.send(get);
    while (!exchange) await new Promise((resolve) => setImmediate(resolve));
    const closed = test.server.close(new AbortController().signal);
    await idle.closed;
    exchange.respond(200, [], 'done');
    expect(await busy.closed).toContain('done');
    await closed;
    expect(test.server.connections).toBe(0);
  });

  it('that closes destroys what is left at the deadline', async () => {
    const gone = Promise.withResolvers<void>();
    const deadline = new AbortController();
    const test = await start((exchange) => {
      exchange.onClientGone(gone.resolve);
      exchange.stream(200, []).write('x');
    });
    const client = await test.connect();
    await client.send(get).receives('x');
    const closed = test.server.close(deadline.signal);
    deadline.abort();
    await closed;
    await gone.promise;
    expect(test.server.inFlight).toBe(0);
  });

  it('bounds its connections, and the requests of each', async () => {
    const test = await start(echoes, { limits: { maxConnections: 1, maxRequestsPerConnection: 2 } });
    const client = await test.connect();
    await client.send(post('a')).receives('a');
    await (
      await test.connect()
    ).closed;
    expect(test.value('signalbox_http_connections_dropped_total')).toBe(1);
    expect(await client.send(post('b')).closed).toMatch(/Connection: close[^]*b$/);
  });

  it('says when its port is taken', async () => {
    const test = await start(echoes);
    await expect(start(echoes, { port: test.port })).rejects.toThrow('EADDRINUSE');
  });

  it('is spoken to by node:http', async () => {
    const test = await start(echoes);
    const answer = await new Promise<string>((resolve, reject) => {
      const request = nodeRequest({ port: test.port, host: '127.0.0.1', method: 'POST', path: '/' }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (piece: string) => void (text += piece));
        response.on('end', () => resolve(text));
      });
      request.on('error', reject).end('hello');
    });
    expect(answer).toBe('hello');
  });
});
