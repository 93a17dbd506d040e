import { connect, constants, type ClientHttp2Session } from 'node:http2';
import { once } from 'node:events';
import { connect as connectSocket } from 'node:net';

import { create } from '@bufbuild/protobuf';
import { Client, compressionAlgorithms, credentials, type ServiceError } from '@grpc/grpc-js';
import {
  type IdentifyNodeRequest,
  IdentifyNodeRequestSchema,
  type IdentifyNodeResponse,
  IdentifyNodeResponseSchema,
  RelayService,
} from '@signalbox/proto/signalbox/node/v1/relay_service_pb.ts';
import { ManualClock } from '@signalbox/runtime/testing';
import { describe, expect, it, onTestFinished } from 'vitest';

import type { GrpcConnectionLimits } from './grpc-connection.ts';
import { GrpcServer } from './grpc-server.ts';
import { serviceDefinition } from './service-definition.ts';
import { CallFailure, handleUnary, type UnaryCall } from './unary-method.ts';

const limits: GrpcConnectionLimits = {
  ...{ maxRequestBytes: 1_000, keepaliveIntervalMs: 10_000, keepaliveTimeoutMs: 5_000 },
  ...{ maxConnectionAgeMs: 60_000, connectionAgeGraceMs: 1_000, maxStreamsPerConnection: 10 },
};

type Answer = (call: UnaryCall<IdentifyNodeRequest>) => Promise<IdentifyNodeResponse>;

async function serve(answer: Answer): Promise<{ clock: ManualClock; port: number; server: GrpcServer }> {
  const clock = new ManualClock();
  const server = new GrpcServer({ clock, limits });
  handleUnary(server, RelayService.method.identifyNode, answer);
  const port = await server.listen({ host: '127.0.0.1', port: 0 });
  onTestFinished(() => server.destroy());
  return { clock, port, server };
}

const named = async () => create(IdentifyNodeResponseSchema, { name: 'node' });

async function ask(port: number, request: { text?: string; path?: string; compress?: boolean } = {}) {
  const { text = 'x', path = `/${RelayService.typeName}/IdentifyNode`, compress = false } = request;
  const gzip = { 'grpc.default_compression_algorithm': compressionAlgorithms.gzip };
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), compress ? gzip : {});
  onTestFinished(() => client.close());
  const { requestSerialize, responseDeserialize } = serviceDefinition(RelayService)['identifyNode'] ?? {};
  const message = create(IdentifyNodeRequestSchema, { credential: { case: 'token', value: { id: text } } });
  return new Promise<string>((resolve) => {
    const done = (error: ServiceError | null, response?: IdentifyNodeResponse) =>
      resolve(error ? `${error.code} ${error.details}` : (response?.name ?? ''));
    if (requestSerialize && responseDeserialize) {
      client.makeUnaryRequest(path, requestSerialize, responseDeserialize, message, done as never);
    }
  });
}

async function session(port: number): Promise<ClientHttp2Session> {
  const client = connect(`http://127.0.0.1:${port}`);
  client.on('error', () => undefined);
  onTestFinished(() => client.destroy());
  await once(client, 'remoteSettings');
  return client;
}

describe('GrpcServer', () => {
  it('answers a call of a client of gRPC, and knows where it comes from', async () => {
    const { port } = await serve(async ({ request, peer }) =>
      create(IdentifyNodeResponseSchema, { name: `${request.credential.case} ${peer.split(':')[0]}` }),
    );
    expect(await ask(port)).toBe('token 127.0.0.1');
  });

  it('tells the caller the status and text of a failure, whatever characters it has', async () => {
    const { port } = await serve(() => Promise.reject(new CallFailure(5, '100 % of “nodes”\nare unknown')));
    expect(await ask(port)).toBe('5 100 % of “nodes”\nare unknown');
  });

  it('says nothing to the caller of an error that was not made for it', async () => {
    const { port } = await serve(() => Promise.reject(new Error('secret')));
    expect(await ask(port)).toBe('13 internal error');
  });

  it('refuses a request above the limit, a compressed one, and a method that it does not have', async () => {
    const { port } = await serve(named);
    expect(await ask(port, { text: 'x'.repeat(1_001) })).toBe('8 a message has more than 1000 bytes');
    expect(await ask(port, { compress: true })).toMatch(/^12 compressed messages/);
    expect(await ask(port, { path: '/some.Service/Method' })).toBe('12 there is no method /some.Service/Method');
  });

  it('answers what is no gRPC with a status of HTTP', async () => {
    const { port } = await serve(named);
    const client = await session(port);
    const statusOf = async (headers: Record<string, string>) => {
      const stream = client.request(headers, { endStream: true });
      const [head] = (await once(stream, 'response')) as [Record<string, number>];
      return head[constants.HTTP2_HEADER_STATUS];
    };
    expect(await statusOf({ ':method': 'GET', ':path': '/' })).toBe(405);
    expect(await statusOf({ ':method': 'POST', ':path': '/', 'content-type': 'text/plain' })).toBe(415);
  });

  it('tells a connection to go that has reached its age, and cuts it after the grace', async () => {
    const { port, clock } = await serve(named);
    const client = await session(port);
    const stream = client.request({
      ':method': 'POST',
      ':path': '/signalbox.node.v1.RelayService/IdentifyNode',
      'content-type': 'application/grpc',
    });
    stream.on('error', () => undefined);
    const gone = once(client, 'goaway');
    const closed = once(client, 'close');
    await clock.advance(61_000);
    const [code] = (await gone) as [number];
    expect(code).toBe(constants.NGHTTP2_NO_ERROR);
    expect(stream.destroyed).toBe(false);
    await clock.advance(2_000);
    await closed;
  });

  it('asks a silent connection whether it is there, and keeps one that answers', async () => {
    const { port, clock } = await serve(named);
    const client = await session(port);
    for (const _round of [1, 2]) {
      const asked = once(client, 'ping');
      await clock.advance(12_000);
      await asked;
      // What the client answers arrives before what it sends next.
      await new Promise<void>((resolve) => client.ping(() => resolve()));
    }
    expect(client.closed).toBe(false);
  });

  it('cuts a connection that does not answer', async () => {
    const { port, clock } = await serve(named);
    const socket = connectSocket(port, '127.0.0.1');
    onTestFinished(() => void socket.destroy());
    const emptySettings = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);
    const ping = Buffer.from([0, 0, 8, 6, 0]);
    const asked = new Promise<void>((resolve) => {
      socket.on('data', (bytes: Buffer) => bytes.includes(ping) && resolve());
    });
    socket.write(Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), emptySettings]));
    await once(socket, 'data');
    const closed = once(socket, 'close');
    await clock.advance(11_000);
    await asked;
    await clock.advance(6_000);
    await closed;
    expect(socket.destroyed).toBe(true);
  });

  it('lets a call finish when it closes, and takes no other', async () => {
    const begun = Promise.withResolvers<void>();
    const go = Promise.withResolvers<void>();
    const { port, server } = await serve(async () => {
      begun.resolve();
      await go.promise;
      return named();
    });
    const answered = ask(port);
    await begun.promise;
    const closed = server.close();
    go.resolve();
    expect(await answered).toBe('node');
    await closed;
    expect(await ask(port)).toMatch(/^14 /);
  });
});
