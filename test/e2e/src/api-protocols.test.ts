import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import { once } from 'node:events';

import { adminClient, type AdminProtocol } from '@signalbox/test-harness';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';

import { type ApiFixture, refusalOf, route, startApi } from './api-fixture.ts';

const requestMs = 500;

let api: ApiFixture;
beforeAll(async () => {
  api = await startApi(inject('pgUrl'), { SIGNALBOX_API_REQUEST_TIMEOUT: String(requestMs) });
  await api.tenants('acme');
});
afterAll(() => api[Symbol.asyncDispose]());

const protocols: readonly AdminProtocol[] = [
  'connect',
  'connect over HTTP/2',
  'gRPC',
  'gRPC-Web',
  'gRPC-Web over HTTP/2',
];

const port = () => Number(new URL(api.url).port);

describe.each(protocols)('%s on the port of the API', (protocol) => {
  const client = (token = api.operatorToken) => adminClient(api.url, token, undefined, protocol);

  it('answers, streams and refuses', async () => {
    const name = `r${protocols.indexOf(protocol)}`;
    const { revision } = await client().config.apply({ scope: 'acme', resources: route('acme', name) });
    const outcomes = [];
    for await (const { propagation } of client().config.watchPropagation({ scope: 'acme', revision })) {
      outcomes.push(propagation?.done);
    }
    expect(outcomes.at(-1)).toBe(true);
    expect(await refusalOf(client('wrong').config.list({ scope: 'acme' }))).toMatchObject({ code: 'Unauthenticated' });
    expect(await refusalOf(client().config.list({ scope: 'nobody' }))).toMatchObject({ code: 'NotFound' });
    const dangling = route('acme', 'dangling').filter(({ kind }) => kind === 'Route');
    const { code, problems } = await refusalOf(client().config.apply({ scope: 'acme', resources: dangling }));
    expect([code, problems[0]?.code]).toEqual(['InvalidArgument', 'dangling-reference']);
  });
});

describe('the port of the API', () => {
  it('refuses gRPC over HTTP/1.1, whose clients would never read the status', async () => {
    const response = await fetch(`${api.url}/signalbox.admin.v1.ConfigService/List`, {
      method: 'POST',
      headers: { 'content-type': 'application/grpc+proto', authorization: `Bearer ${api.operatorToken}` },
      body: 'x',
    });
    expect([response.status, await response.text()]).toEqual([415, expect.stringContaining('HTTP/2')]);
  });

  it('ends a connection that says nothing', async () => {
    const socket = connect(port(), '127.0.0.1');
    socket.resume();
    await once(socket, 'close');
    expect(socket.bytesRead).toBe(0);
  });

  it('takes the first bytes of a connection one by one, whatever they are the first of', async () => {
    const request = `GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n`;
    const socket = connect(port(), '127.0.0.1');
    let answer = '';
    socket.setNoDelay(true).on('data', (chunk: Buffer) => (answer += chunk.toString()));
    for (const byte of request) {
      socket.write(byte);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await once(socket, 'close');
    expect(answer).toMatch(/^HTTP\/1\.1 200 OK[^]*ok\n$/);
  });

  it('gives up a request over HTTP/2 that does not arrive, and goes on with the others of its connection', async () => {
    const session = connectHttp2(api.url);
    const slow = session.request({
      ...{ ':method': 'POST', ':path': '/signalbox.admin.v1.ConfigService/List' },
      ...{ 'content-type': 'application/json', authorization: `Bearer ${api.operatorToken}` },
    });
    slow.write('{');
    slow.on('error', () => undefined);
    await once(slow, 'close');
    expect(slow.rstCode).toBe(8);
    const health = session.request({ ':path': '/healthz' });
    const [headers] = (await once(health, 'response')) as [Record<string, unknown>];
    expect(headers[':status']).toBe(200);
    session.destroy();
  });

  it('ends streams over HTTP/2 when the process stops', async () => {
    const other = await startApi(inject('pgUrl'));
    const admin = adminClient(other.url, other.operatorToken, undefined, 'gRPC');
    const nodes = admin.nodes.watchNodes({})[Symbol.asyncIterator]();
    expect((await nodes.next()).done).toBe(false);
    const [end, inTime] = await Promise.all([refusalOf(nodes.next()), other.running.stop(5_000)]);
    expect([end.code, inTime]).toEqual(['Unavailable', true]);
  });
});
