import { describe, expect, it } from 'vitest';
import { echo, get, post, RunningServer, statusOf, turn } from '../testing/running-server.ts';
import type { BodyWriter } from './exchange.ts';
import { httpCodecs } from './http-codecs.ts';

describe.each(httpCodecs)('%s codec:', (codec) => {
  const server = RunningServer.of(codec);

  describe('a slow client', () => {
    const limits = { headersTimeoutMs: 100, requestTimeoutMs: 150, checkIntervalMs: 20 };

    it('that does not finish its head is answered 408 and cut off', async () => {
      await using test = await server.start(echo, { limits });
      const client = await test.connect();
      expect(statusOf(await test.closedInTime(client.send('GET / HTTP/1.1\r\nX: ')))).toBe(408);
      expect(test.exchanges).toHaveLength(0);
    });

    it('that does not finish its body is answered 408, cut off, and leaves no body', async () => {
      const body = Promise.withResolvers<Buffer | undefined>();
      await using test = await server.start((exchange) => void Promise.resolve(exchange.body(100)).then(body.resolve), {
        limits,
      });
      const client = await test.connect();
      client.send('POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 9\r\n\r\nx');
      expect(statusOf(await test.closedInTime(client))).toBe(408);
      expect(await body.promise).toBeUndefined();
    });

    it('that does not read leaves the memory of its answer taken', async () => {
      const bytes = Buffer.alloc(32_000_000, 'x');
      const free = Promise.withResolvers<boolean>();
      await using test = await server.start((exchange) => free.resolve(exchange.respond(200, [], bytes)));
      const client = await test.connect();
      client.socket.pause();
      client.send(get);
      expect(await free.promise).toBe(false);
    });

    it('that says nothing at all is cut off', async () => {
      await using test = await server.start(echo, { limits });
      await test.closedInTime(await test.connect());
      expect(test.server.connections).toBe(0);
    });

    it('that asks for nothing more is cut off after the keep-alive timeout', async () => {
      await using test = await server.start(echo, { limits: { keepAliveTimeoutMs: 100, checkIntervalMs: 20 } });
      const client = await test.connect();
      await client.send(post('x')).receives('x');
      await test.closedInTime(client);
      expect(test.refused).toEqual([]);
    });

    it('that does not read a stream is cut off after the write timeout, and the stream hears of it', async () => {
      const gone = Promise.withResolvers<void>();
      let writer: BodyWriter | undefined;
      await using test = await server.start((exchange) => {
        exchange.onClientGone(gone.resolve);
        writer = exchange.stream(200, []);
      });
      const client = await test.connect();
      client.socket.pause();
      client.send(get);
      while (!writer) await turn();
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
      await using test = await server.start((exchange) => {
        writer = exchange.stream(200, []);
        writer.onDrain(drained.resolve);
      });
      const client = await test.connect();
      client.socket.pause();
      client.send(get);
      while (!writer) await turn();
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
      await using test = await server.start((exchange) => exchange.respond(200, [], Buffer.alloc(size)));
      const client = await test.connect();
      client.socket.pause();
      client.send(get);
      while (test.exchanges.length === 0) await turn();
      const allowedMs = 30_000 + (size / 16_384) * 1_000;
      await test.clock.advance(allowedMs - 2_000);
      expect(test.server.inFlight).toBe(1);
      await test.clock.advance(5_000);
      expect(test.value('signalbox_http_stalled_total')).toBe(1);
    });
  });
});
