import { request as nodeRequest } from 'node:http';
import { Metrics } from '@signalbox/runtime';
import { ManualClock } from '@signalbox/runtime/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RawServer } from '../testing/raw-server.ts';
import { collect } from './collect.ts';
import { defaultHttp1ClientLimits, Http1Client } from './http1-client.ts';

/** What a client made of an answer: undefined when it refused it. */
type Reading = { readonly status: number; readonly body: string; readonly a: string | undefined } | undefined;

/** By node:http, the reference: whatever it refuses, we must refuse. */
function readByNode(port: number): Promise<Reading> {
  return new Promise((resolve) => {
    const request = nodeRequest({ port, host: '127.0.0.1', method: 'POST', agent: false }, (response) => {
      let body = '';
      response.setEncoding('latin1').on('data', (text: string) => void (body += text));
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, body, a: response.headers['x-a'] as string | undefined }),
      );
      response.on('error', () => resolve(undefined));
    });
    request.on('error', () => resolve(undefined)).end();
  });
}

async function readByUs(client: Http1Client, origin: string): Promise<Reading> {
  const timeouts = { connectMs: 1_000, headMs: 1_000, idleMs: 1_000, totalMs: 1_000 };
  const request = { origin, poolKey: 'k', method: 'POST', target: '/', headers: [], body: undefined, timeouts };
  const outcome = await collect(client, { ...request, safeToResend: false }, 1_000_000);
  if ('failure' in outcome) return undefined;
  const { head, body } = outcome.answer;
  return { status: head.status, body: body.toString('latin1'), a: head.header('x-a') };
}

const eol = fc.oneof(
  { weight: 12, arbitrary: fc.constant('\r\n') },
  { weight: 1, arbitrary: fc.constantFrom('\n', '\r') },
);
const statusLine = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.constantFrom('HTTP/1.1 200 OK', 'HTTP/1.1 404 Not Found', 'HTTP/1.1 500 ', 'HTTP/1.1 204 No'),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      'HTTP/1.0 200 OK',
      'HTTP/1.1 200',
      'HTTP/1.1  200 OK',
      'HTTP/1.2 200 OK',
      'HTTP/1.1 99 x',
      '200 OK',
      'HTTP/1.1 100 C\r\n\r\nHTTP/1.1 200 OK',
    ),
  },
);
const header = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.constantFrom(
      'X-A: 1',
      'x-a:  2 ',
      'X-B:',
      'Connection: close',
      'Content-Type: a/b; c="d"',
      'X-C: \xe9',
    ),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      'X A: 1',
      'X-A : 1',
      ' X-A: 1',
      'X-A',
      ': 1',
      'X-A: \0',
      'X-A: a\r b',
      'X-A: \x7f',
      'X-\xe9: 1',
      'Content-Length: 3',
      'Transfer-Encoding: chunked',
      'Transfer-Encoding: gzip',
    ),
  },
);
const body = fc.oneof(
  fc.constantFrom('', 'a', 'hello', '\r\n\r\n').map((text) => [`Content-Length: ${text.length}`, text] as const),
  fc
    .constantFrom('-1', '+1', '1, 1', '0x1', '1 ', ' 1', '01', '', '5')
    .map((length) => [`Content-Length: ${length}`, 'x'] as const),
  fc
    .array(
      fc.constantFrom(
        '1\r\na\r\n',
        '5;x=y\r\nhello\r\n',
        '05\r\nhello\r\n',
        'A\r\n0123456789\r\n',
        '2 \r\nab\r\n',
        '2\nab\n',
        '3\r\nabcd\r\n',
        'g\r\n',
        '0x1\r\na\r\n',
      ),
      { maxLength: 3 },
    )
    .chain((chunks) =>
      fc
        .constantFrom('0\r\n\r\n', '0\r\nT: 1\r\n\r\n', '0\r\n', '00\r\n\r\n', '')
        .map((end) => ['Transfer-Encoding: chunked', chunks.join('') + end] as const),
    ),
  fc.constantFrom('', 'until the end').map((text) => ['X-N: 0', text] as const),
);
const answer = fc
  .tuple(statusLine, fc.array(header, { maxLength: 3 }), body, eol)
  .map(([line, headers, [framing, text], end]) => [line, ...headers, framing].join(end) + end + end + text);

describe('any answer', () => {
  it('that node:http refuses we refuse, and what both accept reads the same', async () => {
    let bytes = '';
    await using server = await RawServer.start(({ socket }) => void socket.end(Buffer.from(bytes, 'latin1')));
    const client = new Http1Client({
      limits: defaultHttp1ClientLimits,
      clock: new ManualClock(),
      metrics: new Metrics(),
    });
    let accepted = 0;
    await fc.assert(
      fc.asyncProperty(answer, async (text) => {
        // Bytes behind an answer without a body are refused with the connection, by node:http with the answer.
        fc.pre(!/^HTTP\/1\.1 204[^]*\r\n\r\n./.test(text));
        bytes = text;
        const [reference, ours] = await Promise.all([readByNode(server.port), readByUs(client, server.origin)]);
        if (ours) accepted += 1;
        expect(ours ?? reference).toEqual(reference);
      }),
      { numRuns: 400 },
    );
    expect(accepted).toBeGreaterThan(50);
    client.close();
  }, 30_000);
});
