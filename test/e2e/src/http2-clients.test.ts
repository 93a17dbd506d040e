import { Client, credentials, type handleUnaryCall, Metadata, Server, ServerCredentials, status } from '@grpc/grpc-js';
import {
  type ClientHttp2Session,
  connect,
  createSecureServer,
  type Http2SecureServer,
  type IncomingHttpHeaders,
} from 'node:http2';
import type { AddressInfo } from 'node:net';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  forwardRoute,
  gateway,
  type HttpFixture,
  type LegacyMcpServer,
  legacyVersion,
  mcpRoute,
  readBody,
  startHttpFixture,
  startLegacyMcpServer,
  startSystem,
  type System,
  tenant,
  type TestAuthority,
  testAuthority,
  until,
} from '@signalbox/test-harness';
import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from 'vitest';

const keys = { alice: 'alice-key' };
let authority: TestAuthority;
let upstream: LegacyMcpServer;
let system: System;
let service: HttpFixture;
let grpc: Server;
let modern: Http2SecureServer;
let folder: string;
const sessions: ClientHttp2Session[] = [];
const route = (rules: readonly string[]) => mcpRoute({ name: 'assistant', url: upstream.url, keys, rules });

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'signalbox-h2-'));
  authority = await testAuthority(folder);
  const certificate = await authority.write('proxy');
  upstream = await startLegacyMcpServer();
  service = await startHttpFixture((request, response) => void readBody(request).then((body) => response.end(body)));
  modern = createSecureServer({ cert: certificate.cert, key: certificate.key });
  modern.on('stream', (stream, headers) => {
    stream.respond({ ':status': 200, 'x-stream': String(stream.id), 'x-path': String(headers[':path']) });
    stream.pipe(stream);
  });
  await new Promise<void>((resolve) => void modern.listen(0, '127.0.0.1', resolve));
  grpc = new Server();
  const greeter = `http://127.0.0.1:${await startGreeter(grpc)}`;
  system = await startSystem({ pgUrl: inject('pgUrl'), settings: { SIGNALBOX_PROXY_HTTP2: 'always' } });
  await system.apply([
    ...[gateway(), tenant(), ...route(['true'])],
    ...forwardRoute({ name: 'echo', kind: 'http', url: service.origin, keys, rules: ['true'] }),
    ...forwardRoute({
      ...{ name: 'modern', kind: 'http', url: `https://127.0.0.1:${(modern.address() as AddressInfo).port}/v2`, keys },
      ...{ rules: ['true'], backend: { tls: { caCertificates: authority.ca.toString() } } },
    }),
    ...forwardRoute({
      ...{ name: 'greeter', kind: 'grpc', url: greeter, keys },
      rules: ['http.path == "/acme/greeter/Hello" && http.headers["content-type"] == "application/grpc"'],
    }),
  ]);
  const tls = { SIGNALBOX_PROXY_TLS_CERT: certificate.certFile, SIGNALBOX_PROXY_TLS_KEY: certificate.keyFile };
  await system.startNode(tls);
  await system.startNode({ ...tls, SIGNALBOX_PROXY_HTTP_CODEC: 'node' });
});

afterAll(async () => {
  await system.stop();
  await upstream.stop();
  await service.stop();
  grpc.forceShutdown();
  modern.close();
  await rm(folder, { recursive: true, force: true });
});

afterEach(() => {
  for (const session of sessions.splice(0)) session.destroy();
});

const asIs = (bytes: Buffer) => bytes;

/** Says hello, with trailers, to whoever says who it is; others are an error. @returns its port. */
function startGreeter(server: Server): Promise<number> {
  const codecs = {
    requestSerialize: asIs,
    requestDeserialize: asIs,
    responseSerialize: asIs,
    responseDeserialize: asIs,
  };
  const method = { path: '/acme/greeter/Hello', requestStream: false, responseStream: false, ...codecs };
  const hello: handleUnaryCall<Buffer, Buffer> = ({ request }, answer) => {
    const trailers = new Metadata();
    trailers.set('x-length', String(request.length));
    if (request.length === 0) answer({ code: status.INVALID_ARGUMENT, details: 'who?' });
    else answer(null, Buffer.from(`hello ${request.toString()}`), trailers);
  };
  server.addService({ Hello: method }, { Hello: hello });
  return new Promise((resolve, reject) => {
    const bound = (error: Error | null, port: number): void => (error ? reject(error) : resolve(port));
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), bound);
  });
}

interface Http2Answer {
  readonly head: IncomingHttpHeaders & { ':status'?: number | undefined };
  /** What came so far; all of it when `ended` has resolved. */
  readonly text: () => string;
  readonly ended: Promise<void>;
}

function dial(node: number, scheme: 'http' | 'https'): ClientHttp2Session {
  const port = system.node(node).proxy.listeners()[0]?.port ?? 0;
  const session = connect(`${scheme}://localhost:${port}`, { ca: authority.ca });
  session.on('error', () => undefined);
  sessions.push(session);
  return session;
}

function send(session: ClientHttp2Session, headers: Record<string, string>, message?: object): Promise<Http2Answer> {
  const stream = session.request({
    ':method': message ? 'POST' : 'GET',
    ':path': '/acme/assistant/mcp',
    authorization: 'Bearer alice-key',
    accept: message ? 'application/json, text/event-stream' : 'text/event-stream',
    ...(message && { 'content-type': 'application/json' }),
    ...headers,
  });
  let text = '';
  stream.setEncoding('utf8').on('data', (piece: string) => void (text += piece));
  const ended = new Promise<void>((resolve) => void stream.on('close', resolve));
  stream.end(message && JSON.stringify(message));
  return new Promise((resolve, reject) => {
    stream.on('error', reject).on('response', (head) => resolve({ head, text: () => text, ended }));
  });
}

async function initialize(session: ClientHttp2Session): Promise<Record<string, string>> {
  const params = { protocolVersion: legacyVersion, capabilities: {}, clientInfo: { name: 'test', version: '1' } };
  const answer = await send(session, {}, { jsonrpc: '2.0', id: 0, method: 'initialize', params });
  await answer.ended;
  expect(answer.head[':status']).toBe(200);
  return { 'mcp-session-id': String(answer.head['mcp-session-id']), 'mcp-protocol-version': legacyVersion };
}

async function textOf(stream: AsyncIterable<unknown>): Promise<string> {
  let text = '';
  for await (const chunk of stream) text += String(chunk);
  return text;
}

describe.each([
  ['prior knowledge', 0, 'http'],
  ['TLS', 1, 'https'],
  ['TLS, beside the codec of Node.js', 2, 'https'],
] as const)('an agent that speaks HTTP/2 by %s', (_, node, scheme) => {
  it('initializes, lists and calls tools, over one connection', async () => {
    const session = dial(node, scheme);
    const headers = await initialize(session);
    const answers = await Promise.all(
      ['tools/list', 'tools/call'].map((method, id) => {
        const params = method === 'tools/call' ? { name: 'echo', arguments: { text: 'hi' } } : {};
        return send(session, headers, { jsonrpc: '2.0', id, method, params });
      }),
    );
    await Promise.all(answers.map(({ ended }) => ended));
    expect(answers[0]?.text()).toContain('slow_progress');
    expect(answers[1]?.text()).toContain('hi');
    const events = await until('its events', async () => {
      const all = (await system.node(node).events()).filter(({ tool }) => tool === 'echo');
      return all.length > 0 ? all : undefined;
    });
    expect(events[0]).toMatchObject({ status: 200, error: '', principal: 'api-key:alice' });
    expect(events[0]?.responseBytes).toBe(Buffer.byteLength(answers[1]?.text() ?? ''));
  });

  it('sends a body of which it does not say the length to an HTTP service', async () => {
    const headers = { ':method': 'POST', ':path': '/acme/echo', authorization: 'Bearer alice-key' };
    const stream = dial(node, scheme).request(headers);
    stream.end('without a length');
    expect(await textOf(stream)).toBe('without a length');
  });

  it('calls a gRPC service, and hears of its own errors and of those of the gateway', async () => {
    const port = system.node(node).proxy.listeners()[0]?.port ?? 0;
    const secure = credentials.createSsl(Buffer.from(authority.ca));
    const client = new Client(`localhost:${port}`, scheme === 'https' ? secure : credentials.createInsecure());
    const metadata = new Metadata();
    metadata.set('authorization', 'Bearer alice-key');
    const call = (text: string, path = '/acme/greeter/Hello') =>
      new Promise<[number, string, unknown]>((resolve) => {
        let said = '';
        const answered = (_: unknown, answer?: Buffer) => void (said = answer?.toString() ?? '');
        client
          .makeUnaryRequest(path, asIs, asIs, Buffer.from(text), metadata, answered)
          .on('status', ({ code, details, metadata: trailers }) => {
            queueMicrotask(() => resolve([code, said || details, trailers.get('x-length')[0]]));
          });
      });
    expect(await call('alice')).toEqual([status.OK, 'hello alice', '5']);
    expect(await call('')).toEqual([status.INVALID_ARGUMENT, 'who?', undefined]);
    expect(await call('alice', '/acme/greeter/Other')).toEqual([
      status.PERMISSION_DENIED,
      'Not allowed here',
      undefined,
    ]);
    client.close();
  });

  it('is told where to get a token', async () => {
    const answer = await send(dial(node, scheme), { authorization: '' }, { jsonrpc: '2.0', id: 0, method: 'ping' });
    await answer.ended;
    expect(answer.head).toMatchObject({
      ':status': 401,
      'www-authenticate': expect.stringContaining('Bearer') as string,
    });
  });

  it('hears of changed tools on its GET stream, and of a withdrawn permission', async () => {
    const session = dial(node, scheme);
    const headers = await initialize(session);
    await (
      await send(session, headers, { jsonrpc: '2.0', id: 1, method: 'tools/list' })
    ).ended;
    const stream = await send(session, headers);
    expect(stream.head['content-type']).toBe('text/event-stream');
    await system.apply(route(['tool.name == "echo"']));
    await until('the change', () => (stream.text().includes('tools/list_changed') ? true : undefined));
    await system.apply(mcpRoute({ name: 'assistant', url: upstream.url, keys: { bob: 'bob-key' }, rules: ['true'] }));
    await stream.ended;
    expect(stream.text()).toContain('"reason":"revoked"');
    await system.apply(route(['true']));
  });
});

it('a backend that agrees on HTTP/2 in its handshake is spoken to in it, over one connection, whoever asks', async () => {
  const port = system.node(0).proxy.listeners()[0]?.port ?? 0;
  const authorization = 'Bearer alice-key';
  const ask = async (body: string) => {
    const answer = await fetch(`http://localhost:${port}/acme/modern/a?b`, {
      ...{ method: 'POST', headers: { authorization }, body },
    });
    return [answer.status, answer.headers.get('x-path'), await answer.text(), Number(answer.headers.get('x-stream'))];
  };
  expect(await ask('one')).toEqual([200, '/v2/a?b', 'one', 1]);
  const answers = await Promise.all(['two', 'three'].map(ask));
  expect(new Set(answers.map(([, , , stream]) => stream))).toEqual(new Set([3, 5]));
});

it('an agent that speaks HTTP/2 is asked to leave by a node that stops, after its answer', async () => {
  const node = await system.startNode({ SIGNALBOX_PROXY_DRAIN_DEADLINE: '5000' });
  const index = 3;
  const session = dial(index, 'http');
  const headers = await initialize(session);
  const params = { name: 'slow_progress', arguments: { key: 'last' } };
  const answer = send(session, headers, { jsonrpc: '2.0', id: 1, method: 'tools/call', params });
  const held = await upstream.held.withKey('last');
  const stopped = node.proxy.stop(5_000, 0);
  held.finish('done');
  const { text, ended } = await answer;
  await ended;
  expect(text()).toContain('done');
  await stopped;
  await until('the connection to end', () => (session.closed ? true : undefined));
});
