import { describe, expect, it } from 'vitest';
import { bodyOf, post, RunningServer, statusOf, testedCodecs, turn } from '../testing/running-server.ts';
import type { Exchange } from './exchange.ts';

/** Takes a body in pieces, and none while it is told to. */
class Taker {
  readonly pieces: Buffer[] = [];
  takes = true;
  readonly #ended = Promise.withResolvers<string>();

  get ended(): Promise<string> {
    return this.#ended.promise;
  }

  get length(): number {
    return this.pieces.reduce((sum, piece) => sum + piece.length, 0);
  }

  onBodyData(chunk: Buffer): boolean {
    this.pieces.push(chunk);
    return this.takes;
  }

  onBodyEnd(): void {
    this.#ended.resolve(Buffer.concat(this.pieces).toString('latin1'));
  }
}

/** Answers with what came, when it has come. */
function echoInPieces(exchange: Exchange): void {
  const taker = new Taker();
  exchange.bodyTo(taker);
  void taker.ended.then((text) => exchange.respond(200, [], text));
}

describe.each(testedCodecs)('%s codec: a body in pieces', (codec) => {
  const server = RunningServer.of(codec);

  it.each([
    ['of known length', post('hello')],
    ['in chunks', 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n'],
  ])('%s arrives whole, byte by byte too, and the connection is kept', async (_, text) => {
    await using test = await server.start(echoInPieces);
    const client = await test.dial();
    expect(bodyOf(await client.send(text).receives('hello'))).toBe('hello');
    client.received = '';
    for (const byte of text) {
      client.send(byte);
      await turn();
    }
    expect(bodyOf(await client.receives('hello'))).toBe('hello');
    expect(test.server.connections).toBe(1);
  });

  it('is over at once when there is none', async () => {
    await using test = await server.start(echoInPieces);
    const client = await test.dial();
    expect(statusOf(await client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n').receives('\r\n\r\n'))).toBe(200);
  });

  it('is not read on while nobody takes it', async () => {
    const taker = new Taker();
    taker.takes = false;
    await using test = await server.start((exchange) => {
      exchange.bodyTo(taker);
      void taker.ended.then(() => exchange.respond(200, [], 'done'));
    });
    const client = await test.dial();
    const size = 16 * 1024 * 1024;
    client.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${size}\r\n\r\n${'x'.repeat(size)}`);
    while (taker.length === 0) await turn();
    for (let i = 0; i < 200; i += 1) await turn();
    expect(taker.length).toBeLessThan(1024 * 1024);
    taker.takes = true;
    (test.exchanges[0] as Exchange).resumeBody();
    expect(statusOf(await client.receives('done'))).toBe(200);
    expect(taker.length).toBe(size);
  });

  it('asks a client that waits for it to go on', async () => {
    await using test = await server.start(echoInPieces);
    const client = await test.dial();
    client.send('POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n');
    await client.receives('100 Continue\r\n\r\n');
    client.received = '';
    expect(bodyOf(await client.send('ab').receives('ab'))).toBe('ab');
  });

  it('goes on behind an answer that began early, and the connection ends with that', async () => {
    const taker = new Taker();
    await using test = await server.start((exchange) => {
      exchange.bodyTo(taker);
      const writer = exchange.stream(200, []);
      writer.write('early ');
      void taker.ended.then((text) => writer.end(text));
    });
    const client = await test.dial();
    client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n');
    await client.receives('early ');
    client.send('late');
    // A stream of HTTP/2 ends alone.
    const whole = await (codec === 'http2' ? client.receives('late') : client.closed);
    expect(whole).toMatch(/early [^]*late/);
    expect(whole.includes('Connection: close')).toBe(codec !== 'http2');
  });

  it('stops when the client leaves', async () => {
    const taker = new Taker();
    const left = Promise.withResolvers<void>();
    await using test = await server.start((exchange) => {
      exchange.onClientGone(() => left.resolve());
      exchange.bodyTo(taker);
    });
    const client = await test.dial();
    client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 40\r\n\r\nabc');
    while (taker.length < 3) await turn();
    client.socket.destroy();
    await left.promise;
    expect(Buffer.concat(taker.pieces).toString()).toBe('abc');
  });
});

describe.each(['own', 'http2'] as const)('%s codec: a body in pieces', (codec) => {
  it('may take longer than a whole request may', async () => {
    const limits = { requestTimeoutMs: 1_000, checkIntervalMs: 100 };
    await using test = await RunningServer.of(codec).start(echoInPieces, { limits });
    const client = await test.dial();
    client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab');
    while (test.exchanges.length === 0) await turn();
    for (let i = 0; i < 30; i += 1) await test.clock.advance(100);
    expect(bodyOf(await client.send('cd').receives('abcd'))).toBe('abcd');
  });
});
