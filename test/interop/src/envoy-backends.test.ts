import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';

import * as grpc from '@grpc/grpc-js';
import {
  forwardRoute,
  mcpRoute,
  type ModernMcpServer,
  RawMcpClient,
  startModernMcpServer,
  testAuthority,
} from '@signalbox/test-harness';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { startTwoDataPlanes, type TwoDataPlanes } from './two-data-planes.ts';

const binary = inject('envoy');
const bytes = (value: Buffer): Buffer => value;
const codec = {
  requestSerialize: bytes,
  requestDeserialize: bytes,
  responseSerialize: bytes,
  responseDeserialize: bytes,
};

/** Says hello, three times over, or fails with a reason in its trailers. */
const greeter = {
  hello: { path: '/acme/greeter/Hello', requestStream: false, responseStream: false, ...codec },
  many: { path: '/acme/greeter/Many', requestStream: false, responseStream: true, ...codec },
  secret: { path: '/acme/greeter/Secret', requestStream: false, responseStream: false, ...codec },
};

function startGreeter(): Promise<{ port: number; server: grpc.Server }> {
  const server = new grpc.Server();
  server.addService(greeter, {
    hello: ({ request, metadata }: grpc.ServerUnaryCall<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) => {
      if (request.length > 0)
        return done(null, Buffer.from(['hello', request.toString(), ...metadata.get('x-kept')].join(' ')));
      const trailers = new grpc.Metadata();
      trailers.set('x-reason', 'empty');
      return done({ code: grpc.status.INVALID_ARGUMENT, details: 'say who', metadata: trailers });
    },
    many: (call: grpc.ServerWritableStream<Buffer, Buffer>) => {
      for (const text of ['1', '2', '3']) call.write(Buffer.from(text));
      call.end();
    },
    secret: (_call: unknown, done: grpc.sendUnaryData<Buffer>) => done(null, Buffer.from('secret')),
  });
  return new Promise((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, port) => {
      if (error) reject(error);
      else resolve({ port, server });
    });
  });
}

describe.skipIf(binary === '')('backends behind a stock Envoy and our proxy', () => {
  let folder: string;
  let secure: Server;
  let mcp: ModernMcpServer;
  let greeting: grpc.Server;
  let planes: TwoDataPlanes;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'signalbox-backends-'));
    const authority = await testAuthority(join(folder, 'authority'));
    const own = await authority.write('server');
    const shown = await authority.write('client', { uri: 'urn:gateway' });
    await mkdir(join(folder, 'certificates/acme/gateway'), { recursive: true });
    await writeFile(join(folder, 'certificates/acme/gateway/tls.crt'), shown.cert);
    await writeFile(join(folder, 'certificates/acme/gateway/tls.key'), shown.key);
    const tls = { cert: own.cert, key: own.key, ca: authority.ca, requestCert: true, rejectUnauthorized: false };
    secure = createServer(tls, (request, response) => {
      response.end(String((request.socket as TLSSocket).getPeerCertificate().subjectaltname ?? 'nobody'));
    }).listen(0, '127.0.0.1');
    await once(secure, 'listening');
    mcp = await startModernMcpServer();
    const started = await startGreeter();
    greeting = started.server;
    const url = `https://127.0.0.1:${(secure.address() as AddressInfo).port}`;
    const caCertificates = authority.ca.toString();
    const https = (name: string, settings: object) =>
      forwardRoute({ name, kind: 'http', url, anonymous: true, rules: ['true'], backend: { tls: settings } });
    planes = await startTwoDataPlanes(
      binary,
      [
        ...https('trusted', { caCertificates }),
        ...https('named', { caCertificates, hostname: 'localhost' }),
        ...https('shown', { caCertificates, clientCertificate: 'gateway' }),
        ...https('insecure', { verification: 'INSECURE' }),
        ...https('strange', {}),
        ...https('misnamed', { caCertificates, hostname: 'other.example' }),
        ...forwardRoute({
          ...{ name: 'greeter', kind: 'grpc', url: `http://127.0.0.1:${started.port}`, anonymous: true },
          rules: ['http.method == "POST" && http.path != "/acme/greeter/Secret"'],
          route: { unenforceable: 'RESTRICT' },
        }),
        ...limited(mcpRoute({ name: 'paced', url: mcp.url, anonymous: true, rules: ['true'] })),
      ],
      join(folder, 'certificates'),
    );
  });

  afterAll(async () => {
    await planes?.stop();
    await mcp?.stop();
    greeting?.forceShutdown();
    secure?.close();
    await rm(folder, { recursive: true, force: true });
  });

  const limited = (resources: ReturnType<typeof mcpRoute>) =>
    resources.map((resource) =>
      resource['kind'] === 'Policy'
        ? { ...resource, spec: { ...(resource['spec'] as object), limits: { callsPerMinute: 1, burst: 2 } } }
        : resource,
    );

  it('are accepted by Envoy, keys and all', () => {
    expect(planes.discovery.refusals).toEqual([]);
  });

  it.each([
    ['trusted', 200, 'nobody'],
    ['named', 200, 'nobody'],
    ['shown', 200, 'URI:urn:gateway'],
    ['insecure', 200, 'nobody'],
    ['strange', 'failed', ''],
    ['misnamed', 'failed', ''],
  ])('speak TLS as they should: %s', async (name, status, body) => {
    for (const origin of Object.values(planes.origins)) {
      const answer = await fetch(`${origin}/acme/${name}/x`);
      const text = await answer.text();
      const seen = answer.status < 500 ? [answer.status, text] : ['failed', ''];
      expect(seen).toEqual([status, body]);
    }
  });

  const client = () => new grpc.Client(new URL(planes.origins.envoys).host, grpc.credentials.createInsecure());
  const unary = (path: string, text: string): Promise<string> => {
    const metadata = new grpc.Metadata();
    metadata.set('x-kept', 'kept');
    const one = client();
    return new Promise<string>((resolve, reject) => {
      one.makeUnaryRequest(path, bytes, bytes, Buffer.from(text), metadata, (error, answer) => {
        if (error) reject(error);
        else resolve(String(answer));
      });
    }).finally(() => one.close());
  };

  it('carry gRPC through Envoy: calls, streams, metadata and trailers', async () => {
    expect(await unary(greeter.hello.path, 'you')).toBe('hello you kept');
    const failed = await unary(greeter.hello.path, '').catch((error: unknown) => error as grpc.ServiceError);
    expect(failed).toMatchObject({ code: grpc.status.INVALID_ARGUMENT, details: 'say who' });
    expect((failed as grpc.ServiceError).metadata.get('x-reason')).toEqual(['empty']);
    const one = client();
    const texts: string[] = [];
    for await (const text of one.makeServerStreamRequest(greeter.many.path, bytes, bytes, Buffer.from('x'))) {
      texts.push(String(text));
    }
    one.close();
    expect(texts).toEqual(['1', '2', '3']);
  });

  it('deny gRPC methods that rules deny', async () => {
    await expect(unary(greeter.secret.path, 'x')).rejects.toMatchObject({ code: grpc.status.PERMISSION_DENIED });
  });

  it('count calls of MCP on both, and nothing but calls', async () => {
    for (const url of [planes.ours('paced'), planes.envoys('paced')]) {
      const send = (method: string, params: object = {}) => new RawMcpClient({ url }).modern(method, { ...params });
      for (let i = 0; i < 4; i += 1) expect((await send('tools/list')).status).toBe(200);
      const before = mcp.requests.of('tools/call').length;
      for (let i = 0; i < 4; i += 1) await send('tools/call', { name: 'read' });
      expect(mcp.requests.of('tools/call').length).toBe(before + 2);
    }
  });
});
