import { constants, type ServerHttp2Stream } from 'node:http2';
import { createServer, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import { Metrics } from '@signalbox/runtime';
import { ManualClock } from '@signalbox/runtime/testing';
import { describe, expect, it } from 'vitest';
import { GatheredAnswer } from '../testing/gathered-answer.ts';
import { echoed, Http2Backend } from '../testing/http2-backend.ts';
import { endHeaders, endStream, frame, frames, headerBlock, readFrames } from '../testing/http2-frames.ts';
import { defaultHttp2ClientLimits, Http2Client, type Http2ClientLimits } from './http2-client.ts';
import type { UpstreamRequest } from './upstream.ts';

function clientOf(changes: Partial<Http2ClientLimits> = {}) {
  const clock = new ManualClock();
  const metrics = new Metrics();
  const client = new Http2Client({ limits: { ...defaultHttp2ClientLimits, ...changes }, clock, metrics });
  const value = (name: string) => Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(metrics.expose())?.[1]);
  return { client, clock, value, [Symbol.dispose]: () => client.close() };
}

function requestTo(server: { origin: string }, changes: Partial<UpstreamRequest> = {}): UpstreamRequest {
  return {
    ...{ origin: server.origin, poolKey: 'acme/weather', method: 'POST', target: '/mcp?x=1' },
    ...{ headers: ['Content-Type', 'application/json'], body: Buffer.from('{}'), safeToResend: false },
    timeouts: { connectMs: 1_000, headMs: 2_000, idleMs: 3_000, totalMs: 60_000 },
    ...changes,
  };
}

function send(client: Http2Client, request: UpstreamRequest): GatheredAnswer {
  const gathered = new GatheredAnswer();
  gathered.exchange = client.dispatch(request, gathered);
  return gathered;
}

const streamed = { body: undefined, streamed: 'chunked' } as const;

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => void setImmediate(resolve));
}

function answer(stream: ServerHttp2Stream, body = 'ok'): void {
  stream.resume().respond({ ':status': 200 });
  stream.end(body);
}

describe('a request over HTTP/2', () => {
  it('travels with its headers and body, and its answer comes back', async () => {
    await using server = await Http2Backend.start((stream) => {
      stream.respond({ ':status': 201, 'x-a': ['1', '2'], 'content-length': 2 });
      stream.pipe(stream);
    });
    using test = clientOf();
    const got = await send(test.client, requestTo(server)).over;
    expect(got).toMatchObject({ calls: ['head', 'end'], body: '{}', head: { status: 201, contentLength: 2 } });
    expect(got.head?.header('x-a')).toBe('1, 2');
    expect(server.streams[0]?.headers).toMatchObject({
      ...{ ':method': 'POST', ':path': '/mcp?x=1', ':scheme': 'http', ':authority': server.origin.slice(7) },
      ...{ 'content-type': 'application/json', 'content-length': '2' },
    });
  });

  it('shares one connection with others, up to a bound, beyond which another is made', async () => {
    const open: ServerHttp2Stream[] = [];
    await using server = await Http2Backend.start((stream) => void open.push(stream));
    using test = clientOf({ maxStreams: 2 });
    const gathered = [0, 1, 2].map(() => send(test.client, requestTo(server)));
    await until(() => open.length === 3);
    expect([server.sessions.length, test.value('signalbox_upstream_http2_streams')]).toEqual([2, 3]);
    for (const stream of open) answer(stream);
    for (const one of gathered) expect((await one.over).body).toBe('ok');
    expect(test.value('signalbox_upstream_http2_streams')).toBe(0);
  });

  it('waits when all connections are full, and is refused when too many wait', async () => {
    const open: ServerHttp2Stream[] = [];
    await using server = await Http2Backend.start((stream) => void open.push(stream));
    using test = clientOf({ maxStreams: 1, maxConnections: 1, maxWaiting: 1 });
    const first = send(test.client, requestTo(server));
    await until(() => open.length === 1);
    const [second, third] = [send(test.client, requestTo(server)), send(test.client, requestTo(server))];
    expect((await third.over).error).toMatchObject({ code: 'pool-full', notAccepted: true });
    answer(open[0] as ServerHttp2Stream);
    await until(() => open.length === 2);
    answer(open[1] as ServerHttp2Stream, 'second');
    expect([(await first.over).body, (await second.over).body]).toEqual(['ok', 'second']);
    expect(server.sessions).toHaveLength(1);
  });

  it('keeps to the streams that the backend says it takes', async () => {
    const open: ServerHttp2Stream[] = [];
    const options = { settings: { maxConcurrentStreams: 1 } };
    await using server = await Http2Backend.start((stream) => void open.push(stream), options);
    using test = clientOf();
    const first = send(test.client, requestTo(server));
    await until(() => open.length === 1);
    const second = send(test.client, requestTo(server));
    await until(() => open.length === 2);
    expect(server.sessions).toHaveLength(2);
    for (const stream of open) answer(stream);
    expect([(await first.over).body, (await second.over).body]).toEqual(['ok', 'ok']);
  });

  it('does not count while its answer lasts, once it is told so', async () => {
    await using server = await Http2Backend.start((stream) => stream.respond({ ':status': 200 }));
    using test = clientOf({ maxStreams: 1, maxConnections: 1 });
    const stream = await send(test.client, requestTo(server)).begun;
    stream.exchange?.detach();
    await send(test.client, requestTo(server)).begun;
    expect(server.sessions).toHaveLength(2);
  });

  it('that would break out of its place is a fault of the caller', () => {
    using test = clientOf();
    const request = requestTo({ origin: 'http://127.0.0.1:1' });
    expect(() => test.client.dispatch({ ...request, target: '/a b' }, new GatheredAnswer())).toThrow(TypeError);
    expect(() => test.client.dispatch({ ...request, headers: ['x', 'a\nb'] }, new GatheredAnswer())).toThrow(TypeError);
  });

  it('with fields that HTTP/2 does not have fails alone', async () => {
    await using server = await Http2Backend.start((stream) => answer(stream));
    using test = clientOf();
    await send(test.client, requestTo(server)).over;
    const bad = await send(test.client, requestTo(server, { headers: ['Connection', 'close'] })).over;
    expect(bad.error).toMatchObject({ code: 'protocol' });
    expect((await send(test.client, requestTo(server)).over).body).toBe('ok');
    expect(server.sessions).toHaveLength(1);
  });
});

describe('header fields that a route changes', () => {
  it('go out as it says, and are another route’s as they came', async () => {
    await using server = await Http2Backend.start((stream) => answer(stream));
    using test = clientOf();
    const peer = {
      ...{ tenant: 'acme', tls: null },
      connection: { connectMs: null, idleMs: null, maxConnections: null, maxPending: null },
    };
    const requestHeaders = { set: [['x-a', 'c']], add: [['x-b', 'd']], remove: ['content-type'] } as const;
    const headers = ['X-A', 'a', 'X-B', 'b', 'Content-Type', 'text/plain'];
    await send(test.client, requestTo(server, { headers, peer: { ...peer, requestHeaders } })).over;
    await send(test.client, requestTo(server, { headers, peer })).over;
    const seen = server.streams.map(({ headers: got }) => [got['x-a'], got['x-b'], got['content-type']]);
    expect(seen).toEqual([
      ['c', 'b, d', undefined],
      ['a', 'b', 'text/plain'],
    ]);
  });
});

describe('both directions of a stream', () => {
  it('run at the same time, with trailers at their ends', async () => {
    let trailers: unknown;
    await using server = await Http2Backend.start((stream) => {
      stream.respond({ ':status': 200 }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0', 'x-b': 'y' }));
      stream.on('trailers', (fields) => void (trailers = { ...fields }));
      stream.pipe(stream);
    });
    using test = clientOf();
    const got = send(test.client, requestTo(server, { ...streamed, trailers: true }));
    got.exchange?.write(Buffer.from('one '));
    await got.firstData;
    got.exchange?.write(Buffer.from('two'));
    await until(() => got.body === 'one two');
    got.exchange?.endBody(['x-a', 'b']);
    expect(await got.over).toMatchObject({
      ...{ calls: ['head', 'trailers', 'end'], body: 'one two' },
      trailers: ['grpc-status', '0', 'x-b', 'y'],
    });
    expect(trailers).toMatchObject({ 'x-a': 'b' });
  });

  it('say that a head is all there is', async () => {
    await using server = await Http2Backend.start((stream) => {
      stream.resume().respond({ ':status': 200, 'grpc-status': '5' }, { endStream: true });
    });
    using test = clientOf();
    const got = await send(test.client, requestTo(server)).over;
    expect(got).toMatchObject({ calls: ['head', 'end'], head: { isWhole: true, contentLength: 0 } });
  });

  it('go at the pace of whoever is slower', async () => {
    const blocked: ServerHttp2Stream[] = [];
    const big = Buffer.alloc(4_000_000, 'x');
    await using server = await Http2Backend.start((stream, headers) => {
      if (headers[':path'] === '/upload') return void (stream.respond({ ':status': 200 }), blocked.push(stream));
      stream.resume().respond({ ':status': 200 });
      stream.end(big);
    });
    using test = clientOf();
    const slow = await send(test.client, requestTo(server)).begun;
    slow.exchange?.pause();
    const quick = await send(test.client, requestTo(server)).over;
    expect(quick.body.length).toBe(big.length);
    expect(slow.body.length).toBeLessThan(big.length / 2);
    slow.exchange?.resume();
    expect((await slow.over).body.length).toBe(big.length);
    const upload = await send(test.client, requestTo(server, { ...streamed, target: '/upload' })).begun;
    const before = upload.writable;
    const piece = Buffer.alloc(1_000_000);
    expect(upload.exchange?.write(piece)).toBe(false);
    blocked[0]?.resume();
    await until(() => upload.writable > before);
  });
});

describe('a connection of HTTP/2 that ends', () => {
  it('is replaced after GOAWAY, and what it still carries is answered', async () => {
    const open: ServerHttp2Stream[] = [];
    await using server = await Http2Backend.start((stream) => void open.push(stream));
    using test = clientOf();
    const first = send(test.client, requestTo(server));
    await until(() => open.length === 1);
    server.sessions[0]?.goaway(constants.NGHTTP2_NO_ERROR, open[0]?.id);
    open[0]?.respond({ ':status': 200 });
    await first.begun;
    const second = send(test.client, requestTo(server));
    await until(() => open.length === 2);
    expect(server.sessions).toHaveLength(2);
    open[0]?.end('first');
    answer(open[1] as ServerHttp2Stream, 'second');
    expect([(await first.over).body, (await second.over).body]).toEqual(['first', 'second']);
  });

  it('has its unprocessed requests sent again on another one, whatever they are, once', async () => {
    let refusals = 1;
    await using server = await Http2Backend.start((stream) => {
      if (refusals-- > 0) stream.close(constants.NGHTTP2_REFUSED_STREAM);
      else answer(stream);
    });
    using test = clientOf();
    expect((await send(test.client, requestTo(server)).over).body).toBe('ok');
    expect(test.value('signalbox_upstream_resent_total')).toBe(1);
    refusals = 2;
    const refused = await send(test.client, requestTo(server)).over;
    expect(refused.error).toMatchObject({ code: 'closed-early', notAccepted: true });
  });

  it('does not have a body sent again that has gone out in pieces', async () => {
    await using server = await Http2Backend.start((stream) => {
      stream.once('data', () => stream.close(constants.NGHTTP2_REFUSED_STREAM));
    });
    using test = clientOf();
    const upload = send(test.client, requestTo(server, streamed));
    upload.exchange?.write(Buffer.from('piece'));
    expect((await upload.over).error).toMatchObject({ code: 'closed-early' });
    expect(server.streams).toHaveLength(1);
  });

  it('has only requests that do no harm twice sent again when nobody knows', async () => {
    await using server = await Http2Backend.start((stream) => {
      if (server.streams.length === 2 || server.streams.length === 4) server.sockets.at(-1)?.destroy();
      else answer(stream);
    });
    using test = clientOf();
    await send(test.client, requestTo(server)).over;
    expect((await send(test.client, requestTo(server)).over).error).toMatchObject({ code: 'closed-early' });
    await send(test.client, requestTo(server)).over;
    const safe = await send(test.client, requestTo(server, { safeToResend: true })).over;
    expect(safe.body).toBe('ok');
  });

  it('cuts its answers short, and says so', async () => {
    await using server = await Http2Backend.start((stream) => {
      stream.respond({ ':status': 200 });
      stream.write('half');
    });
    using test = clientOf();
    const got = send(test.client, requestTo(server));
    await got.firstData;
    server.sockets[0]?.destroy();
    expect(await got.over).toMatchObject({ calls: ['head', 'closed-early'], body: 'half' });
  });

  it('is closed when it was idle for long enough, and when nothing leads to its backend', async () => {
    await using server = await Http2Backend.start((stream) => answer(stream));
    using test = clientOf({ idleTimeoutMs: 500 });
    const connections = () => test.value('signalbox_upstream_http2_connections');
    await send(test.client, requestTo(server)).over;
    expect(connections()).toBe(1);
    await test.clock.advance(1_000);
    await until(() => connections() === 0);
    await send(test.client, requestTo(server)).over;
    test.client.retain(new Set([server.origin]));
    expect(connections()).toBe(1);
    test.client.retain(new Set());
    expect(connections()).toBe(0);
  });

  it('gives way to another one after so many requests', async () => {
    await using server = await Http2Backend.start((stream) => answer(stream));
    using test = clientOf({ maxRequestsPerConnection: 2 });
    for (let i = 0; i < 4; i += 1) expect((await send(test.client, requestTo(server)).over).body).toBe('ok');
    expect(server.sessions).toHaveLength(2);
  });

  it('is asked whether it is there when an answer fails to come, and goes on when it is', async () => {
    await using server = await Http2Backend.start((stream) => {
      if (server.streams.length > 1) answer(stream);
    });
    using test = clientOf();
    const waits = send(test.client, requestTo(server));
    await until(() => server.streams.length === 1);
    const pinged = new Promise((resolve) => void server.sessions[0]?.once('ping', resolve));
    await test.clock.advance(3_000);
    expect((await waits.over).error).toMatchObject({ code: 'head-timeout' });
    await pinged;
    await test.clock.advance(500);
    expect((await send(test.client, requestTo(server)).over).body).toBe('ok');
    await test.clock.advance(2_000);
    expect((await send(test.client, requestTo(server)).over).body).toBe('ok');
  });

  it('is given up when nobody says that it is there', async () => {
    await using server = await RawHttp2.start(Buffer.alloc(0));
    using test = clientOf();
    const waits = send(test.client, requestTo(server));
    await server.asked;
    await test.clock.advance(3_000);
    expect((await waits.over).error).toMatchObject({ code: 'head-timeout' });
    expect(test.value('signalbox_upstream_http2_connections')).toBe(1);
    await test.clock.advance(2_000);
    expect(test.value('signalbox_upstream_http2_connections')).toBe(0);
  });
});

describe('bounds in time over HTTP/2', () => {
  it('hold for connecting', async () => {
    const silent = createServer();
    await new Promise<void>((resolve) => void silent.listen(0, '127.0.0.1', resolve));
    const { port } = silent.address() as AddressInfo;
    silent.close();
    using test = clientOf();
    const got = await send(test.client, requestTo({ origin: `http://127.0.0.1:${port}` })).over;
    expect(got.error).toMatchObject({ code: 'connect-failed', notAccepted: true });
    expect(test.value('signalbox_upstream_http2_connections')).toBe(0);
  });

  it('hold for silence within an answer, and for the whole of it', async () => {
    await using server = await Http2Backend.start((stream) => stream.resume().respond({ ':status': 200 }));
    using test = clientOf();
    const idle = await send(test.client, requestTo(server)).begun;
    await test.clock.advance(3_200);
    expect((await idle.over).error).toMatchObject({ code: 'idle-timeout' });
    const timeouts = { connectMs: 1_000, headMs: 2_000, idleMs: 3_000, totalMs: 1_000 };
    const whole = await send(test.client, requestTo(server, { timeouts })).begun;
    await test.clock.advance(1_200);
    expect((await whole.over).error).toMatchObject({ code: 'total-timeout' });
  });

  it('count from the beginning of a request whose deadline says so, whatever it waits for', async () => {
    await using server = await Http2Backend.start(echoed);
    using test = clientOf();
    const timeouts = { connectMs: 9_000, headMs: 9_000, idleMs: 9_000, totalMs: 500, countsUpload: true };
    const connecting = send(test.client, requestTo(server, { ...streamed, timeouts }));
    await test.clock.advance(700);
    expect((await connecting.over).error).toMatchObject({ code: 'total-timeout' });
    const upload = await send(test.client, requestTo(server, { ...streamed, timeouts })).begun;
    await test.clock.advance(300);
    upload.exchange?.write(Buffer.from('x'));
    await test.clock.advance(400);
    expect((await upload.over).error).toMatchObject({ code: 'total-timeout' });
  });

  it('leave no stream behind when whoever asked gives up', async () => {
    await using server = await Http2Backend.start((stream) => stream.resume().respond({ ':status': 200 }));
    using test = clientOf();
    const got = await send(test.client, requestTo(server)).begun;
    got.exchange?.abort();
    const { stream } = server.streams[0] as (typeof server.streams)[number];
    await until(() => stream.closed);
    expect(stream.rstCode).toBe(constants.NGHTTP2_CANCEL);
    expect(test.value('signalbox_upstream_http2_connections')).toBe(1);
  });
});

describe('an answer over HTTP/2 that is none', () => {
  const head = (fields: readonly (readonly [string, string])[], flags = 0) =>
    frame(frames.headers, endHeaders | flags, 1, headerBlock(fields));
  const ok = [[':status', '200']] as const;
  const informational = head([[':status', '103']]);

  it.each<[string, string, Buffer]>([
    ['has a malformed status', 'protocol', head([[':status', '99']], endStream)],
    ['has too large a head', 'protocol', head([...ok, ['x-a', 'x'.repeat(1_000)]])],
    ['has two lengths', 'protocol', head([...ok, ['content-length', '1'], ['content-length', '2']])],
    ['never stops to announce itself', 'protocol', Buffer.concat(Array.from({ length: 20 }, () => informational))],
    ['is a frame without sense', 'closed-early', frame(frames.data, 0, 7, Buffer.from('x'))],
    [
      'is reset midway',
      'closed-early',
      Buffer.concat([head(ok), frame(frames.reset, 0, 1, Buffer.from([0, 0, 0, 8]))]),
    ],
    [
      'is shorter than announced',
      'closed-early',
      Buffer.concat([head([...ok, ['content-length', '5']]), frame(frames.reset, 0, 1, Buffer.from([0, 0, 0, 0]))]),
    ],
  ])('%s', async (_, code, bytes) => {
    await using server = await RawHttp2.start(bytes);
    using test = clientOf({ maxHeadBytes: 1_000 });
    expect((await send(test.client, requestTo(server)).over).error?.code).toBe(code);
  });

  it('has a field that would break out of its place: it is left out', async () => {
    const fields = [...ok, ['x-a', 'a\r\nb'], ['x-b', 'c']] as const;
    await using server = await RawHttp2.start(head(fields, endStream));
    using test = clientOf();
    expect((await send(test.client, requestTo(server)).over).head?.entries()).toEqual(['x-b', 'c']);
  });

  it('is larger than the request allows', async () => {
    await using server = await Http2Backend.start((stream) => answer(stream, 'x'.repeat(100)));
    using test = clientOf();
    const got = await send(test.client, requestTo(server, { maxBodyBytes: 99 })).over;
    expect(got).toMatchObject({ calls: ['head', 'too-large'], body: '' });
    expect((await send(test.client, requestTo(server, { maxBodyBytes: 100 })).over).calls).toEqual(['head', 'end']);
  });
});

/** Says the same to whoever begins a stream. */
class RawHttp2 implements AsyncDisposable {
  readonly origin: string;
  /** Somebody began a stream. */
  readonly asked: Promise<void>;
  readonly #close: () => void;

  private constructor(port: number, asked: Promise<void>, close: () => void) {
    this.asked = asked;
    this.origin = `http://127.0.0.1:${port}`;
    this.#close = close;
  }

  static async start(says: Buffer): Promise<RawHttp2> {
    const sockets: Socket[] = [];
    const asked = Promise.withResolvers<void>();
    const server = createServer((socket) => {
      sockets.push(socket);
      let heard = Buffer.alloc(0);
      socket
        .on('error', () => undefined)
        .write(Buffer.concat([frame(frames.settings, 0, 0), frame(frames.settings, 1, 0)]));
      socket.on('data', (bytes) => {
        heard = Buffer.concat([heard, bytes as Buffer]);
        const begun = readFrames(heard.subarray(24)).some(({ kind }) => kind === frames.headers);
        if (!begun) return;
        asked.resolve();
        socket.removeAllListeners('data').resume().write(says);
      });
    });
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
    return new RawHttp2((server.address() as AddressInfo).port, asked.promise, () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#close();
  }
}
