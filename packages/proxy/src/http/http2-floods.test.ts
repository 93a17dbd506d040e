import { constants } from 'node:http2';
import { describe, expect, it } from 'vitest';
import { ask, type Http2Client } from '../testing/http2-client.ts';
import {
  clientPreface,
  endHeaders,
  endStream,
  frame,
  frames,
  getHead,
  headBlock,
  headerBlock,
  readFrames,
} from '../testing/http2-frames.ts';
import { connections, echo, RunningServer, turn } from '../testing/running-server.ts';

const http2 = { http2: 'always' } as const;
const calm = constants.NGHTTP2_ENHANCE_YOUR_CALM;

/** Resolves with the code of the GOAWAY that ends a raw connection; 0 when there is none. */
async function endOf(client: { readonly closed: Promise<string> }): Promise<number> {
  const last = readFrames(Buffer.from(await client.closed, 'latin1')).findLast(({ kind }) => kind === frames.goaway);
  return last?.payload.readUInt32BE(4) ?? 0;
}

describe('a client of HTTP/2 that floods', () => {
  const faults = { maxStreamFaults: 50 };
  /** Another client, served while the flood goes on. */
  const isServed = async (test: RunningServer, other: Http2Client) => {
    expect(await ask(other.session)).toEqual([200, '']);
    expect(test.server.connections).toBe(1);
  };

  it('with streams that it resets at once loses its connection (rapid reset)', async () => {
    await using test = await RunningServer.start(() => undefined, { ...http2, limits: faults });
    const client = await test.connect();
    client.send(clientPreface.toString('latin1'));
    const cancel = Buffer.from([0, 0, 0, constants.NGHTTP2_CANCEL]);
    const pair = (id: number) =>
      Buffer.concat([frame(frames.headers, endHeaders | endStream, id, getHead), frame(frames.reset, 0, id, cancel)]);
    const ended = endOf(client);
    for (let id = 1; id < 20_000 && !client.socket.destroyed; id += 2) {
      client.send(pair(id).toString('latin1'));
      if (id % 20 === 1) await turn();
    }
    expect(await ended).not.toBe(constants.NGHTTP2_NO_ERROR);
    await connections(test, 0);
    expect(test.exchanges.length).toBeLessThanOrEqual(100);
    expect(test.server.inFlight).toBe(0);
  });

  it('with requests that are refused loses its connection', async () => {
    await using test = await RunningServer.start(echo, { ...http2, limits: faults });
    const other = await test.connectHttp2();
    await connections(test, 1);
    const client = await test.connect();
    client.send(clientPreface.toString('latin1'));
    const block = headerBlock([
      [':method', 'GET'],
      [':scheme', 'http'],
      [':authority', 'a.test'],
      [':path', '/../'],
    ]);
    const ended = endOf(client);
    for (let id = 1; id < 400; id += 2) {
      client.send(frame(frames.headers, endHeaders | endStream, id, block).toString('latin1'));
      await turn();
    }
    expect(await ended).toBe(calm);
    expect(test.value('signalbox_http_floods_total')).toBe(1);
    await connections(test, 1);
    await isServed(test, other);
  });

  it('with streams that it makes us reset loses its connection', async () => {
    await using test = await RunningServer.start(() => undefined, { ...http2, limits: faults });
    const client = await test.connect();
    client.send(clientPreface.toString('latin1'));
    const ended = endOf(client);
    for (let id = 1; id < 2_000 && !client.socket.destroyed; id += 2) {
      // A window that grows by nothing is a fault of the stream (RFC 9113 §6.9).
      const nothing = frame(8, 0, id, Buffer.from([0, 0, 0, 0]));
      client.send(
        Buffer.concat([frame(frames.headers, endHeaders | endStream, id, getHead), nothing]).toString('latin1'),
      );
      await turn();
    }
    expect(await ended).not.toBe(constants.NGHTTP2_NO_ERROR);
    await connections(test, 0);
    expect(test.server.inFlight).toBe(0);
  });

  const openHead = frame(frames.headers, 0, 1, getHead);
  const more = (n: number) => frame(frames.continuation, 0, 1, headerBlock([[`x-${n}`, 'y'.repeat(4_000)]]));
  const openBody = frame(frames.headers, endHeaders, 1, headBlock({ ':method': 'POST' }));

  it.each<[string, Buffer, (n: number) => Buffer]>([
    ['a head that never ends', openHead, more],
    ['a head that never ends nor grows', openHead, () => frame(frames.continuation, 0, 1)],
    ['a body that never ends nor grows', openBody, () => frame(frames.data, 0, 1)],
    ['frames of no known kind', openBody, () => frame(77, 0, 0)],
  ])('with %s loses its connection, and nobody else notices', async (_, begin, next) => {
    await using test = await RunningServer.start(echo, http2);
    const other = await test.connectHttp2();
    await connections(test, 1);
    const client = await test.connect();
    client.send(Buffer.concat([clientPreface, begin]).toString('latin1'));
    for (let sent = 0; client.socket.writable; sent += 100) {
      client.send(Buffer.concat(Array.from({ length: 100 }, (_unused, i) => next(sent + i))).toString('latin1'));
      await turn();
      expect(sent).toBeLessThan(50_000);
    }
    await connections(test, 1);
    await isServed(test, other);
  });

  it.each<[string, Buffer]>([
    ['settings', frame(frames.settings, 0, 0, Buffer.alloc(6))],
    ['pings', frame(frames.ping, 0, 0, Buffer.alloc(8))],
    ['windows', frame(8, 0, 0, Buffer.from([0, 0, 0, 1]))],
  ])('with %s, and never reads, is nobody else’s concern', async (_, piece) => {
    await using test = await RunningServer.start(echo, http2);
    const other = await test.connectHttp2();
    await connections(test, 1);
    const client = await test.connect();
    client.socket.pause();
    client.send(clientPreface.toString('latin1'));
    const burst = Buffer.concat(Array.from({ length: 1_000 }, () => piece)).toString('latin1');
    for (let i = 0; i < 50 && client.socket.writable; i += 1) {
      client.send(burst);
      await turn();
    }
    expect(await ask(other.session)).toEqual([200, '']);
    client.socket.destroy();
    await connections(test, 1);
    await isServed(test, other);
  });
});
