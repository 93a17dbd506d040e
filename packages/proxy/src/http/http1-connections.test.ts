import { request as nodeRequest } from 'node:http';
import { describe, expect, it } from 'vitest';
import { bodyOf, echo, get, post, RunningServer, statusOf, turn } from '../testing/running-server.ts';
import type { BodyWriter } from './exchange.ts';
import { httpCodecs } from './http-codecs.ts';

// What is said of connections, which HTTP/2 has other words for. What all codecs do alike is in http-codecs.test.ts.
describe.each(httpCodecs)('%s codec:', (codec) => {
  const server = RunningServer.of(codec);

  it('streams an answer of unknown length in chunks, its head at once', async () => {
    let writer: BodyWriter | undefined;
    await using test = await server.start(
      (exchange) => void (writer = exchange.stream(200, ['Content-Type', 'text/event-stream'])),
    );
    const client = await test.connect();
    await client.send(get).receives('Transfer-Encoding: chunked');
    writer?.write('data: 1\n\n');
    await client.receives('data: 1\n\n');
    writer?.end('data: 2\n\n');
    await client.receives('0\r\n\r\n');
    expect(test.exchanges[0]).toMatchObject({ closed: true, responseBytes: 18 });
    await client.send(get).until((got) => got.split('HTTP/1.1 200').length === 3);
  });

  describe('a client that sends nothing more', () => {
    it('still gets the answer that is complete', async () => {
      await using test = await server.start(echo);
      const client = await test.connect();
      client.send(post('x'));
      client.socket.end();
      expect(bodyOf(await client.closed)).toBe('x');
    });

    it('is taken for gone while it waits', async () => {
      const gone = Promise.withResolvers<void>();
      await using test = await server.start((exchange) => exchange.onClientGone(gone.resolve));
      const client = await test.connect();
      client.send(get);
      client.socket.end();
      await gone.promise;
      expect(await client.closed).toBe('');
    });

    it.each(['GET / HT', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nx'])(
      'in the midst of %j is told so',
      async (text) => {
        await using test = await server.start((exchange) => void exchange.body(10));
        const client = await test.connect();
        client.send(text);
        client.socket.end();
        expect(statusOf(await client.closed)).toBe(400);
        expect(test.value('signalbox_http_refused_total')).toBe(1);
      },
    );
  });

  describe('a body that nobody reads', () => {
    const long = 'x'.repeat(1_000);

    it('is dropped when it is short, and the connection goes on', async () => {
      await using test = await server.start((exchange) => exchange.respond(200, [], exchange.head.method));
      const client = await test.connect();
      await client
        .send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n${long.slice(500)}`)
        .receives('POST');
      client.send(long.slice(500));
      await turn();
      await client.send(get).receives('GET');
      expect(test.server.connections).toBe(1);
    });

    it('ends the connection when the rest of it is malformed, and is recorded once', async () => {
      await using test = await server.start((exchange) => void exchange.body(1));
      const client = await test.connect();
      const received = await client.send(
        'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\nzz\r\n',
      ).closed;
      expect(received.match(/HTTP\/1\.1 \d+/g)?.length).toBe(1);
      expect(test.exchanges.length + test.refused.length).toBe(1);
    });

    it('ends the connection when it is long', async () => {
      await using test = await server.start((exchange) => exchange.respond(200, [], 'no'));
      const client = await test.connect();
      const received = await client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n').closed;
      expect(received).toContain('Connection: close');
    });
  });

  describe('Expect: 100-continue', () => {
    const head = 'POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n';

    it('is not answered when the body is not wanted, and the connection ends', async () => {
      await using test = await server.start((exchange) => exchange.respond(401, [], undefined));
      const received = await (await test.connect()).send(head).closed;
      expect(statusOf(received)).toBe(401);
      expect(received).toContain('Connection: close');
    });

    it('with another expectation is refused', async () => {
      await using test = await server.start(echo);
      expect(statusOf(await (await test.connect()).send(post('', 'Expect: 200-ok\r\n')).closed)).toBe(417);
      expect(test.exchanges).toHaveLength(0);
    });
  });

  describe('a server', () => {
    it('that drains still accepts, and closes each connection with its answer', async () => {
      await using test = await server.start(echo);
      const kept = await test.connect();
      await kept.send(post('a')).receives('a');
      test.server.drain();
      expect(await kept.send(post('b')).closed).toContain('Connection: close');
      expect(await (await test.connect()).send(post('c')).closed).toMatch(/Connection: close[^]*c$/);
    });

    it('bounds its connections, and the requests of each', async () => {
      await using test = await server.start(echo, { limits: { maxConnections: 1, maxRequestsPerConnection: 2 } });
      const client = await test.connect();
      await client.send(post('a')).receives('a');
      await (
        await test.connect()
      ).closed;
      expect(test.value('signalbox_http_connections_dropped_total')).toBe(1);
      expect(await client.send(post('b')).closed).toMatch(/Connection: close[^]*b$/);
    });

    it('says when its port is taken', async () => {
      await using test = await server.start(echo);
      await expect(server.start(echo, { port: test.port })).rejects.toThrow('EADDRINUSE');
    });

    it('is spoken to by node:http', async () => {
      await using test = await server.start(echo);
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
});
