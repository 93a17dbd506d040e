import { describe, expect, it } from 'vitest';
import { bodyOf, echo, get, post, RunningServer, statusOf, testedCodecs, turn } from '../testing/running-server.ts';
import type { BodyWriter, Exchange } from './exchange.ts';

describe.each(testedCodecs)('%s codec:', (codec) => {
  const server = RunningServer.of(codec);

  describe('an exchange', () => {
    it('carries head and body in, and an answer out, over a connection that is kept', async () => {
      await using test = await server.start(echo);
      const client = await test.dial();
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
      while (test.server.inFlight > 0) await turn();
      expect(test.server.connections).toBe(1);
    });

    it.each([
      ['of known length', post('abc')],
      [
        'in chunks',
        'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2;x=y\r\nbc\r\n0\r\n\r\n',
      ],
    ])('reads a body %s, byte by byte too', async (_, text) => {
      await using test = await server.start(echo);
      const client = await test.dial();
      expect(bodyOf(await client.send(text).until((got) => got.endsWith('abc')))).toBe('abc');
      const slow = await test.dial();
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
      const client = await test.dial();
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
      const client = await test.dial();
      const sizes: [number, string][] = [];
      for (const path of Object.keys(answers)) {
        client.received = '';
        const length = Buffer.byteLength(answers[path] ?? '');
        client.send(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`);
        const received = await client.until((got) => got.includes('\r\n\r\n') && bodyOf(got).length === length);
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

    it('streams an answer of known length as it is', async () => {
      await using test = await server.start((exchange) => {
        const writer = exchange.stream(200, [], 6);
        writer.write(Buffer.from('abc'));
        writer.end('def');
      });
      const client = await test.dial();
      expect(bodyOf(await client.send(get).receives('abcdef'))).toBe('abcdef');
    });

    it('that is broken off looks broken to the client', async () => {
      await using test = await server.start((exchange) => {
        const writer = exchange.stream(200, []);
        writer.write('half');
        setImmediate(() => writer.abort());
      });
      const client = await test.dial();
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
      await (await test.dial()).send(post('x')).receives('b');
      expect(faults.map(String)).toEqual([
        expect.stringContaining('read once'),
        expect.stringContaining('answered once'),
      ]);
    });

    it('whose handler fails is answered 500, and others go on', async () => {
      await using test = await server.start(() => {
        throw new Error('a fault of ours');
      });
      const client = await test.dial();
      expect(statusOf(await client.send(get).receives('\r\n\r\n'))).toBe(500);
      expect(test.logger.lines[0]?.fields).toEqual({ error: 'Error: a fault of ours' });
    });
  });

  describe('a client that leaves', () => {
    it('is noticed while it waits, and nothing is written any more', async () => {
      const gone = Promise.withResolvers<void>();
      await using test = await server.start((exchange) => exchange.onClientGone(gone.resolve));
      const client = await test.dial();
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
      const client = await test.dial();
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
      const client = await test.dial();
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
      const client = await test.dial();
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
      const client = await test.dial();
      await client.send(get).receives('x');
      client.socket.destroy();
      while (test.server.connections > 0) await turn();
      expect(gone).toBe(0);
    });
  });

  describe('a body that nobody reads', () => {
    it('waits, bounded, until it is asked for', async () => {
      let exchange: Exchange | undefined;
      await using test = await server.start((begun) => void (exchange = begun));
      const client = await test.dial();
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
    const client = await test.dial();
    client.send(`POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}0\r\n\r\n`);
    expect(bodyOf(await client.receives(text))).toBe(text);
  });

  describe('a body beyond its bound', () => {
    const tooMuch = async (text: string, then = '') => {
      let body: unknown = 'not read';
      await using test = await server.start(
        (exchange) => void Promise.resolve(exchange.body(10)).then((read) => void (body = read)),
      );
      const client = await test.dial();
      client.send(text);
      const received = await client.receives('\r\n\r\n');
      client.send(then);
      // A stream of HTTP/2 ends alone.
      if (codec !== 'http2') await client.closed;
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
      expect(await (await test.dial()).send(post('1234567890')).receives('1234567890')).toContain('200');
    });
  });

  describe('Expect: 100-continue', () => {
    const head = 'POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n';

    it('is answered when the body is asked for', async () => {
      await using test = await server.start(echo);
      const client = await test.dial();
      await client.send(head).receives('HTTP/1.1 100 Continue\r\n\r\n');
      expect(await client.send('hello').receives('hello')).toContain('HTTP/1.1 200');
    });
  });

  describe('a server', () => {
    it('that closes waits for what is in flight, and for nothing idle', async () => {
      let exchange: Exchange | undefined;
      await using test = await server.start((begun) => void (exchange = begun));
      const idle = await test.dial();
      const busy = await test.dial();
      busy.send(get);
      while (!exchange) await turn();
      const closed = test.server.close(new AbortController().signal);
      await idle.closed;
      exchange.respond(200, [], 'done');
      expect(await busy.closed).toContain('done');
      await closed;
      while (test.server.connections > 0) await turn();
    });

    it('that closes destroys what is left at the deadline', async () => {
      const gone = Promise.withResolvers<void>();
      const deadline = new AbortController();
      await using test = await server.start((exchange) => {
        exchange.onClientGone(gone.resolve);
        exchange.stream(200, []).write('x');
      });
      const client = await test.dial();
      await client.send(get).receives('x');
      const closed = test.server.close(deadline.signal);
      deadline.abort();
      await closed;
      await gone.promise;
      expect(test.server.inFlight).toBe(0);
    });
  });
});
