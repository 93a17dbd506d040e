import { type IncomingMessage, request, type RequestListener } from 'node:http';

import {
  Client,
  credentials,
  type handleUnaryCall,
  Metadata,
  Server,
  ServerCredentials,
  status,
  type StatusObject,
} from '@grpc/grpc-js';

import {
  forwardRoute,
  type HttpFixture,
  type JwtIssuer,
  mcpRoute,
  readBody,
  type ResourceFile,
  startHttpFixture,
  startJwtIssuer,
} from '@signalbox/test-harness';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { callers } from './cases.ts';
import { httpCases, httpRoutes } from './http-cases.ts';
import { startTwoDataPlanes, type TwoDataPlanes } from './two-data-planes.ts';

const binary = inject('envoy');

interface Seen {
  readonly method: string | undefined;
  readonly url: string | undefined;
  readonly headers: IncomingMessage['headers'];
}

interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

const asIs = (bytes: Buffer) => bytes;
const initializeParams = {
  protocolVersion: '2025-11-25',
  capabilities: {},
  clientInfo: { name: 'test', version: '1' },
};

/** Says how long a request is, in its trailers. @returns its port. */
function startGreeter(server: Server): Promise<number> {
  const codecs = {
    requestSerialize: asIs,
    requestDeserialize: asIs,
    responseSerialize: asIs,
    responseDeserialize: asIs,
  };
  const hello: handleUnaryCall<Buffer, Buffer> = ({ request: { length } }, answer) => {
    const trailers = new Metadata();
    trailers.set('x-length', String(length));
    if (length === 0) answer({ code: status.INVALID_ARGUMENT, details: 'who?' });
    else answer(null, Buffer.from('hello'), trailers);
  };
  const method = { path: '/acme/greeter/Hello', requestStream: false, responseStream: false, ...codecs };
  server.addService({ Hello: method }, { Hello: hello });
  return new Promise((resolve, reject) => {
    const bound = (error: Error | null, port: number): void => (error ? reject(error) : resolve(port));
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), bound);
  });
}

/** Header rules on a route. */
function withHeaders(resource: ResourceFile): ResourceFile {
  if (resource['kind'] !== 'Route') return resource;
  const changes = {
    requestHeaderModifier: { set: [{ name: 'x-team', value: 'agents' }] },
    responseHeaderModifier: { set: [{ name: 'x-answer', value: 'yes' }] },
  };
  return { ...resource, spec: { ...(resource['spec'] as ResourceFile), ...changes } };
}

describe.skipIf(binary === '')('a stock Envoy serves HTTP routes as our proxy does', () => {
  let issuer: JwtIssuer;
  let upstream: HttpFixture;
  let planes: TwoDataPlanes;
  const greeter = new Server();
  let greeterPort = 0;
  const seen: Seen[] = [];
  /** Statuses that the upstream answers with, in order; 200 after them. */
  const statuses: number[] = [];
  const tokens = new Map<string, string>();

  const service: RequestListener = ({ method, url, headers }, response) => {
    seen.push({ method, url, headers });
    if (url === '/hold') return;
    response.setHeader('set-cookie', 'a=b').setHeader('x-internal', '1').statusCode = statuses.shift() ?? 200;
    response.end('ok');
  };

  const special = () => [
    ...forwardRoute({
      ...{ name: 'changed', kind: 'http', url: `${upstream.origin}/base/`, anonymous: true, rules: ['true'] },
      route: {
        requestHeaderModifier: {
          set: [{ name: 'x-team', value: '100%' }],
          add: [{ name: 'x-tag', value: 'b' }],
          remove: ['x-debug'],
        },
        responseHeaderModifier: { set: [{ name: 'x-answer', value: 'yes' }], remove: ['x-internal'] },
      },
    }),
    ...forwardRoute({
      ...{ name: 'retried', kind: 'http', url: upstream.origin, anonymous: true, rules: ['true'] },
      route: { retry: { attempts: 2, codes: [503] }, timeouts: { request: '5s' } },
    }),
    ...forwardRoute({
      ...{ name: 'timed', kind: 'http', url: upstream.origin, anonymous: true, rules: ['true'] },
      route: { timeouts: { request: '1m' } },
      limits: { timeout: '300ms' },
    }),
    ...mcpRoute({ name: 'assistant', url: `${upstream.origin}/mcp`, anonymous: true, rules: ['true'] }).map(
      withHeaders,
    ),
    ...forwardRoute({
      ...{ name: 'greeter', kind: 'grpc', url: `http://127.0.0.1:${greeterPort}`, anonymous: true },
      rules: ['http.path in ["/acme/greeter/Hello", "/acme/greeter/Missing"]'],
    }),
    ...forwardRoute({
      ...{ name: 'limited', kind: 'http', url: upstream.origin, jwt: issuer, anonymous: true, rules: ['true'] },
      limits: { callsPerMinute: 1, burst: 2, per: ['PRINCIPAL'] },
    }),
  ];

  beforeAll(async () => {
    greeterPort = await startGreeter(greeter);
    [issuer, upstream] = [await startJwtIssuer(), await startHttpFixture(service)];
    for (const name of ['ops', 'team'] as const) {
      tokens.set(name, `Bearer ${await issuer.token(name, { claims: callers[name] })}`);
    }
    tokens.set('garbage', 'Bearer not-a-token');
    const routes = Object.entries(httpRoutes).flatMap(([name, { base = '', ...rest }]) =>
      forwardRoute({ name, kind: 'http', url: upstream.origin + base, jwt: issuer, ...rest }),
    );
    planes = await startTwoDataPlanes(binary, [...routes, ...special()]);
  });

  afterAll(async () => {
    await planes?.stop();
    greeter.forceShutdown();
    await upstream?.stop();
    await issuer?.stop();
  });

  /** The path goes out as it is written: no client may make another one of it. */
  const send = (
    origin: string,
    method: string,
    path: string,
    headers: Record<string, string> = {},
  ): Promise<Answer> => {
    const { hostname, port } = new URL(origin);
    return new Promise((resolve, reject) => {
      const sent = request({ hostname, port, method, path, headers }, (response) => {
        readBody(response).then(
          (body) => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }),
          reject,
        );
      });
      sent.on('error', reject).end();
    });
  };

  const both = async (method: string, path: string, headers: Record<string, string> = {}): Promise<Answer[]> => [
    await send(planes.origins.ours, method, path, headers),
    await send(planes.origins.envoys, method, path, headers),
  ];

  it('accepts every resource, without reservations', () => {
    expect(planes.problems).toEqual([]);
    expect(planes.discovery.refusals).toEqual([]);
  });

  it.each(httpCases)('%s: %s, %s %s %j: %s', async (...[route, caller, method, rest, given, verdict]) => {
    const authorization = tokens.get(caller);
    const headers = { ...given, ...(authorization === undefined ? {} : { authorization }) };
    const verdictOf = async (origin: string): Promise<string> => {
      const before = seen.length;
      const { status } = await send(origin, method, `/acme/${route}${rest}`, headers);
      if (seen.length === before) return status >= 400 ? 'deny' : `deny, but answered ${status}`;
      return status === 200 ? 'allow' : `allow, but answered ${status}`;
    };
    const ours = await verdictOf(planes.origins.ours);
    const envoys = await verdictOf(planes.origins.envoys);
    expect({ ours, envoys }).toEqual({ ours: verdict, envoys: verdict });
  });

  it.each([
    ['/acme/changed', '/base/'],
    ['/acme/changed/', '/base/'],
    ['/acme/changed/a/b?c=/d', '/base/a/b?c=/d'],
    ['/acme/methods', '/v1'],
    ['/acme/methods/', '/v1/'],
    ['/acme/methods/a?b', '/v1/a?b'],
  ])('sends %s on to %s', async (path, expected) => {
    const before = seen.length;
    await both('GET', path);
    expect(seen.slice(before).map(({ url }) => url)).toEqual([expected, expected]);
  });

  it('changes header fields alike, and keeps the same ones back', async () => {
    const before = seen.length;
    const headers = {
      ...{ 'x-team': 'a', 'x-tag': 'a', 'x-debug': '1', cookie: 'c=d', 'x-forwarded-for': '1.2.3.4' },
      ...{ forwarded: 'for=1.2.3.4', 'x-kept': 'yes' },
    };
    const answers = await both('GET', '/acme/changed/x', headers);
    const names = ['x-team', 'x-tag', 'x-debug', 'cookie', 'forwarded', 'x-kept', 'x-forwarded-for', 'host'];
    const shown = seen.slice(before).map(({ headers: got }) => names.map((name) => got[name]));
    expect(shown[0]).toEqual([
      ...['100%', 'a, b', undefined, undefined, undefined, 'yes', '127.0.0.1', new URL(upstream.origin).host],
    ]);
    const joined = (fields: readonly unknown[] | undefined) =>
      fields?.map((field) => String(field).replace(/, ?/, ','));
    expect(joined(shown[1])).toEqual(joined(shown[0]));
    const answered = answers.map(({ headers: got }) => [got['x-answer'], got['x-internal'], got['set-cookie']]);
    expect(answered).toEqual([
      ['yes', undefined, undefined],
      ['yes', undefined, undefined],
    ]);
  });

  it('retries what does no harm, and nothing else', async () => {
    for (const origin of Object.values(planes.origins)) {
      statuses.push(503, 503);
      expect((await send(origin, 'GET', '/acme/retried')).status).toBe(200);
      statuses.push(503, 503, 503);
      expect((await send(origin, 'GET', '/acme/retried')).status).toBe(503);
      statuses.push(503);
      expect((await send(origin, 'POST', '/acme/retried')).status).toBe(503);
    }
  });

  it('bounds the time of a call by its policy, whatever its route says', async () => {
    for (const origin of Object.values(planes.origins)) {
      expect((await send(origin, 'GET', '/acme/timed/hold')).status).toBe(504);
      expect((await send(origin, 'GET', '/acme/timed/now')).status).toBe(200);
    }
  });

  it('changes header fields of MCP in both directions', async () => {
    const before = seen.length;
    const message = { jsonrpc: '2.0', id: 1, method: 'initialize', params: initializeParams };
    const headers = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };
    for (const origin of Object.values(planes.origins)) {
      const body = JSON.stringify(message);
      const answer = await fetch(`${origin}/acme/assistant/mcp`, { method: 'POST', headers, body });
      expect(answer.headers.get('x-answer')).toBe('yes');
    }
    const shown = seen.slice(before).filter(({ url }) => url === '/mcp');
    expect(shown.map(({ headers: got }) => got['x-team'])).toEqual(['agents', 'agents']);
  });

  it('calls gRPC services, and denies with its status', async () => {
    for (const origin of Object.values(planes.origins)) {
      const client = new Client(new URL(origin).host, credentials.createInsecure());
      const call = (method: string, text: string): Promise<StatusObject> =>
        new Promise((resolve) => {
          client
            .makeUnaryRequest(`/acme/greeter/${method}`, asIs, asIs, Buffer.from(text), () => undefined)
            .on('status', resolve);
        });
      const fine = await call('Hello', 'x');
      expect([fine.code, fine.metadata.get('x-length')]).toEqual([status.OK, ['1']]);
      expect(await call('Hello', '')).toMatchObject({ code: status.INVALID_ARGUMENT, details: 'who?' });
      expect((await call('Missing', 'x')).code).toBe(status.UNIMPLEMENTED);
      expect((await call('Other', 'x')).code).toBe(status.PERMISSION_DENIED);
      client.close();
    }
  });

  it('limits calls of each caller, and says when there is room', async () => {
    for (const origin of Object.values(planes.origins)) {
      const call = (caller: string): Promise<Answer> => {
        const authorization = tokens.get(caller);
        return send(origin, 'GET', '/acme/limited', authorization === undefined ? {} : { authorization });
      };
      const answers = [
        await call('ops'),
        await call('ops'),
        await call('ops'),
        await call('team'),
        await call('nobody'),
      ];
      expect(answers.map(({ status }) => status)).toEqual([200, 200, 429, 200, 200]);
      const { headers } = answers[2] as Answer;
      expect(Number(headers['retry-after'])).toBeGreaterThan(0);
      expect([headers['x-ratelimit-limit'], headers['x-ratelimit-remaining']]).toEqual(['2', '0']);
    }
  });
});
