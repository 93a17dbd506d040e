import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ResponseHead } from './response-head.ts';
import { ResponseParser } from './response-parser.ts';

interface Parsed {
  status: number | undefined;
  headers: Record<string, string | undefined>;
  body: string;
  outcome: 'complete' | 'complete, kept' | 'cut' | 'waiting' | `problem: ${string}`;
}

/** What a parser makes of pieces, and of the end of the stream after them. */
function parse(pieces: readonly Buffer[], options: { method?: string; ends?: boolean; names?: string[] } = {}): Parsed {
  const result: Parsed = { status: undefined, headers: {}, body: '', outcome: 'waiting' };
  const parser: ResponseParser = new ResponseParser(
    {
      onHead: (head: ResponseHead) => {
        result.status = head.status;
        for (const name of options.names ?? []) result.headers[name] = head.header(name);
      },
      onBody: (bytes, start, end) => void (result.body += bytes.toString('latin1', start, end)),
      onComplete: (reusable) => void (result.outcome = reusable ? 'complete, kept' : 'complete'),
      onProblem: (problem) => void (result.outcome = `problem: ${problem}`),
    },
    1_024,
  );
  parser.begin(options.method ?? 'POST');
  for (const piece of pieces) {
    // By then the connection has another answer to wait for, or is closed: what still comes cannot change this one.
    if (piece.length > 0 && result.outcome.startsWith('complete'))
      return { ...result, outcome: 'problem: there is more behind the answer' };
    parser.push(piece);
  }
  if (options.ends && !parser.end()) result.outcome = 'cut';
  return result;
}

function parseText(text: string, options: Parameters<typeof parse>[1] = {}): Parsed {
  return parse([Buffer.from(text, 'latin1')], options);
}

function everyByte(text: string): Buffer[] {
  return [...Buffer.from(text, 'latin1')].map((byte) => Buffer.from([byte]));
}

const ok = 'HTTP/1.1 200 OK\r\n';

describe('an answer', () => {
  it.each([
    ['a length', `${ok}Content-Length: 5\r\n\r\nhello`, 'hello', 'complete, kept'],
    ['no body', `${ok}Content-Length: 0\r\n\r\n`, '', 'complete, kept'],
    ['no body at 204', 'HTTP/1.1 204 No Content\r\n\r\n', '', 'complete, kept'],
    ['no body at 304 whatever its length says', 'HTTP/1.1 304 N\r\nContent-Length: 5\r\n\r\n', '', 'complete, kept'],
    ['chunks', `${ok}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n`, 'hello!', 'complete, kept'],
    [
      'chunks with extensions and trailers',
      `${ok}transfer-encoding: Chunked\r\n\r\n00A;a=b;c="d"\r\n0123456789\r\n0;x\r\nX-T: 1\r\nY: 2\r\n\r\n`,
      '0123456789',
      'complete, kept',
    ],
    [
      'an interim answer before it',
      `HTTP/1.1 103 Early\r\nLink: x\r\n\r\n${ok}Content-Length: 1\r\n\r\nx`,
      'x',
      'complete, kept',
    ],
    ['no reason', 'HTTP/1.1 200\r\nContent-Length: 1\r\n\r\nx', 'x', 'complete, kept'],
    ['Connection: close', `${ok}Connection: x, Close\r\nContent-Length: 1\r\n\r\nx`, 'x', 'complete'],
    ['HTTP/1.0', 'HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx', 'x', 'complete'],
  ])('with %s is read', (_, text, body, outcome) => {
    expect(parseText(text)).toMatchObject({ body, outcome });
  });

  it('to HEAD has no body', () => {
    expect(parseText(`${ok}Content-Length: 5\r\n\r\n`, { method: 'HEAD' }).outcome).toBe('complete, kept');
  });

  it('without a length ends with the connection, which is not kept', () => {
    expect(parseText(`${ok}\r\nhello`)).toMatchObject({ body: 'hello', outcome: 'waiting' });
    expect(parseText(`${ok}\r\nhello`, { ends: true })).toMatchObject({ body: 'hello', outcome: 'complete' });
  });

  it.each([
    ['its head', ok],
    ['its body', `${ok}Content-Length: 5\r\n\r\nhell`],
    ['a chunk', `${ok}Transfer-Encoding: chunked\r\n\r\n5\r\nhell`],
    ['its last chunk', `${ok}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n`],
    ['its last line end', `${ok}Transfer-Encoding: chunked\r\n\r\n0\r\n\r`],
  ])('that ends within %s is cut', (_, text) => {
    expect(parseText(text, { ends: true }).outcome).toBe('cut');
  });

  it('has its headers by name, repeated ones joined, blanks around them dropped', () => {
    const { headers } = parseText(`${ok}X-A:  1 \r\nContent-Length:0\r\nx-a:\t2\r\nX-Empty:\r\nX-L: \xa0\xe9\r\n\r\n`, {
      names: ['x-a', 'x-empty', 'x-l', 'x-none'],
    });
    expect(headers).toEqual({ 'x-a': '1, 2', 'x-empty': '', 'x-l': '\xa0\xe9', 'x-none': undefined });
  });
});

const malformed: readonly [string, string][] = [
  ['bytes behind it', `${ok}Content-Length: 1\r\n\r\nxHTTP/1.1 200 OK\r\n\r\n`],
  ['a body that it must not have', 'HTTP/1.1 204 No Content\r\n\r\nx'],
  ['chunks at 204', 'HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
  ['length and chunks', `${ok}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
  ['two lengths', `${ok}Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello`],
  ['a list of lengths', `${ok}Content-Length: 5, 5\r\n\r\nhello`],
  ['a signed length', `${ok}Content-Length: +5\r\n\r\nhello`],
  ['a hexadecimal length', `${ok}Content-Length: 0x5\r\n\r\nhello`],
  ['an enormous length', `${ok}Content-Length: 99999999999999999999\r\n\r\n`],
  ['an empty length', `${ok}Content-Length:\r\n\r\n`],
  ['a coding that is not chunked', `${ok}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`],
  ['chunked twice', `${ok}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
  ['a coding at HTTP/1.0', 'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
  ['a folded header', `${ok}X: a\r\n b\r\n\r\n`],
  ['a blank before the colon', `${ok}Content-Length : 0\r\n\r\n`],
  ['a blank before a name', `${ok} X: 0\r\n\r\n`],
  ['no colon', `${ok}X\r\n\r\n`],
  ['no name', `${ok}: x\r\n\r\n`],
  ['a name that is no token', `${ok}X(: x\r\n\r\n`],
  ['bare LF', 'HTTP/1.1 200 OK\nContent-Length: 0\n\n'],
  ['bare LF in a header', `${ok}X: a\nContent-Length: 0\r\n\r\n`],
  ['bare CR in a header', `${ok}X: a\rb\r\n\r\n`],
  ['NUL', `${ok}X: a\0\r\n\r\n`],
  ['another version', 'HTTP/2.0 200 OK\r\n\r\n'],
  ['a status of two digits', 'HTTP/1.1 20 OK\r\n\r\n'],
  ['a status out of range', 'HTTP/1.1 600 OK\r\n\r\n'],
  ['no version', '200 OK\r\n\r\n'],
  ['lower case', 'http/1.1 200 OK\r\n\r\n'],
  ['a line before it', `\r\n${ok}\r\n`],
  ['another protocol', 'SSH-2.0-OpenSSH_9.2p1\r\n\r\n'],
  ['a switch of protocols', 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n'],
  ['endless interim answers', 'HTTP/1.1 100 Continue\r\n\r\n'.repeat(5_000)],
  ['a huge head', `${ok}X: ${'x'.repeat(1_100)}\r\n\r\n`],
  ['an endless head', `${ok}X: ${'x'.repeat(100_000)}`],
  ...[
    ['no size', '\r\n\r\n'],
    ['a negative size', '-1\r\n'],
    ['a size with 0x', '0x5\r\nhello\r\n0\r\n\r\n'],
    ['a size with a blank', '5 \r\nhello\r\n0\r\n\r\n'],
    ['a size beyond bounds', 'fffffffff\r\n'],
    ['LF alone after a size', '5\nhello\r\n0\r\n\r\n'],
    ['LF alone after data', '5\r\nhello\n0\r\n\r\n'],
    ['more data than said', '5\r\nhello!\r\n0\r\n\r\n'],
    ['NUL in an extension', '5;\0\r\nhello\r\n0\r\n\r\n'],
    ['LF in an extension', '5;a\nb\r\nhello\r\n0\r\n\r\n'],
    ['endless extensions', `5;${'x'.repeat(2_000)}\r\nhello\r\n0\r\n\r\n`],
    ['endless trailers', `0\r\n${'X: y\r\n'.repeat(1_000)}\r\n`],
    ['a folded trailer', '0\r\nX: y\r\n z\r\n\r\n'],
  ].map(([what, chunks]): [string, string] => [
    `chunks with ${what}`,
    `${ok}Transfer-Encoding: chunked\r\n\r\n${chunks}`,
  ]),
];

describe('a malformed answer', () => {
  it.each(malformed)('with %s is a problem, whole or byte by byte', (_, text) => {
    expect(parseText(text).outcome).toMatch(/^problem: /);
    expect(parse(everyByte(text)).outcome).toMatch(/^problem: /);
  });
});

const headerLine = fc
  .tuple(
    fc.constantFrom('X-A', 'x-b', 'Connection', 'Keep-Alive', 'Content-Type'),
    fc.constantFrom('', 'close', 'a, b', 'timeout=5', '\t x'),
  )
  .map(([name, value]) => `${name}: ${value}\r\n`);
const content = fc.string({ unit: fc.constantFrom('a', '\r', '\n', '0', ' '), maxLength: 40 });
const chunked = fc
  .tuple(
    fc.array(fc.tuple(content, fc.constantFrom('', ';x', ';a=b')), { maxLength: 6 }),
    fc.constantFrom('', 'T: 1\r\n'),
  )
  .map(([chunks, trailers]) => {
    const encoded = chunks
      .filter(([data]) => data !== '')
      .map(([data, extension]) => `${data.length.toString(16)}${extension}\r\n${data}\r\n`);
    return { text: `${encoded.join('')}0\r\n${trailers}\r\n`, body: chunks.map(([data]) => data).join('') };
  });
const answer = fc
  .record({
    interim: fc.constantFrom('', 'HTTP/1.1 100 Continue\r\n\r\n', 'HTTP/1.1 103 E\r\nA: b\r\n\r\n'),
    headers: fc.array(headerLine, { maxLength: 4 }),
    body: fc.oneof(
      content.map((text) => ({ header: `Content-Length: ${text.length}\r\n`, text, body: text })),
      chunked.map(({ text, body }) => ({ header: 'Transfer-Encoding: chunked\r\n', text, body })),
      content.map((text) => ({ header: '', text, body: text })),
    ),
  })
  .map(({ interim, headers, body }) => ({
    text: `${interim}HTTP/1.1 200 OK\r\n${headers.join('')}${body.header}\r\n${body.text}`,
    body: body.body,
  }));

describe('any answer', () => {
  const names = ['x-a', 'x-b', 'connection', 'content-type'];

  it('is the same at every place it is cut', () => {
    fc.assert(
      fc.property(answer, ({ text, body }) => {
        const bytes = Buffer.from(text, 'latin1');
        const whole = parse([bytes], { ends: true, names });
        expect(whole.body).toBe(body);
        expect(whole.outcome).toMatch(/^complete/);
        for (let at = 0; at <= bytes.length; at += 1) {
          expect(parse([bytes.subarray(0, at), bytes.subarray(at)], { ends: true, names })).toEqual(whole);
        }
        expect(parse(everyByte(text), { ends: true, names })).toEqual(whole);
      }),
      { numRuns: 100 },
    );
  });

  it('that was tampered with is read alike however it is cut, and never throws', () => {
    const change = fc.record({
      at: fc.nat(),
      insert: fc.constantFrom('\r', '\n', '\0', ' ', ':', '5', '\r\n\r\n', '\xff', ';'),
    });
    fc.assert(
      fc.property(
        answer,
        fc.array(change, { minLength: 1, maxLength: 3 }),
        fc.array(fc.nat(), { maxLength: 5 }),
        (sent, changes, cuts) => {
          let text = sent.text;
          for (const { at, insert } of changes) {
            const place = at % (text.length + 1);
            text = text.slice(0, place) + insert + text.slice(place + (at % 2));
          }
          const bytes = Buffer.from(text, 'latin1');
          const places = [...new Set(cuts.map((at) => at % (bytes.length + 1)))].toSorted((a, b) => a - b);
          const pieces = [...places, bytes.length].map((end, i) => bytes.subarray(i === 0 ? 0 : places[i - 1], end));
          const readings = [
            parse([bytes], { ends: true, names }),
            parse(pieces, { ends: true, names }),
            parse(everyByte(text), { ends: true, names }),
          ];
          const kind = ({ outcome, status, body }: Parsed) => [
            outcome.replace(/:.*/, '').replace(', kept', ''),
            status,
            body,
          ];
          expect(readings.map(kind)).toEqual([
            kind(readings[0] as Parsed),
            kind(readings[0] as Parsed),
            kind(readings[0] as Parsed),
          ]);
        },
      ),
      { numRuns: 1_000 },
    );
  });
});
