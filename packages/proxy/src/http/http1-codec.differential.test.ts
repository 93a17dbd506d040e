import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { Socket } from 'node:net';
import { Metrics } from '@signalbox/runtime';
import { ManualClock, MemoryLogger } from '@signalbox/runtime/testing';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { MemorySocket } from '../testing/memory-socket.ts';
import { turn } from '../testing/running-server.ts';
import { AnswerHeads } from './answer-head.ts';
import { type ConnectionOwner, Http1Connection } from './http1-connection.ts';
import { defaultHttpServerLimits } from './http-server.ts';
import { OpenExchanges } from './open-exchange.ts';
import { RefusalCounter } from './refusal-counter.ts';

/** Inputs of a run. A long one: `SIGNALBOX_TEST_CODEC_INPUTS=1000000`. */
// oxlint-disable-next-line no-restricted-properties
const inputs = Number(process.env['SIGNALBOX_TEST_CODEC_INPUTS'] ?? 3_000);

/** A request as it was understood, whole. */
interface Understood {
  readonly method: string;
  readonly target: string;
  /** `name: value`, names in lower case. */
  readonly headers: readonly string[];
  readonly body: string;
}

/** What became of a connection. */
interface Reading {
  readonly requests: readonly Understood[];
  /** The connection goes on. */
  readonly alive: boolean;
}

const limits = { ...defaultHttpServerLimits, maxHeaderBytes: 2_048 };

/** By our own codec. Each request is answered as soon as its body is there. */
async function readByUs(pieces: readonly string[]): Promise<Reading> {
  const requests: Understood[] = [];
  const [clock, metrics, logger] = [new ManualClock(), new Metrics(), new MemoryLogger()];
  const exchanges = new OpenExchanges({ limits, clock, metrics, logger }, (exchange) => {
    const { head } = exchange;
    const names = head.withPrefix('');
    const headers = names.flatMap((name, i) => (i % 2 === 0 ? [`${name}: ${names[i + 1]}`] : []));
    const target = head.query === '' ? head.path : `${head.path}?${head.query}`;
    void Promise.resolve(exchange.body(100_000)).then((body) => {
      if (!body) return;
      requests.push({ method: head.method, target, headers, body: body.toString('latin1') });
      exchange.respond(200, [], 'x');
    });
  });
  const owner: ConnectionOwner = {
    limits,
    heads: new AnswerHeads(clock, 65_000),
    judgeHost: () => undefined,
    refusals: new RefusalCounter({ metrics, onRefused: () => undefined }),
    exchanges,
    tick: 0,
    draining: false,
    closed: () => undefined,
  };
  const socket = new MemorySocket();
  new Http1Connection(owner, socket as unknown as Socket);
  return { alive: await feed(socket, pieces), requests };
}

/** By node:http, the reference, with the settings that our codec over it has. */
class Reference {
  readonly #server: Server;
  readonly #failed = new WeakSet<object>();
  #requests: Understood[] = [];

  constructor() {
    this.#server = createServer({
      requireHostHeader: false,
      insecureHTTPParser: false,
      joinDuplicateHeaders: false,
      maxHeaderSize: limits.maxHeaderBytes,
      keepAliveTimeout: 0,
    });
    this.#server.maxHeadersCount = 0;
    this.#server.on('request', (request, response) => {
      const collected = this.#requests;
      collect(request, (understood) => {
        collected.push(understood);
        response.end('x');
      });
    });
    // What was read whole before counts as understood, whatever comes behind it.
    this.#server.on('clientError', (_, socket) => void this.#failed.add(socket));
  }

  async read(pieces: readonly string[]): Promise<Reading> {
    const requests: Understood[] = [];
    this.#requests = requests;
    const socket = new MemorySocket();
    this.#server.emit('connection', socket);
    const alive = await feed(socket, pieces);
    return { alive: alive && !this.#failed.has(socket), requests };
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}

function collect(request: IncomingMessage, done: (understood: Understood) => void): void {
  let body = '';
  request.setEncoding('latin1').on('data', (text: string) => void (body += text));
  request.on('end', () => {
    const { method = '', url = '', rawHeaders } = request;
    // Our heads do not tell an empty query from none.
    const target = url.endsWith('?') ? url.slice(0, -1) : url;
    const headers = rawHeaders.flatMap((name, i) =>
      i % 2 === 0 ? [`${name.toLowerCase()}: ${rawHeaders[i + 1]}`] : [],
    );
    done({ method, target, headers, body });
  });
  request.on('error', () => undefined);
}

/** @returns whether the connection goes on. */
async function feed(socket: MemorySocket, pieces: readonly string[]): Promise<boolean> {
  for (const piece of pieces) {
    socket.receive(piece);
    await turn();
  }
  await turn();
  const { alive } = socket;
  socket.destroy();
  return alive;
}

const mostly = <T>(usual: readonly T[], odd: readonly T[], weight = 14) =>
  fc.oneof({ weight, arbitrary: fc.constantFrom(...usual) }, { weight: 1, arbitrary: fc.constantFrom(...odd) });

const eol = mostly(['\r\n'], ['\n', '\r', '\r\r\n', '\n\r', '\r\n\r\n', '\r\n '], 40);
const method = mostly(
  ['POST', 'POST', 'PUT', 'DELETE', 'PATCH', 'GET', 'OPTIONS', 'HEAD'],
  ['post', 'TRACE', 'CONNECT', 'BREW', 'PRI', 'M-SEARCH', 'GET\t', ' GET', '\r\nGET', 'G\0T', '', 'QUERY', 'SOURCE'],
);
const target = mostly(
  ['/', '/a/b', '/mcp?x=1', '/a%20b', '/?', '/a;b'],
  ['*', '', 'http://a.test/', '//b', '/a b', '/a\tb', '/\x7f', '/\xe9', '/#', '/\\', '/%2e', '/\0', 'a.test:80', '/\r'],
);
const version = mostly(
  ['HTTP/1.1'],
  [
    'HTTP/1.0',
    'HTTP/1.2',
    'HTTP/0.9',
    'HTTP/2.0',
    'http/1.1',
    'HTTP/1.1 ',
    ' HTTP/1.1',
    'HTTP/01.1',
    'HTTP/1.10',
    '',
    'RTSP/1.0',
    'ICE/1.1',
  ],
  30,
);
const header = mostly(
  [
    'X-A: 1',
    'x-a:  2 ',
    'X-B:',
    'X-C:\tc\t',
    'Content-Type: application/json',
    'Connection: close',
    'Connection: keep-alive',
    'Accept: a, b',
    'Expect: 100-continue',
    "!#$%&'*+-.^_`|~09: x",
  ],
  [
    ...[
      'X A: 1',
      'X-A : 1',
      ' X-A: 1',
      '\tX-A: 1',
      'X-A',
      ': 1',
      '',
      'X-A: \0',
      'X-A: a\r b',
      'X-A: \x7f',
      'X-\xe9: 1',
    ],
    ...['X-A: \xe9', 'X(A): 1', 'X-A: 1\n b', 'X-A: \x01', 'X-A:\x0b1', 'X-A: \x0c', 'X"A: 1', 'X-A\0: 1', 'X-A:: 1'],
    ...[
      'Connection: Close',
      'Connection: x, close',
      'Connection: close, keep-alive',
      'Connection: "close"',
      'Connection:,close,',
    ],
    ...[
      'Connection: close;x',
      'Connection: xclose',
      'Proxy-Connection: close',
      'Connection:',
      'Connection: keep-alive, close',
    ],
    ...[
      'Upgrade: websocket',
      'Connection: upgrade',
      'HTTP2-Settings: x',
      'Expect: x',
      'Expect: 100-Continue',
      'Host: b',
    ],
    ...[
      'Trailer: X',
      'TE: trailers',
      'Content-Encoding: gzip',
      `X-L: ${'l'.repeat(2_100)}`,
      `X-L: ${'l'.repeat(1_000)}`,
    ],
    ...[
      'Transfer-Encoding: chunked',
      'Content-Length: 3',
      'Keep-Alive: timeout=1',
      'Connection: close\tx',
      'Content-Length: 0',
    ],
  ],
  3,
);
const length = mostly(
  ['=', '='],
  [
    '=\t',
    '\t=',
    '= ',
    ' = ',
    '=\r',
    '=,',
    '=\x0c',
    '-1',
    '+2',
    '1, 1',
    '0x1',
    '1 ',
    ' 1',
    '\t1\t',
    '01',
    '',
    '1 1',
    '1e0',
    '5',
    '00000',
    '99999999999999999999',
    '１',
    '1\v',
  ],
  6,
);
const lengthName = mostly(
  ['Content-Length'],
  ['content-length', 'CONTENT-LENGTH', 'Content-Length ', 'Content_Length'],
  8,
);
const plainBody = fc.constantFrom('', 'a', 'hello', '\r\n\r\n', 'GET / HTTP/1.1\r\nHost: a\r\n\r\n', '\0\xff');
const lengthBody = fc
  .tuple(lengthName, length, plainBody)
  .map(([name, value, body]) => [`${name}: ${value.replace('=', String(body.length))}`, body] as const);
const coding = mostly(
  ['Transfer-Encoding: chunked'],
  [
    'transfer-encoding:CHUNKED',
    'Transfer-Encoding: gzip, chunked',
    'Transfer-Encoding: chunked, chunked',
    'Transfer-Encoding: identity',
    'Transfer-Encoding: chunked ',
    'Transfer-Encoding: chunked\t',
    'Transfer-Encoding: chunked,',
    'Transfer-Encoding: ,chunked',
    'Transfer-Encoding: chunked\x0c',
    'Transfer-Encoding: \tchunked',
    'Transfer-Encoding:\x0bchunked',
    'Transfer-Encoding: xchunked',
    'Transfer-Encoding: "chunked"',
    'Transfer-Encoding: chunked;q=1',
    'Transfer-Encoding: chunked\r\nContent-Length: 3',
    'Content-Length: 3\r\nTransfer-Encoding: chunked',
    'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked',
    'Transfer-Encoding : chunked',
    'Transfer-Encoding:',
  ],
  6,
);
const chunk = mostly(
  ['1\r\na\r\n', '5\r\nhello\r\n', 'A\r\n0123456789\r\n', '05\r\nhello\r\n', '2;x=y\r\nab\r\n', '2;x\r\nab\r\n'],
  [
    ...[
      '2 \r\nab\r\n',
      '2\nab\n',
      '3\r\nabcd\r\n',
      'g\r\n',
      '0x1\r\na\r\n',
      '\r\n',
      '-1\r\n',
      '+1\r\na\r\n',
      '1\r\na',
      ' 1\r\na\r\n',
    ],
    ...[
      '2;\r\nab\r\n',
      '2;;x\r\nab\r\n',
      '2;x=\r\nab\r\n',
      '2; x=y\r\nab\r\n',
      '2;x="y"\r\nab\r\n',
      '2;x="y\r\nab\r\n',
    ],
    ...[
      '2;x=y;z\r\nab\r\n',
      '2;=y\r\nab\r\n',
      '2;\xe9\r\nab\r\n',
      '2;x\nab\r\n',
      '2;x\0\r\nab\r\n',
      '1\r\na\n',
      '1\ra\r\n',
    ],
    ...[
      'FFFFFFFFF\r\n',
      'fffffffffffffffff\r\n',
      '000000001\r\na\r\n',
      '2;x =y\r\nab\r\n',
      '1\r\na\r',
      `1;${'e'.repeat(2_100)}\r\na\r\n`,
    ],
    ...['2;x=y=z\r\nab\r\n', '2;x=y,z\r\nab\r\n', '2\t;x\r\nab\r\n', '1;x\r\r\na\r\n', '2;x=(y)\r\nab\r\n'],
  ],
  5,
);
const lastChunk = mostly(
  ['0\r\n\r\n', '0\r\n\r\n', '00\r\n\r\n', '0;x=y\r\n\r\n', '0\r\nT: 1\r\n\r\n'],
  [
    ...[
      '0\r\n',
      '',
      '0\n\n',
      '0\r\n\n',
      '0\r\nT\r\n\r\n',
      '0\r\n T: 1\r\n\r\n',
      '0\r\nT : 1\r\n\r\n',
      '0\r\nT: \0\r\n\r\n',
      '0\r\nT: 1\n\r\n',
    ],
    ...[
      '0\r\nContent-Length: 5\r\n\r\n',
      '0\r\nTransfer-Encoding: chunked\r\n\r\n',
      '0\r\nHost: b\r\n\r\n',
      '0\r\nT:\r\n\r\n',
    ],
    ...[
      '0\r\nT: a\r\n b\r\n\r\n',
      '0\r\nT: \xe9\r\n\r\n',
      `0\r\nT: ${'t'.repeat(2_100)}\r\n\r\n`,
      '0\r\nConnection: close\r\n\r\n',
    ],
    ...[
      '0\r\nT: 1\r\nU: 2\r\n\r\n',
      '0\r\nT: \x7f\r\n\r\n',
      '0\r\nT: \x01\r\n\r\n',
      '0\r\nUpgrade: x\r\n\r\n',
      '0\r\n:\r\n\r\n',
      '0\r\r\n\r\n',
    ],
  ],
  4,
);
const chunkedBody = fc
  .tuple(coding, fc.array(chunk, { maxLength: 4 }), lastChunk)
  .map(([line, chunks, end]) => [line, chunks.join('') + end] as const);
const noBody = fc.constantFrom(['X-N: 0', ''] as const, ['X-N: 0', 'x'] as const);
const body = fc.oneof(
  { weight: 3, arbitrary: lengthBody },
  { weight: 4, arbitrary: chunkedBody },
  { weight: 1, arbitrary: noBody },
);
const request = fc
  .tuple(
    fc.tuple(method, target, version).map((parts) => parts.join(' ')),
    fc.array(header, { maxLength: 4 }),
    body,
    fc.array(eol, { minLength: 8, maxLength: 8 }),
  )
  .map(([line, headers, [framing, text], ends]) => {
    const lines = [line, 'Host: a.test', ...headers, framing, ''];
    return lines.map((each, i) => each + ends[i]).join('') + text;
  });
/** A byte that was changed, added or lost on the way. */
const damage = fc.record({
  at: fc.nat(400),
  remove: fc.constantFrom(0, 1),
  add: fc.constantFrom('', '\r', '\n', '\r\n', '\0', ' ', '\t', ':', ';', '0', 'a', ',', '\xff', '\x7f', '=', '"'),
});
const stream = fc
  .tuple(
    fc.array(request, { minLength: 1, maxLength: 3 }),
    fc.oneof({ weight: 3, arbitrary: fc.constant([]) }, { weight: 2, arbitrary: fc.array(damage, { maxLength: 2 }) }),
  )
  .map(([requests, damages]) =>
    damages.reduce((text, { at, remove, add }) => text.slice(0, at) + add + text.slice(at + remove), requests.join('')),
  );
const cuts = fc.oneof(
  { weight: 2, arbitrary: fc.constant([]) },
  { weight: 4, arbitrary: fc.array(fc.nat(600), { maxLength: 5 }) },
  { weight: 1, arbitrary: fc.constant(Array.from({ length: 600 }, (_, i) => i)) },
);

/** The last piece shows whether a head that lacks its end is still waited for. */
function piecesOf(text: string, at: readonly number[]): readonly string[] {
  const ends = [...new Set([...at.filter((cut) => cut > 0 && cut < text.length), text.length])].toSorted(
    (a, b) => a - b,
  );
  return [...ends.map((end, i) => text.slice(ends[i - 1] ?? 0, end)), '\r\n\r\n'];
}

describe('any bytes of a client, cut anywhere,', () => {
  const reference = new Reference();
  afterAll(() => reference.close());

  it('are never understood where node:http refuses them, nor as something else', async () => {
    let understood = 0;
    await fc.assert(
      fc.asyncProperty(stream, cuts, async (text, at) => {
        const pieces = piecesOf(text, at);
        const ours = await readByUs(pieces);
        const theirs = await reference.read(pieces);
        understood += ours.requests.length;
        expect(ours.requests).toEqual(theirs.requests.slice(0, ours.requests.length));
        const goesOn = { alive: theirs.alive, requests: ours.requests };
        expect(ours.alive ? goesOn : theirs).toEqual(theirs);
      }),
      { numRuns: inputs },
    );
    expect(understood).toBeGreaterThan(inputs / 4);
  }, 3_600_000);
});
