import { Metrics } from '@signalbox/runtime';
import { ManualClock } from '@signalbox/runtime/testing';
import { describe, expect, it } from 'vitest';
import { GatheredAnswer } from '../testing/gathered-answer.ts';
import { type RawConnection, RawServer } from '../testing/raw-server.ts';
import { collect } from './collect.ts';
import { defaultHttp1ClientLimits, Http1Client, type Http1ClientLimits } from './http1-client.ts';
import type { UpstreamExchange, UpstreamRequest } from './upstream.ts';

const ok = (body: string, headers = '') => `HTTP/1.1 200 OK\r\n${headers}Content-Length: ${body.length}\r\n\r\n${body}`;

function clientOf(changes: Partial<Http1ClientLimits> = {}) {
  const clock = new ManualClock();
  const metrics = new Metrics();
  const client = new Http1Client({ limits: { ...defaultHttp1ClientLimits, ...changes }, clock, metrics });
  const value = (name: string) => Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(metrics.expose())?.[1]);
  return { client, clock, value, [Symbol.dispose]: () => client.close() };
}

function requestTo(server: { origin: string }, changes: Partial<UpstreamRequest> = {}): UpstreamRequest {
  return {
    origin: server.origin,
    poolKey: 'acme/weather',
    method: 'POST',
    target: '/mcp?x=1',
    headers: ['Content-Type', 'application/json'],
    body: Buffer.from('{}'),
    safeToResend: false,
    timeouts: { connectMs: 1_000, headMs: 2_000, idleMs: 3_000, totalMs: 60_000 },
    ...changes,
  };
}

function send(client: Http1Client, request: UpstreamRequest): GatheredAnswer {
  const gathered = new GatheredAnswer();
  gathered.exchange = client.dispatch(request, gathered);
  return gathered;
}

describe('a request', () => {
  it('travels with its headers and body, and its answer comes back', async () => {
    await using server = await RawServer.start(({ socket }) => void socket.write(ok('hello', 'X-A: 1\r\nX-A: 2\r\n')));
    using test = clientOf();
    const answer = await send(test.client, requestTo(server)).over;
    expect(answer).toMatchObject({ calls: ['head', 'end'], body: 'hello' });
    expect(answer.head).toMatchObject({ status: 200, contentLength: 5 });
    expect(answer.head?.header('x-a')).toBe('1, 2');
    expect(server.connections[0]?.received).toBe(
      `POST /mcp?x=1 HTTP/1.1\r\nHost: 127.0.0.1:${server.port}\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}`,
    );
  });

  it('may have no body, a large body, and bytes of every kind', async () => {
    await using server = await RawServer.start(({ socket }) => void socket.write(ok('')));
    using test = clientOf();
    await send(test.client, requestTo(server, { method: 'GET', body: undefined })).over;
    expect(server.connections[0]?.received).not.toContain('Content-Length');
    for (const size of [256, 12_288, 12_289, 3_000_000]) {
      const body = Buffer.from(Array.from({ length: size }, (_, i) => i % 256));
      const before = server.connections[0]?.received.length ?? 0;
      await send(test.client, requestTo(server, { body })).over;
      expect(server.connections[0]?.received.slice(before).endsWith(body.toString('latin1'))).toBe(true);
    }
    expect(server.connections).toHaveLength(1);
  });

  it('has the header fields that its route changes', async () => {
    await using server = await RawServer.start(({ socket }) => void socket.write(ok('')));
    using test = clientOf();
    const peer = {
      ...{ tenant: 'acme', tls: null, requestHeaders: { set: [['x-a', 'c']], add: [], remove: ['x-b'] } as const },
      connection: { connectMs: null, idleMs: null, maxConnections: null, maxPending: null },
    };
    await send(test.client, requestTo(server, { headers: ['X-A', 'a', 'X-B', 'b', 'X-C', 'c'], peer })).over;
    expect(server.connections[0]?.received).toMatch(/\r\nX-C: c\r\nx-a: c\r\nContent-Length/);
  });

  it('is told when its answer is larger than it allows, and its connection is not used again', async () => {
    await using server = await RawServer.start(({ socket }) => void socket.write(ok('x'.repeat(11))));
    using test = clientOf();
    const announced = await send(test.client, requestTo(server, { maxBodyBytes: 10 })).over;
    expect(announced).toMatchObject({ calls: ['too-large'], error: { notAccepted: false } });
    expect((await send(test.client, requestTo(server, { maxBodyBytes: 11 })).over).calls).toEqual(['head', 'end']);
    expect(server.connections).toHaveLength(2);
  });

  it('is cut off where an answer of unknown length becomes larger than it allows', async () => {
    const chunked = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n';
    await using server = await RawServer.start(({ socket }) => void socket.write(chunked));
    using test = clientOf();
    const cut = await send(test.client, requestTo(server, { maxBodyBytes: 4 })).over;
    expect(cut).toMatchObject({ calls: ['head', 'too-large'], body: '' });
  });

  it('that would break out of its line is a fault of the caller', async () => {
    await using server = await RawServer.start(() => undefined);
    using test = clientOf();
    const faults = [
      { headers: ['X', 'a\r\nY: b'] },
      { headers: ['X\r\nY', 'b'] },
      { headers: ['X', 'é\u0100'] },
      { target: '/a b' },
      { target: '/a\r\n' },
      { method: 'GE T' },
    ];
    for (const fault of faults) expect(() => send(test.client, requestTo(server, fault))).toThrow(TypeError);
    expect(() => send(test.client, requestTo(server, { origin: 'ftp://x' }))).toThrow(TypeError);
    expect(test.value('signalbox_upstream_connections')).toBe(0);
  });

  it('to a place where nobody listens fails without having been accepted', async () => {
    const server = await RawServer.start(() => undefined);
    const { origin } = server;
    await server[Symbol.asyncDispose]();
    using test = clientOf();
    const { error, calls } = await send(test.client, requestTo({ origin })).over;
    expect(calls).toEqual(['connect-failed']);
    expect(error).toMatchObject({ notAccepted: true, message: expect.stringContaining('ECONNREFUSED') });
  });

  it('is answered when the answer has no length and ends with the connection', async () => {
    await using server = await RawServer.start(({ socket }) => void socket.end('HTTP/1.1 200 OK\r\n\r\nall of it'));
    using test = clientOf();
    expect(await send(test.client, requestTo(server)).over).toMatchObject({
      calls: ['head', 'end'],
      body: 'all of it',
    });
  });

  it('does not follow a redirect', async () => {
    const found = 'HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n';
    await using server = await RawServer.start(({ socket }) => void socket.write(found));
    using test = clientOf();
    const { head } = await send(test.client, requestTo(server)).over;
    expect([head?.status, head?.header('location')]).toEqual([302, 'http://127.0.0.1:1/']);
  });
});

describe('a connection', () => {
  it('is kept and used again, the latest first', async () => {
    await using server = await RawServer.start(({ socket }) => void socket.write(ok('x')));
    using test = clientOf();
    await Promise.all([send(test.client, requestTo(server)).over, send(test.client, requestTo(server)).over]);
    expect(server.connections).toHaveLength(2);
    for (let i = 0; i < 3; i += 1) await send(test.client, requestTo(server)).over;
    expect(server.connections.map((connection) => connection.requests).toSorted((a, b) => a - b)).toEqual([1, 4]);
  });

  it('is not shared between pool keys', async () => {
    await using server = await RawServer.start(({ socket }) => void socket.write(ok('x')));
    using test = clientOf();
    await send(test.client, requestTo(server, { poolKey: 'a' })).over;
    await send(test.client, requestTo(server, { poolKey: 'b' })).over;
    expect(server.connections).toHaveLength(2);
  });

  it('can be taken by a request that is sent when the answer ends', async () => {
    await using server = await RawServer.start(({ socket }) => void socket.write(ok('x')));
    using test = clientOf();
    const second = Promise.withResolvers<GatheredAnswer>();
    test.client.dispatch(requestTo(server), {
      onHead: () => undefined,
      onData: () => undefined,
      onEnd: () => second.resolve(send(test.client, requestTo(server))),
      onError: () => undefined,
    });
    await (
      await second.promise
    ).over;
    expect(server.connections).toHaveLength(1);
  });

  it.each([
    ['says Connection: close', ok('x', 'Connection: close\r\n')],
    ['is HTTP/1.0', 'HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx'],
    ['will not be kept for long', ok('x', 'Keep-Alive: timeout=1\r\n')],
  ])('is not used again after an answer that %s', async (_, answer) => {
    await using server = await RawServer.start(({ socket }) => void socket.write(answer));
    using test = clientOf();
    expect(await send(test.client, requestTo(server)).over).toMatchObject({ calls: ['head', 'end'], body: 'x' });
    await server.connections[0]?.closed;
    await send(test.client, requestTo(server)).over;
    expect(server.connections).toHaveLength(2);
  });

  it.each([
    [
      'both a length and chunks',
      'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      ['protocol'],
    ],
    ['a bare LF', 'HTTP/1.1 200 OK\nContent-Length: 0\n\n', ['protocol']],
    ['a huge head', `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`, ['protocol']],
    ['bytes behind it', `${ok('x')}y`, ['head', 'protocol']],
    ['broken chunks', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n', ['head', 'protocol']],
    ['5,000 interim answers', 'HTTP/1.1 100 Continue\r\n\r\n'.repeat(5_000), ['protocol']],
  ])('is closed after an answer with %s', async (_, answer, calls) => {
    await using server = await RawServer.start(({ socket }) => void socket.write(answer));
    using test = clientOf();
    expect((await send(test.client, requestTo(server)).over).calls).toEqual(calls);
    await server.connections[0]?.closed;
    expect(test.value('signalbox_upstream_connections')).toBe(0);
  });

  it('is closed when the upstream speaks without being asked', async () => {
    await using server = await RawServer.start(({ socket }) => void socket.write(ok('x')));
    using test = clientOf();
    await send(test.client, requestTo(server)).over;
    server.connections[0]?.socket.write(ok('poison'));
    await server.connections[0]?.closed;
    expect((await send(test.client, requestTo(server)).over).body).toBe('x');
  });

  it('is closed after its idle time, and after so many requests', async () => {
    await using server = await RawServer.start(({ socket }) => void socket.write(ok('x')));
    using test = clientOf({ idleTimeoutMs: 5_000, maxRequestsPerConnection: 2 });
    await send(test.client, requestTo(server)).over;
    await test.clock.advance(4_900);
    await send(test.client, requestTo(server)).over;
    await server.connections[0]?.closed;
    await send(test.client, requestTo(server)).over;
    await test.clock.advance(5_200);
    await server.connections[1]?.closed;
    expect(server.connections.map((connection) => connection.requests)).toEqual([2, 1]);
  });

  it('that idles is closed when its origin is no longer retained', async () => {
    await using server = await RawServer.start(({ socket }) => void socket.write(ok('x')));
    using test = clientOf();
    await send(test.client, requestTo(server)).over;
    test.client.retain(new Set([server.origin]));
    await send(test.client, requestTo(server)).over;
    test.client.retain(new Set());
    await server.connections[0]?.closed;
    expect(server.connections).toHaveLength(1);
  });
});

describe('large answers', () => {
  it('that come at the same time on many connections keep their bytes, also when they are looked at late', async () => {
    const letters = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
    const size = 3_000_000;
    await using server = await RawServer.start(({ socket }, request) => {
      const letter = letters[Number(/\/(\d)/.exec(request)?.[1])] as string;
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n${letter.repeat(size)}`);
    });
    using test = clientOf();
    for (let round = 0; round < 2; round += 1) {
      const bodies = await Promise.all(
        letters.map(async (_, i) => {
          const answer = await collect(test.client, requestTo(server, { target: `/${i}` }), size);
          return 'answer' in answer ? answer.answer.body : Buffer.alloc(0);
        }),
      );
      const expected = letters.map((letter) => Buffer.alloc(size, letter));
      expect(bodies.every((body, i) => body.equals(expected[i] as Buffer))).toBe(true);
    }
    expect(server.connections).toHaveLength(letters.length);
  });
});

describe('memory of answers', () => {
  const size = 2_500_000;
  const body = Buffer.from(Array.from({ length: size }, (_, i) => (i * 7 + (i >> 8)) % 251));
  const serve = () =>
    RawServer.start(({ socket }) => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`);
      socket.write(body);
    });

  /** Keeps pieces as they were given and says whether it holds them; what is lent is copied. */
  const receive = (test: ReturnType<typeof clientOf>, server: RawServer, holds: (piece: number) => boolean) =>
    new Promise<{ readonly pieces: Buffer[]; readonly memories: Set<ArrayBufferLike> }>((resolve, reject) => {
      const pieces: Buffer[] = [];
      const memories = new Set<ArrayBufferLike>();
      test.client.dispatch(requestTo(server), {
        borrows: true,
        onHead: () => undefined,
        onData: (chunk, lent) => {
          const held = !lent && holds(pieces.length);
          if (!lent) memories.add(chunk.buffer);
          pieces.push(held ? chunk : Buffer.from(chunk));
          return !held;
        },
        onEnd: () => resolve({ pieces, memories }),
        onError: ({ message }) => reject(new Error(message)),
      });
    });

  it('is read into again while nobody holds it, and not while somebody does', async () => {
    await using server = await serve();
    using test = clientOf();
    for (const holds of [() => false, () => true, (piece: number) => piece % 3 === 0]) {
      const { pieces, memories } = await receive(test, server, holds);
      expect(Buffer.concat(pieces).equals(body)).toBe(true);
      expect(memories.size === 1).toBe(!holds(0) && !holds(3));
    }
  });
});

describe('a connection that the upstream had closed', () => {
  /** Answers the first request of a connection and closes it at the second. */
  const closesAtSecond = (connection: RawConnection) => {
    if (connection.requests === 1) connection.socket.write(ok('x'));
    else connection.socket.destroy();
  };

  it('is replaced once for a request that may be sent again', async () => {
    await using server = await RawServer.start(closesAtSecond);
    using test = clientOf();
    await send(test.client, requestTo(server)).over;
    const again = await send(test.client, requestTo(server, { safeToResend: true })).over;
    expect(again).toMatchObject({ calls: ['head', 'end'], body: 'x' });
    expect(test.value('signalbox_upstream_resent_total')).toBe(1);
  });

  it('fails a request that may not', async () => {
    await using server = await RawServer.start(closesAtSecond);
    using test = clientOf();
    await send(test.client, requestTo(server)).over;
    const { error } = await send(test.client, requestTo(server)).over;
    expect(error).toMatchObject({ code: 'closed-early', notAccepted: false });
  });

  it('is not replaced when it was fresh, or once a byte of the answer had come', async () => {
    await using fresh = await RawServer.start(({ socket }) => void socket.destroy());
    using test = clientOf();
    expect((await send(test.client, requestTo(fresh, { safeToResend: true })).over).calls).toEqual(['closed-early']);
    expect(fresh.connections).toHaveLength(1);
    await using partial = await RawServer.start((connection) => {
      if (connection.requests === 1) connection.socket.write(ok('x'));
      else connection.socket.end('H');
    });
    await send(test.client, requestTo(partial)).over;
    expect((await send(test.client, requestTo(partial, { safeToResend: true })).over).calls).toEqual(['closed-early']);
    expect(partial.connections).toHaveLength(1);
  });

  it('is found closed before anything is sent when that was noticed', async () => {
    await using server = await RawServer.start(({ socket }) => void socket.end(ok('x')));
    using test = clientOf();
    await send(test.client, requestTo(server)).over;
    await server.connections[0]?.closed;
    expect((await send(test.client, requestTo(server)).over).calls).toEqual(['head', 'end']);
  });
});

describe('an answer that breaks off', () => {
  it('is an error after its head', async () => {
    await using server = await RawServer.start(
      ({ socket }) => void socket.end('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf'),
    );
    using test = clientOf();
    const { calls, body, error } = await send(test.client, requestTo(server)).over;
    expect([calls, body]).toEqual([['head', 'closed-early'], 'half']);
    expect(error?.notAccepted).toBe(false);
  });

  it('by a reset is an error even without a length', async () => {
    await using server = await RawServer.start(({ socket }) => void socket.write('HTTP/1.1 200 OK\r\n\r\nhalf'));
    using test = clientOf();
    const sent = await send(test.client, requestTo(server)).firstData;
    server.connections[0]?.socket.resetAndDestroy();
    expect((await sent.over).calls).toEqual(['head', 'closed-early']);
  });
});

describe('time', () => {
  it('runs out before the head', async () => {
    const received = Promise.withResolvers<void>();
    await using server = await RawServer.start(() => received.resolve());
    using test = clientOf();
    const sent = send(test.client, requestTo(server));
    await received.promise;
    await test.clock.advance(1_900);
    expect(sent.calls).toEqual([]);
    await test.clock.advance(300);
    expect(sent.calls).toEqual(['head-timeout']);
    await server.connections[0]?.closed;
  });

  it('runs out between two pieces, not while they come', async () => {
    await using server = await RawServer.start(({ socket }) => void socket.write('HTTP/1.1 200 OK\r\n\r\na'));
    using test = clientOf();
    const sent = await send(test.client, requestTo(server)).firstData;
    for (let i = 0; i < 3; i += 1) {
      await test.clock.advance(2_500);
      server.connections[0]?.socket.write('b');
      while (sent.body.length < i + 2) await new Promise((resolve) => setImmediate(resolve));
    }
    expect(sent.calls).toEqual(['head']);
    await test.clock.advance(3_300);
    expect(sent.calls).toEqual(['head', 'idle-timeout']);
  });

  it('runs out in total, however steadily pieces come, but never for a stream', async () => {
    await using server = await RawServer.start(({ socket }) => void socket.write('HTTP/1.1 200 OK\r\n\r\na'));
    using test = clientOf();
    const bounded = { connectMs: 1_000, headMs: 2_000, idleMs: 3_000, totalMs: 5_000 };
    const call = await send(test.client, requestTo(server, { timeouts: bounded })).firstData;
    const stream = await send(test.client, requestTo(server, { timeouts: { ...bounded, totalMs: 0 } })).firstData;
    for (let i = 0; i < 4; i += 1) {
      await test.clock.advance(1_400);
      for (const { socket } of server.connections) socket.write('b');
      while (stream.body.length < i + 2) await new Promise((resolve) => setImmediate(resolve));
    }
    expect([call.calls, stream.calls]).toEqual([['head', 'total-timeout'], ['head']]);
  });

  it('does not run out for an upstream that was told to wait', async () => {
    await using server = await RawServer.start(({ socket }) => void socket.write('HTTP/1.1 200 OK\r\n\r\na'));
    using test = clientOf();
    const sent = await send(test.client, requestTo(server)).firstData;
    sent.exchange?.pause();
    await test.clock.advance(20_000);
    expect(sent.calls).toEqual(['head']);
    sent.exchange?.resume();
    await test.clock.advance(3_300);
    expect(sent.calls).toEqual(['head', 'idle-timeout']);
  });
});

describe('pause', () => {
  it('stops the upstream from filling memory, and resume takes the rest', async () => {
    const size = 20_000_000;
    await using server = await RawServer.start(({ socket }) => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`);
      socket.write('x'.repeat(size));
    });
    using test = clientOf();
    const sent = send(test.client, requestTo(server));
    await sent.firstData;
    sent.exchange?.pause();
    const before = sent.body.length;
    await new Promise((resolve) => setImmediate(resolve));
    await new Promise((resolve) => setImmediate(resolve));
    expect(sent.body.length - before).toBeLessThan(200_000);
    sent.exchange?.resume();
    await sent.over;
    expect(sent.body).toHaveLength(size);
    const next = await send(test.client, requestTo(server)).firstData;
    expect(server.connections).toHaveLength(1);
    next.exchange?.abort();
  });
});

describe('abort', () => {
  it('ends an exchange without another call, and its connection', async () => {
    await using server = await RawServer.start(({ socket }) => void socket.write('HTTP/1.1 200 OK\r\n\r\na'));
    using test = clientOf();
    const sent = await send(test.client, requestTo(server)).firstData;
    sent.exchange?.abort();
    sent.exchange?.abort();
    sent.exchange?.pause();
    sent.exchange?.resume();
    await server.connections[0]?.closed;
    expect(sent.calls).toEqual(['head']);
    expect([test.client.deadlines.armed, test.value('signalbox_upstream_connections')]).toEqual([0, 0]);
  });

  it('from within the head or the first piece stops the rest', async () => {
    await using server = await RawServer.start(({ socket }) => void socket.write(ok('hello')));
    using test = clientOf();
    const calls: string[] = [];
    const exchange: UpstreamExchange = test.client.dispatch(requestTo(server), {
      onHead: () => {
        calls.push('head');
        exchange.abort();
      },
      onData: () => void calls.push('data'),
      onEnd: () => void calls.push('end'),
      onError: () => void calls.push('error'),
    });
    await server.connections[0]?.closed;
    while (server.connections.length === 0) await new Promise((resolve) => setImmediate(resolve));
    await server.connections[0]?.closed;
    expect(calls).toEqual(['head']);
  });

  it('does nothing after the end', async () => {
    await using server = await RawServer.start(({ socket }) => void socket.write(ok('x')));
    using test = clientOf();
    const sent = await send(test.client, requestTo(server)).over;
    sent.exchange?.abort();
    await send(test.client, requestTo(server)).over;
    expect(server.connections).toHaveLength(1);
  });
});

describe('the bounds of a pool', () => {
  it('let requests wait for a connection, in order, and refuse more', async () => {
    await using server = await RawServer.start(() => undefined);
    using test = clientOf({ maxConnections: 1, maxWaiting: 2 });
    const order: number[] = [];
    const sent = [1, 2, 3, 4].map((id) => send(test.client, requestTo(server, { target: `/${id}` })));
    sent.forEach((each, i) => void each.over.then(() => order.push(i + 1)));
    expect((await (sent[3] as GatheredAnswer).over).error).toMatchObject({ code: 'pool-full', notAccepted: true });
    for (let served = 1; served <= 3; served += 1) {
      while (server.connections[0]?.requests !== served) await new Promise((resolve) => setImmediate(resolve));
      server.connections[0].socket.write(ok(''));
    }
    await Promise.all(sent.map((each) => each.over));
    expect(order).toEqual([4, 1, 2, 3]);
    expect(server.connections).toHaveLength(1);
    expect(test.value('signalbox_upstream_pool_full_total')).toBe(1);
  });

  it('give a waiting request up in time, and forget it when it is aborted', async () => {
    const received = Promise.withResolvers<void>();
    await using server = await RawServer.start(() => received.resolve());
    using test = clientOf({ maxConnections: 1 });
    const first = send(test.client, requestTo(server));
    const second = send(test.client, requestTo(server));
    const third = send(test.client, requestTo(server));
    await received.promise;
    third.exchange?.abort();
    await test.clock.advance(1_200);
    expect((await second.over).calls).toEqual(['pool-full']);
    server.connections[0]?.socket.write(ok(''));
    await first.over;
    expect([third.calls, server.connections[0]?.requests]).toEqual([[], 1]);
  });

  it('open a connection for a waiting request when one closes', async () => {
    await using server = await RawServer.start(({ socket }) => void socket.end(ok('x', 'Connection: close\r\n')));
    using test = clientOf({ maxConnections: 1 });
    const sent = [1, 2, 3].map(() => send(test.client, requestTo(server)));
    for (const each of sent) expect((await each.over).calls).toEqual(['head', 'end']);
    expect(server.connections).toHaveLength(3);
  });

  it('let an unused pool make room for another', async () => {
    await using server = await RawServer.start(({ socket }) => void socket.write(ok('x')));
    using test = clientOf({ maxPools: 1 });
    await send(test.client, requestTo(server, { poolKey: 'a' })).over;
    await send(test.client, requestTo(server, { poolKey: 'b' })).over;
    await server.connections[0]?.closed;
    expect(test.value('signalbox_upstream_connections')).toBe(1);
  });
});

describe('a closed client', () => {
  it('breaks off what runs and refuses what comes', async () => {
    await using server = await RawServer.start(({ socket }) => void socket.write('HTTP/1.1 200 OK\r\n\r\na'));
    using test = clientOf({ maxConnections: 1 });
    const running = await send(test.client, requestTo(server)).firstData;
    const waiting = send(test.client, requestTo(server));
    test.client.close();
    expect((await running.over).calls).toEqual(['head', 'closed-early']);
    expect((await waiting.over).calls).toEqual(['closed-early']);
    expect((await send(test.client, requestTo(server)).over).calls).toEqual(['pool-full']);
    await server.connections[0]?.closed;
    expect(test.client.deadlines.armed).toBe(0);
  });
});
