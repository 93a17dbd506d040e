import { constants } from 'node:http2';
import { describe, expect, it } from 'vitest';
import { answerOf, ask } from '../testing/http2-client.ts';
import {
  clientPreface,
  endHeaders,
  endStream,
  frame,
  frames,
  getHead,
  headBlock,
  headerBlock,
  readFrames,
} from '../testing/http2-frames.ts';
import { bodyOf, connections, echo, get, post, RunningServer, statusOf, turn } from '../testing/running-server.ts';
import type { BodyWriter, Exchange } from './exchange.ts';
import { httpCodecs } from './http-codecs.ts';

const http2 = { http2: 'always' } as const;
const limits = { checkIntervalMs: 20, headersTimeoutMs: 100, requestTimeoutMs: 150, keepAliveTimeoutMs: 100 };

/** Stream 1 without a body, its head in two frames. */
function headFrames(block: Buffer): Buffer[] {
  const half = Math.ceil(block.length / 2);
  return [
    frame(frames.headers, endStream, 1, block.subarray(0, half)),
    frame(frames.continuation, endHeaders, 1, block.subarray(half)),
  ];
}

function headWith(fields: readonly (readonly [string, string])[]): Buffer {
  return Buffer.concat([getHead, headerBlock(fields)]);
}

describe.each(httpCodecs)('HTTP/2 beside the %s codec', (codec) => {
  it('is told from HTTP/1.1 by its first bytes, however they are cut', async () => {
    await using test = await RunningServer.start(echo, { ...http2, codec });
    const one = await test.connect();
    for (const byte of post('POST begins like the preface')) {
      one.send(byte);
      await turn();
    }
    expect(bodyOf(await one.receives('preface'))).toBe('POST begins like the preface');
    await one.send(post('again')).receives('again');
    const two = await test.connect();
    const bytes = Buffer.concat([clientPreface, frame(frames.headers, endHeaders | endStream, 1, getHead)]);
    for (const byte of bytes.toString('latin1')) {
      two.send(byte);
      await turn();
    }
    while (test.exchanges.length < 3) await turn();
    expect(test.exchanges[2]?.head).toMatchObject({ method: 'GET', path: '/', host: 'a.test', secure: false });
    expect(test.server.connections).toBe(2);
  });

  it('is nothing that is understood where it is switched off', async () => {
    await using test = await RunningServer.start(echo, { codec });
    const client = await test.connect();
    expect(statusOf(await client.send(clientPreface.toString('latin1')).closed)).toBe(400);
  });

  it('leaves nobody waiting who does not say which it is', async () => {
    await using test = await RunningServer.start(echo, { ...http2, codec, limits });
    const [silent, half, gone] = [await test.connect(), await test.connect(), await test.connect()];
    half.send('PR');
    await connections(test, 3);
    gone.socket.end();
    await gone.closed;
    await test.closedInTime(silent);
    await test.closedInTime(half);
    await connections(test, 0);
    expect(test.refused).toEqual([]);
  });
});

describe('a connection of HTTP/2', () => {
  it('carries exchanges side by side, each answered when it is', async () => {
    const open = new Map<string, Exchange>();
    await using test = await RunningServer.start((exchange) => void open.set(exchange.head.path, exchange), http2);
    const { session } = await test.connectHttp2();
    const [slow, quick] = [ask(session, { ':path': '/slow' }), ask(session, { ':path': '/quick' })];
    while (open.size < 2) await turn();
    open.get('/quick')?.respond(200, [], 'q');
    expect(await quick).toEqual([200, 'q']);
    expect([test.server.connections, test.server.inFlight]).toEqual([1, 1]);
    open.get('/slow')?.respond(200, [], 's');
    expect(await slow).toEqual([200, 's']);
  });

  it('goes on for as long as its requests are answered, however many there are', async () => {
    await using test = await RunningServer.start(
      (exchange) => {
        const answer = (body: Buffer | undefined) => {
          if (exchange.head.path === '/stream') exchange.stream(200, []).end(body);
          else if (exchange.head.path === '/nothing') exchange.respond(202, [], undefined);
          else exchange.respond(200, [], body);
        };
        if (exchange.head.path === '/unread') answer(Buffer.from('unread'));
        else void Promise.resolve(exchange.body(10_000)).then(answer);
      },
      { ...http2, limits: { maxStreamFaults: 3 } },
    );
    const { session } = await test.connectHttp2();
    const statuses: number[] = [];
    for (const path of ['/', '/stream', '/nothing', '/unread']) {
      for (const method of ['POST', 'GET', 'HEAD']) {
        for (let i = 0; i < 5; i += 1) {
          const hasBody = method === 'POST';
          const stream = session.request(
            { ':method': method, ':path': path, ':authority': 'a.test' },
            { endStream: !hasBody },
          );
          const answer = answerOf(stream);
          if (hasBody) stream.end('x'.repeat(5_000));
          statuses.push((await answer)[0]);
        }
      }
    }
    expect(new Set(statuses)).toEqual(new Set([200, 202]));
    expect(test.server.connections).toBe(1);
  });

  it('goes on when it is we who break answers off', async () => {
    await using test = await RunningServer.start(
      (exchange) => {
        const writer = exchange.stream(200, []);
        writer.write('x');
        setImmediate(() => writer.abort());
      },
      { ...http2, limits: { maxStreamFaults: 3 } },
    );
    const { session } = await test.connectHttp2();
    for (let i = 0; i < 10; i += 1) expect((await ask(session))[0]).toBe(-constants.NGHTTP2_INTERNAL_ERROR);
    expect(test.server.connections).toBe(1);
  });

  it('hands heads on as HTTP/1.1 would', async () => {
    await using test = await RunningServer.start(echo, http2);
    const { session } = await test.connectHttp2();
    const headers = { ':path': '/a?b=c', ':authority': 'A.test:80', 'x-a': '1', cookie: 'a=1; b=2' };
    await ask(session, headers);
    const { head } = test.exchanges[0] as Exchange;
    expect(head).toMatchObject({ method: 'GET', path: '/a', query: 'b=c', host: 'a.test', port: test.port });
    expect(['host', 'x-a', 'cookie', ':path'].map((name) => head.header(name))).toEqual([
      'A.test:80',
      '1',
      'a=1; b=2',
      undefined,
    ]);
  });

  it('answers without what only HTTP/1.1 says', async () => {
    await using test = await RunningServer.start(
      (exchange) => exchange.respond(200, ['Connection', 'close', 'Keep-Alive', 'x', 'X-A', '1', 'x-a', '2'], 'b'),
      http2,
    );
    const client = await test.connectHttp2();
    const head = await client.send(get).receives('b');
    expect(head).toContain('X-A: 1, 2\r\n');
    expect(head).not.toMatch(/connection|keep-alive/i);
  });

  const bad: readonly [string, Record<string, string>, number][] = [
    ['a path that hides a segment', { ':path': '/a/../b' }, 400],
    ['a method that is not served', { ':method': 'TRACE' }, 405],
    ['another Host than the authority', { host: 'b.test' }, 400],
    ['another scheme', { ':scheme': 'ftp' }, 400],
    ['a second Authorization', { authorization: 'a' }, 400],
    ['an encoded body', { 'content-encoding': 'gzip' }, 415],
    ['an unknown expectation', { expect: 'x' }, 417],
    ['a target beyond 8 KiB', { ':path': `/${'x'.repeat(8_200)}` }, 414],
    ['fields beyond 16 KiB', { 'x-a': 'x'.repeat(8_000), 'x-b': 'x'.repeat(8_200) }, 431],
    ['a host that is refused', { ':authority': 'evil.test' }, 403],
  ];

  it.each(bad)('refuses a request with %s, and goes on', async (_, headers, status) => {
    await using test = await RunningServer.start(echo, {
      ...http2,
      judgeHost: ({ host }) => (host === 'a.test' ? undefined : { status: 403, reason: 'not here' }),
    });
    const client = await test.connect();
    const fields = { ':method': 'GET', ':scheme': 'http', ':authority': 'a.test', ':path': '/', ...headers };
    const block = Object.entries(fields);
    if ('authorization' in headers) block.push(['authorization', 'b']);
    client.send(
      Buffer.concat([
        clientPreface,
        ...headFrames(headerBlock(block)),
        frame(frames.headers, endHeaders | endStream, 3, getHead),
      ]).toString('latin1'),
    );
    while (test.exchanges.length < 1) await turn();
    expect(test.refused).toMatchObject([{ status }]);
    expect(test.value('signalbox_http_refused_total')).toBe(1);
    expect(test.server.connections).toBe(1);
  });

  it.each<[string, Buffer]>([
    ['a coding of HTTP/1.1', headWith([['transfer-encoding', 'chunked']])],
    ['a connection header', headWith([['connection', 'close']])],
    ['an upper-case name', headWith([['X-A', '1']])],
    ['a second path', headWith([[':path', '/b']])],
    ['a target that is not a path', headBlock({ ':path': '*' })],
    ['no host at all', headBlock({ ':authority': '' })],
    ['a user in the authority', headBlock({ ':authority': 'me@a.test' })],
    ['101 fields', headWith(Array.from({ length: 101 }, (_, i) => [`x-${i}`, '1']))],
  ])('gives a request with %s to nobody', async (_, block) => {
    await using test = await RunningServer.start(echo, http2);
    const client = await test.connect();
    client.send(Buffer.concat([clientPreface, ...headFrames(block)]).toString('latin1'));
    const other = await test.connectHttp2();
    expect(await ask(other.session)).toEqual([200, '']);
    await client.until((got) => readFrames(Buffer.from(got, 'latin1')).some(({ stream }) => stream === 1));
    expect(test.exchanges).toHaveLength(1);
  });

  it('leaves out a field whose value would break out of its place', async () => {
    await using test = await RunningServer.start(echo, http2);
    const client = await test.connect();
    const block = headWith([
      ['x-a', 'a\r\nx-b: c'],
      ['x-c', 'd'],
    ]);
    client.send(
      Buffer.concat([clientPreface, frame(frames.headers, endHeaders | endStream, 1, block)]).toString('latin1'),
    );
    while (test.exchanges.length === 0) await turn();
    expect(test.exchanges[0]?.head.withPrefix('x-')).toEqual(['x-c', 'd']);
  });

  it('takes no body for whole that is not', async () => {
    const bodies: unknown[] = [];
    await using test = await RunningServer.start((exchange) => {
      void Promise.resolve(exchange.body(100)).then((body) => bodies.push(body));
    }, http2);
    const head = (length: string) =>
      headerBlock([
        [':method', 'POST'],
        [':scheme', 'http'],
        [':authority', 'a.test'],
        [':path', '/'],
        ['content-length', length],
      ]);
    const client = await test.connect();
    client.send(
      Buffer.concat([
        clientPreface,
        frame(frames.headers, endHeaders, 1, head('4')),
        frame(frames.headers, endHeaders, 3, head('2')),
        frame(frames.headers, endHeaders, 5, head('4')),
      ]).toString('latin1'),
    );
    while (test.exchanges.length < 3) await turn();
    client.send(
      Buffer.concat([
        frame(frames.data, endStream, 1, Buffer.from('ab')),
        frame(frames.data, endStream, 3, Buffer.from('abcd')),
        frame(frames.data, 0, 5, Buffer.from('ab')),
        frame(frames.reset, 0, 5, Buffer.from([0, 0, 0, 0])),
      ]).toString('latin1'),
    );
    while (bodies.length < 3) await turn();
    expect(bodies).toEqual([undefined, undefined, undefined]);
  });

  it('takes no more of a body that nobody reads than its window', async () => {
    let exchange: Exchange | undefined;
    await using test = await RunningServer.start((begun) => void (exchange = begun), http2);
    const { session } = await test.connectHttp2();
    const stream = session.request({ ':method': 'POST', ':path': '/', ':authority': 'a.test' });
    const answer = answerOf(stream);
    stream.end(Buffer.alloc(1_000_000));
    while (!exchange) await turn();
    for (let i = 0; i < 50; i += 1) await turn();
    expect(stream.writableFinished).toBe(false);
    expect((await exchange.body(1_000_000))?.length).toBe(1_000_000);
    exchange.respond(200, [], 'x');
    expect(await answer).toEqual([200, 'x']);
  });

  it('is told when a body is not wanted, and the answer still arrives', async () => {
    await using test = await RunningServer.start((exchange) => exchange.respond(401, [], 'no'), http2);
    const { session } = await test.connectHttp2();
    const stream = session.request({ ':method': 'POST', ':path': '/', ':authority': 'a.test' });
    const answer = answerOf(stream);
    stream.write(Buffer.alloc(500_000));
    expect(await answer).toEqual([401, 'no']);
    expect(await ask(session)).toEqual([401, 'no']);
  });

  it('has at most so many streams at a time', async () => {
    await using test = await RunningServer.start(() => undefined, { ...http2, limits: { maxStreamsPerConnection: 2 } });
    const client = await test.connect();
    const open = (id: number) => frame(frames.headers, endHeaders | endStream, id, getHead);
    client.send(Buffer.concat([clientPreface, open(1), open(3), open(5)]).toString('latin1'));
    const refused = (got: string) =>
      readFrames(Buffer.from(got, 'latin1')).some(({ kind, stream }) => kind === frames.reset && stream === 5);
    await client.until(refused);
    expect(test.exchanges).toHaveLength(2);
  });
});

describe('a stream of HTTP/2', () => {
  it('never ends an answer of known length with more or less', async () => {
    const lengths = [3, 5];
    await using test = await RunningServer.start((exchange) => {
      const writer = exchange.stream(200, [], lengths.shift() ?? 4);
      writer.write('ab');
      writer.write('');
      writer.end('cd');
    }, http2);
    const { session } = await test.connectHttp2();
    expect((await ask(session))[0]).toBe(-constants.NGHTTP2_INTERNAL_ERROR);
    expect((await ask(session))[0]).toBe(-constants.NGHTTP2_INTERNAL_ERROR);
    expect(await ask(session)).toEqual([200, 'abcd']);
  });

  it('carries pieces as they were, empty ones between them', async () => {
    await using test = await RunningServer.start((exchange) => {
      const writer = exchange.stream(200, []);
      for (const piece of ['ab', '', Buffer.from('cd'), Buffer.alloc(0), 'é', '']) writer.write(piece);
      writer.end('');
    }, http2);
    const { session } = await test.connectHttp2();
    for (let i = 0; i < 5; i += 1) expect(await ask(session)).toEqual([200, 'abcd\xc3\xa9']);
  });

  it('that is cancelled is noticed, and the others go on', async () => {
    const gone = Promise.withResolvers<void>();
    const open: Exchange[] = [];
    await using test = await RunningServer.start((exchange) => {
      open.push(exchange);
      if (open.length === 1) exchange.onClientGone(gone.resolve);
    }, http2);
    const { session } = await test.connectHttp2();
    const first = session.request({ ':path': '/', ':authority': 'a.test' });
    const second = ask(session);
    while (open.length < 2) await turn();
    first.close(constants.NGHTTP2_CANCEL);
    await gone.promise;
    open[1]?.respond(200, [], 'x');
    expect(await second).toEqual([200, 'x']);
  });

  it('may be cancelled at any time', async () => {
    let ended = 0;
    const words: unknown[] = [];
    await using test = await RunningServer.start(
      (exchange) => {
        exchange.onClientGone(() => void (ended += 1));
        const later = (turns: number, act: () => void): void => {
          if (turns > 0) return void setImmediate(() => later(turns - 1, act));
          try {
            act();
          } catch (error) {
            words.push(error);
          }
        };
        const turns = test.exchanges.length % 5;
        later(turns, () => {
          void Promise.resolve(exchange.body(100)).then(() => undefined);
          if (turns % 2 === 0) return void exchange.respond(200, [], Buffer.alloc(50_000));
          const writer = exchange.stream(200, []);
          writer.write('x');
          later(1, () => writer.end('y'));
        });
      },
      { ...http2, limits: { maxStreamFaults: 1_000 } },
    );
    const { session } = await test.connectHttp2();
    for (let i = 0; i < 300; i += 1) {
      const stream = session.request({ ':method': 'POST', ':path': '/', ':authority': 'a.test' });
      stream.on('error', () => undefined);
      if (i % 3 > 0) stream.end('abc');
      for (let turns = i % 7; turns > 0; turns -= 1) await turn();
      stream.close(constants.NGHTTP2_CANCEL);
    }
    while (test.server.inFlight > 0) await turn();
    session.destroy();
    await connections(test, 0);
    expect(words).toEqual([]);
    expect(ended).toBeGreaterThan(50);
    expect(test.logger.lines).toEqual([]);
  });

  it.each([
    ['in order', constants.NGHTTP2_NO_ERROR],
    ['as cancelled', constants.NGHTTP2_CANCEL],
  ])('that is reset %s while its body is not read is noticed, and takes no answer', async (_, code) => {
    const gone = Promise.withResolvers<void>();
    const heard: string[] = [];
    await using test = await RunningServer.start((exchange) => {
      exchange.onClientGone(gone.resolve);
      const onBodyData = (chunk: Buffer) => heard.push(chunk.toString()) === 0;
      exchange.bodyTo({ onBodyData, onBodyEnd: () => void heard.push('end') });
    }, http2);
    const client = await test.connect();
    const piece = (text: string) => frame(frames.data, 0, 1, Buffer.from(text));
    const open = frame(frames.headers, endHeaders, 1, headBlock({ ':method': 'POST' }));
    client.send(Buffer.concat([clientPreface, open, piece('x')]).toString('latin1'));
    while (heard.length === 0) await turn();
    const reset = frame(frames.reset, 0, 1, Buffer.from([0, 0, 0, code]));
    client.send(Buffer.concat([piece('y'), reset]).toString('latin1'));
    await gone.promise;
    const exchange = test.exchanges[0] as Exchange;
    exchange.respond(200, [], 'late');
    while (test.server.inFlight > 0) await turn();
    expect([heard, exchange.responseBytes]).toEqual([['x'], 0]);
  });

  it('whose client does not read is cut off alone', async () => {
    const gone = Promise.withResolvers<void>();
    let writer: BodyWriter | undefined;
    await using test = await RunningServer.start((exchange) => {
      if (exchange.head.path === '/other') return void exchange.respond(200, [], 'x');
      exchange.onClientGone(gone.resolve);
      writer = exchange.stream(200, []);
      writer.write(Buffer.alloc(5_000_000));
    }, http2);
    const { session } = await test.connectHttp2();
    const stream = session.request({ ':path': '/', ':authority': 'a.test' });
    stream.on('error', () => undefined).pause();
    while (!writer) await turn();
    expect(writer.bufferedBytes).toBeGreaterThan(4_000_000);
    await test.clock.advance(29_000);
    expect(test.server.inFlight).toBe(1);
    await test.clock.advance(3_000);
    await gone.promise;
    expect(test.value('signalbox_http_stalled_total')).toBe(1);
    expect(await ask(session, { ':path': '/other' })).toEqual([200, 'x']);
  });

  it('whose body does not come is answered 408', async () => {
    const body = Promise.withResolvers<Buffer | undefined>();
    await using test = await RunningServer.start(
      (exchange) => {
        void Promise.resolve(exchange.body(100)).then(body.resolve);
      },
      { ...http2, limits },
    );
    const { session } = await test.connectHttp2();
    const stream = session.request({ ':method': 'POST', ':path': '/', ':authority': 'a.test' });
    const answer = answerOf(stream);
    stream.write('x');
    while (test.exchanges.length === 0) await turn();
    await test.clock.advance(400);
    expect(await answer).toEqual([408, '']);
    expect(await body.promise).toBeUndefined();
  });
});

describe('a client of HTTP/2', () => {
  it('that asks for nothing is cut off, after a request by the keep-alive timeout', async () => {
    await using test = await RunningServer.start(echo, { ...http2, limits });
    const [never, once] = [await test.connectHttp2(), await test.connectHttp2()];
    await connections(test, 2);
    await ask(once.session);
    await test.closedInTime(never);
    await test.closedInTime(once);
    await connections(test, 0);
    expect(test.exchanges).toHaveLength(1);
  });

  it('is sent to another connection after so many requests', async () => {
    await using test = await RunningServer.start(echo, { ...http2, limits: { maxRequestsPerConnection: 2 } });
    const client = await test.connectHttp2();
    expect(await ask(client.session)).toEqual([200, '']);
    expect(await ask(client.session)).toEqual([200, '']);
    await client.closed;
  });

  it('is asked to leave by a server that drains, but served until it has left', async () => {
    const open: Exchange[] = [];
    await using test = await RunningServer.start((exchange) => void open.push(exchange), http2);
    const [kept, fresh] = [await test.connectHttp2(), await test.connectHttp2()];
    const told = new Promise<number>((resolve) => void kept.session.on('goaway', resolve));
    const answer = ask(kept.session);
    while (open.length < 1) await turn();
    test.server.drain();
    expect(await told).toBe(constants.NGHTTP2_NO_ERROR);
    open[0]?.respond(200, [], 'a');
    expect(await answer).toEqual([200, 'a']);
    await kept.closed;
    const late = ask(fresh.session);
    while (open.length < 2) await turn();
    open[1]?.respond(200, [], 'b');
    expect(await late).toEqual([200, 'b']);
    await fresh.closed;
  });
});
