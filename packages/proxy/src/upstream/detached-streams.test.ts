import { Metrics } from '@signalbox/runtime';
import { ManualClock } from '@signalbox/runtime/testing';
import { describe, expect, it } from 'vitest';
import { RawServer } from '../testing/raw-server.ts';
import { collect } from './collect.ts';
import { defaultHttp1ClientLimits, Http1Client } from './http1-client.ts';
import type { UpstreamExchange, UpstreamRequest } from './upstream.ts';

function requestTo(server: RawServer, target: string): UpstreamRequest {
  return {
    ...{ origin: server.origin, poolKey: 'acme/tools', method: 'POST', target, headers: [], body: Buffer.from('{}') },
    ...{ safeToResend: false, timeouts: { connectMs: 1_000, headMs: 2_000, idleMs: 3_000, totalMs: 60_000 } },
  };
}

/** Opens a stream; resolves with its exchange once it has begun. */
function openStream(
  client: Http1Client,
  server: RawServer,
): Promise<{ exchange: UpstreamExchange; ended: Promise<void> }> {
  return new Promise((resolve, reject) => {
    const { promise, resolve: end } = Promise.withResolvers<void>();
    const exchange = client.dispatch(requestTo(server, '/stream'), {
      onHead: () => resolve({ exchange, ended: promise }),
      onData: () => undefined,
      onEnd: end,
      onError: reject,
    });
  });
}

describe('a detached stream', () => {
  it('leaves its place in the pool to other requests, and its connection is closed behind it if it is taken', async () => {
    await using server = await RawServer.start((connection, request) => {
      const isStream = request.startsWith('POST /stream');
      const head = isStream ? 'Transfer-Encoding: chunked' : 'Content-Length: 2';
      connection.socket.write(`HTTP/1.1 200 OK\r\n${head}\r\n\r\n${isStream ? '' : 'ok'}`);
    });
    const limits = { ...defaultHttp1ClientLimits, maxConnections: 1 };
    const client = new Http1Client({ limits, clock: new ManualClock(), metrics: new Metrics() });
    const first = await openStream(client, server);
    const waiting = collect(client, requestTo(server, '/call'), 100);
    first.exchange.detach();
    expect(await waiting).toMatchObject({ answer: { body: Buffer.from('ok') } });
    const second = await openStream(client, server);
    expect(server.connections).toHaveLength(2);
    server.connections[0]?.socket.write('0\r\n\r\n');
    await first.ended;
    await server.connections[0]?.closed;
    second.exchange.detach();
    client.close();
    await server.connections[1]?.closed;
  });

  it('gives its connection back to the pool when it ends', async () => {
    await using server = await RawServer.start(({ socket }) => {
      socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
    });
    const limits = { ...defaultHttp1ClientLimits, maxConnections: 1 };
    const client = new Http1Client({ limits, clock: new ManualClock(), metrics: new Metrics() });
    for (let turn = 0; turn < 3; turn += 1) {
      const { exchange, ended } = await openStream(client, server);
      exchange.detach();
      server.connections[0]?.socket.write('0\r\n\r\n');
      await ended;
    }
    expect(server.connections).toHaveLength(1);
    client.close();
    await server.connections[0]?.closed;
  });
});
