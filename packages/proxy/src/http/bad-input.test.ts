import { describe, expect, it } from 'vitest';
import { bodyOf, echo, get, RunningServer, statusOf, turn } from '../testing/running-server.ts';
import type { BodyWriter } from './exchange.ts';
import { httpCodecs } from './http-codecs.ts';

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
  ['a tab behind the coding', `${line}${host}Transfer-Encoding: chunked\t\r\n\r\n0\r\n\r\n`, 400],
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

describe.each(httpCodecs)('%s codec:', (codec) => {
  const server = RunningServer.of(codec);

  describe('bad input', () => {
    it.each(badInput)('with %s is refused, closes the connection and reaches nobody', async (_, text, status) => {
      await using test = await server.start(echo);
      const client = await test.connect();
      const received = await client.send(text + get).closed;
      expect(statusOf(received)).toBe(status);
      expect(received).toContain('Connection: close');
      expect(received.match(/HTTP\/1\.1 \d/g)).toHaveLength(1);
      const reached = test.exchanges.filter(
        (exchange) => exchange.head.method !== 'POST' || exchange.responseBytes > 0,
      );
      expect(reached).toEqual([]);
      expect(test.value('signalbox_http_refused_total')).toBe(1);
      // Whoever records outcomes hears of each request once: here, or from its exchange when its body broke off.
      expect(test.refused.length + test.exchanges.length).toBe(1);
    });

    it('byte by byte is refused the same', async () => {
      for (const [, text, status] of badInput.slice(0, 12)) {
        await using test = await server.start(echo);
        const client = await test.connect();
        for (const byte of text.slice(0, 200)) client.send(byte);
        expect(statusOf(await client.closed)).toBe(status);
      }
    });

    it('CONNECT is not served', async () => {
      await using test = await server.start(echo);
      await (await test.connect()).send(`CONNECT a.test:80 HTTP/1.1\r\n${host}\r\n`).closed;
      expect(test.exchanges).toHaveLength(0);
    });

    it('an Upgrade is ignored', async () => {
      await using test = await server.start(echo);
      const client = await test.connect();
      const received = await client
        .send(`GET / HTTP/1.1\r\n${host}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n`)
        .receives('\r\n\r\n');
      expect(statusOf(received)).toBe(200);
    });

    it('a host that is refused reaches nobody', async () => {
      await using test = await server.start(echo, {
        judgeHost: (head) => (head.host === 'a.test' ? undefined : { status: 403, reason: 'not here' }),
      });
      const client = await test.connect();
      const received = await client.send(`GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n${get}`).closed;
      expect([statusOf(received), bodyOf(received)]).toEqual([403, 'not here\n']);
      expect(test.exchanges).toHaveLength(0);
      expect(test.refused).toEqual([{ method: 'GET', status: 403 }]);
    });
  });

  describe('requests sent before the answer', () => {
    it('are dropped with the connection, which says so', async () => {
      await using test = await server.start(
        (exchange) => void setImmediate(() => exchange.respond(200, [], exchange.head.path)),
      );
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
      await using test = await server.start((exchange) => void (writer = exchange.stream(200, [])));
      const client = await test.connect();
      await client.send(get).receives('chunked');
      client.send(get);
      while (test.value('signalbox_http_refused_total') === 0) await turn();
      writer?.end('all');
      expect((await client.closed).endsWith('3\r\nall\r\n0\r\n\r\n')).toBe(true);
      expect(test.exchanges).toHaveLength(1);
    });

    it('that are not HTTP break off the answer under way', async () => {
      const gone = Promise.withResolvers<void>();
      await using test = await server.start((exchange) => {
        exchange.onClientGone(gone.resolve);
        exchange.stream(200, []).write('begun');
      });
      const client = await test.connect();
      await client.send(get).receives('begun');
      const received = await client.send('not HTTP\r\n\r\n').closed;
      await gone.promise;
      expect(received).not.toContain('400');
    });

    it('that are not HTTP get no answer in place of the one under way', async () => {
      const gone = Promise.withResolvers<void>();
      await using test = await server.start((exchange) => exchange.onClientGone(gone.resolve));
      const client = await test.connect();
      client.send(get);
      while (test.exchanges.length === 0) await turn();
      expect(await client.send('not HTTP\r\n\r\n').closed).toBe('');
      await gone.promise;
    });
  });
});
