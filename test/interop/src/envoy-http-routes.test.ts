import { type IncomingMessage, request, type RequestListener } from 'node:http';

import {
  forwardRoute,
  type HttpFixture,
  type JwtIssuer,
  readBody,
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

describe.skipIf(binary === '')('a stock Envoy serves HTTP routes as our proxy does', () => {
  let issuer: JwtIssuer;
  let upstream: HttpFixture;
  let planes: TwoDataPlanes;
  const seen: Seen[] = [];
  /** Statuses that the upstream answers with, in order; 200 after them. */
  const statuses: number[] = [];
  const credentials = new Map<string, string>();

  const service: RequestListener = ({ method, url, headers }, response) => {
    seen.push({ method, url, headers });
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
      ...{ name: 'limited', kind: 'http', url: upstream.origin, jwt: issuer, anonymous: true, rules: ['true'] },
      limits: { callsPerMinute: 1, burst: 2, per: ['PRINCIPAL'] },
    }),
  ];

  beforeAll(async () => {
    [issuer, upstream] = [await startJwtIssuer(), await startHttpFixture(service)];
    for (const name of ['ops', 'team'] as const) {
      credentials.set(name, `Bearer ${await issuer.token(name, { claims: callers[name] })}`);
    }
    credentials.set('garbage', 'Bearer not-a-token');
    const routes = Object.entries(httpRoutes).flatMap(([name, { base = '', ...rest }]) =>
      forwardRoute({ name, kind: 'http', url: upstream.origin + base, jwt: issuer, ...rest }),
    );
    planes = await startTwoDataPlanes(binary, [...routes, ...special()]);
  });

  afterAll(async () => {
    await planes?.stop();
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
    const authorization = credentials.get(caller);
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

  it('limits calls of each caller, and says when there is room', async () => {
    for (const origin of Object.values(planes.origins)) {
      const call = (caller: string): Promise<Answer> => {
        const authorization = credentials.get(caller);
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
