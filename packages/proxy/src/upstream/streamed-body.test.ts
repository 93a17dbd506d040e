import { type AddressInfo, createServer, type Socket } from 'node:net';
import { Metrics } from '@signalbox/runtime';
import { ManualClock } from '@signalbox/runtime/testing';
import { describe, expect, it } from 'vitest';
import { RawServer } from '../testing/raw-server.ts';
import { turn } from '../testing/running-server.ts';
import { defaultHttp1ClientLimits, Http1Client } from './http1-client.ts';
import type { UpstreamError, UpstreamHandler, UpstreamRequest } from './upstream.ts';

function clientOf() {
  const clock = new ManualClock();
  const client = new Http1Client({ limits: defaultHttp1ClientLimits, clock, metrics: new Metrics() });
  return { client, clock, [Symbol.dispose]: () => client.close() };
}

function requestTo(server: { origin: string }, streamed: number | 'chunked'): UpstreamRequest {
  return {
    ...{ origin: server.origin, poolKey: 'acme/orders', method: 'PUT', target: '/a', headers: [], body: undefined },
    ...{ streamed, safeToResend: false },
    timeouts: { connectMs: 1_000, headMs: 2_000, idleMs: 3_000, totalMs: 10_000 },
  };
}

/** Resolves with the status, or rejects with the error. */
class Outcome implements UpstreamHandler {
  writable = 0;
  status = 0;
  error: UpstreamError | undefined;
  readonly #over = Promise.withResolvers<this>();

  get over(): Promise<this> {
    return this.#over.promise;
  }

  onHead({ status }: { status: number }): void {
    this.status = status;
  }

  onData(): void {
    // Only the end counts.
  }

  onEnd(): void {
    this.#over.resolve(this);
  }

  onError(error: UpstreamError): void {
    this.error = error;
    this.#over.resolve(this);
  }

  onWritable(): void {
    this.writable += 1;
  }
}

const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n';

describe('a streamed body', () => {
  it('of known length follows its head, whatever comes before the connection stands', async () => {
    await using server = await RawServer.start(({ socket }) => socket.write(ok));
    using test = clientOf();
    const outcome = new Outcome();
    const exchange = test.client.dispatch(requestTo(server, 6), outcome);
    expect(exchange.write(Buffer.from('abc'))).toBe(false);
    while (outcome.writable === 0) await turn();
    expect(exchange.write(Buffer.from('def'))).toBe(true);
    exchange.endBody();
    expect((await outcome.over).status).toBe(200);
    expect(server.connections[0]?.received).toMatch(/^PUT \/a HTTP\/1.1\r\n[^]*Content-Length: 6\r\n\r\nabcdef$/);
  });

  it('of unknown length is sent in chunks, and its connection is kept', async () => {
    await using server = await RawServer.start(() => undefined);
    using test = clientOf();
    for (const text of ['one', 'two']) {
      const outcome = new Outcome();
      const exchange = test.client.dispatch(requestTo(server, 'chunked'), outcome);
      exchange.write(Buffer.from(text));
      exchange.endBody();
      while (server.connections[0]?.received.endsWith(`3\r\n${text}\r\n0\r\n\r\n`) !== true) await turn();
      server.connections[0].socket.write(ok);
      expect((await outcome.over).status).toBe(200);
    }
    expect(server.connections).toHaveLength(1);
    expect(server.connections[0]?.received).toContain('Transfer-Encoding: chunked\r\n\r\n3\r\none');
  });

  it('waits for a backend that does not take it', async () => {
    const total = 64 * 1024 * 1024;
    let received = 0;
    const sockets: Socket[] = [];
    await using server = createServer((socket) => {
      sockets.push(socket.pause());
      socket.on('data', (bytes) => {
        received += bytes.length;
        if (received > total) socket.write(ok);
      });
    });
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
    using test = clientOf();
    const outcome = new Outcome();
    const piece = Buffer.alloc(1024 * 1024);
    const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const exchange = test.client.dispatch(requestTo({ origin }, total), outcome);
    while (outcome.writable === 0 || sockets.length === 0) await turn();
    let sent = 1;
    while (exchange.write(piece)) sent += 1;
    expect(sent).toBeLessThan(64);
    outcome.writable = 0;
    sockets[0]?.resume();
    while (sent < 64) {
      while (outcome.writable === 0) await turn();
      outcome.writable = 0;
      do sent += 1;
      while (exchange.write(piece) && sent < 64);
    }
    exchange.endBody();
    expect((await outcome.over).status).toBe(200);
  });

  it('is given up when it stops in the middle, not when it is slow', async () => {
    await using server = await RawServer.start(() => undefined);
    using test = clientOf();
    const outcome = new Outcome();
    const exchange = test.client.dispatch(requestTo(server, 100), outcome);
    while (outcome.writable === 0) await turn();
    for (let i = 0; i < 4; i += 1) {
      await test.clock.advance(2_000);
      exchange.write(Buffer.from('x'));
    }
    expect(outcome.error).toBeUndefined();
    await test.clock.advance(3_200);
    expect((await outcome.over).error).toMatchObject({ code: 'idle-timeout', notAccepted: false });
  });

  it('is waited for before the time for the answer begins', async () => {
    await using server = await RawServer.start(() => undefined);
    using test = clientOf();
    const outcome = new Outcome();
    const exchange = test.client.dispatch(requestTo(server, 1), outcome);
    while (outcome.writable === 0) await turn();
    await test.clock.advance(2_500);
    exchange.write(Buffer.from('x'));
    exchange.endBody();
    await test.clock.advance(1_500);
    expect(outcome.error).toBeUndefined();
    await test.clock.advance(700);
    expect((await outcome.over).error).toMatchObject({ code: 'head-timeout' });
  });

  it('that is not complete when the answer is ends its connection', async () => {
    await using server = await RawServer.start(() => undefined);
    using test = clientOf();
    const outcome = new Outcome();
    const exchange = test.client.dispatch(requestTo(server, 10), outcome);
    exchange.write(Buffer.from('x'));
    while (server.connections[0]?.received.endsWith('x') !== true) await turn();
    server.connections[0].socket.write('HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n');
    expect((await outcome.over).status).toBe(413);
    expect(exchange.write(Buffer.from('y'))).toBe(true);
    await server.connections[0].closed;
  });
});
