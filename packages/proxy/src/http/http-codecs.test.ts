import { request as nodeRequest } from 'node:http';
import { describe, expect, it } from 'vitest';
import { bodyOf, echo, get, post, RunningServer, statusOf, turn } from '../testing/running-server.ts';
import type { BodyWriter, Exchange } from './exchange.ts';
import { httpCodecs } from './http-codecs.ts';

describe.each(httpCodecs)('%s codec:', (codec) => {
  const server = RunningServer.of(codec);

  describe('an exchange', () => {
    it('carries head and body in, and an answer out, over a connection that is kept', async () => {
      await using test = await server.start(echo);
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
      [
        'in chunks',
        'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2;x=y\r\nbc\r\n0\r\n\r\n',
      ],
    ])('reads a body %s, byte by byte too', async (_, text) => {
      await using test = await server.start(echo);
      const client = await test.connect();
      expect(bodyOf(await client.send(text).until((got) => got.endsWith('abc')))).toBe('abc');
      const slow = await test.connect();
      for (const byte of text) {
        slow.send(byte);
        await turn();
      }
      expect(bodyOf(await slow.until((got) => got.endsWith('abc')))).toBe('abc');
    });

    it('has an empty body at once when there is none', async () => {
      const bodies: unknown[] = [];
      await using test = await server.start((exchange) => {
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
      await using test = await server.start((exchange) =>
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

    it('streams an answer of known length as it is', async () => {
      await using test = await server.start((exchange) => {
        const writer = exchange.stream(200, [], 6);
        writer.write(Buffer.from('abc'));
        writer.end('def');
      });
      const client = await test.connect();
      expect(bodyOf(await client.send(get).receives('abcdef'))).toBe('abcdef');
    });

    it('that is broken off looks broken to the client', async () => {
      await using test = await server.start((exchange) => {
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
      await using test = await server.start((exchange) => {
        void exchange.body(10);
        for (const fault of [
          () => exchange.body(10),
          () => exchange.respond(200, [], 'b'),
          () => exchange.stream(200, []),
        ]) {
          try {
            void fault();
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
      await using test = await server.start(() => {
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
      await using test = await server.start((exchange) => exchange.onClientGone(gone.resolve));
      const client = await test.connect();
      await client.send(get).until(() => true);
      while (test.exchanges.length === 0) await turn();
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
      await using test = await server.start((exchange) => {
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
      await using test = await server.start((exchange) => void Promise.resolve(exchange.body(100)).then(body.resolve));
      const client = await test.connect();
      client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf');
      while (test.exchanges.length === 0) await turn();
      client.socket.destroy();
      expect(await body.promise).toBeUndefined();
    });

    it('before it has taken the whole of an answer is noticed', async () => {
      const gone = Promise.withResolvers<void>();
      await using test = await server.start((exchange) => {
        exchange.onClientGone(gone.resolve);
        exchange.respond(200, [], Buffer.alloc(20_000_000));
      });
      const client = await test.connect();
      client.socket.pause();
      client.send(get);
      while (test.exchanges.length === 0) await turn();
      client.socket.destroy();
      await gone.promise;
      expect(test.server.inFlight).toBe(0);
    });

    it('after the answer is complete is nobody’s concern', async () => {
      let gone = 0;
      await using test = await server.start((exchange) => {
        exchange.onClientGone(() => void (gone += 1));
        exchange.respond(200, [], 'x');
      });
      const client = await test.connect();
      await client.send(get).receives('x');
      client.socket.destroy();
      while (test.server.connections > 0) await turn();
      expect(gone).toBe(0);
    });
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

    it('waits, bounded, until it is asked for', async () => {
      let exchange: Exchange | undefined;
      await using test = await server.start((begun) => void (exchange = begun));
      const client = await test.connect();
      const size = 4_000_000;
      client.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${size}\r\n\r\n${'x'.repeat(size)}`);
      while (!exchange) await turn();
      const body = await exchange.body(size);
      expect(body?.length).toBe(size);
      exchange.respond(200, [], 'done');
      await client.receives('done');
    });
  });

  it('keeps a body of tiny chunks as it was sent', async () => {
    const digits = Array.from({ length: 5_000 }, (_, i) => String(i % 10));
    const text = digits.join('');
    await using test = await server.start(echo);
    const chunks = digits.map((byte) => `1\r\n${byte}\r\n`).join('');
    const client = await test.connect();
    client.send(`POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}0\r\n\r\n`);
    expect(bodyOf(await client.receives(text))).toBe(text);
  });

  describe('a body beyond its bound', () => {
    const tooMuch = async (text: string, then = '') => {
      let body: unknown = 'not read';
      await using test = await server.start(
        (exchange) => void Promise.resolve(exchange.body(10)).then((read) => void (body = read)),
      );
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
      await using test = await server.start(
        (exchange) => void Promise.resolve(exchange.body(10)).then((body) => exchange.respond(200, [], body)),
      );
      expect(await (await test.connect()).send(post('1234567890')).receives('1234567890')).toContain('200');
    });
  });

  describe('Expect: 100-continue', () => {
    const head = 'POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n';

    it('is answered when the body is asked for', async () => {
      await using test = await server.start(echo);
      const client = await test.connect();
      await client.send(head).receives('HTTP/1.1 100 Continue\r\n\r\n');
      expect(await client.send('hello').receives('hello')).toContain('HTTP/1.1 200');
    });

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

    it('that closes waits for what is in flight, and for nothing idle', async () => {
      let exchange: Exchange | undefined;
      await using test = await server.start((begun) => void (exchange = begun));
      const idle = await test.connect();
      const busy = await test.connect();
      busy.send(get);
      while (!exchange) await turn();
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
      await using test = await server.start((exchange) => {
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
