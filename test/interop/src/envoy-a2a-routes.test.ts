import { forwardRoute, type HttpFixture, readBody, startHttpFixture } from '@signalbox/test-harness';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { a2aCases, a2aRoutes } from './a2a-cases.ts';
import { startTwoDataPlanes, type TwoDataPlanes } from './two-data-planes.ts';

const binary = inject('envoy');

describe.skipIf(binary === '')('a stock Envoy serves agents as our proxy does', () => {
  let agent: HttpFixture;
  let planes: TwoDataPlanes;
  /** Bodies that reached the agent. */
  const seen: string[] = [];

  beforeAll(async () => {
    agent = await startHttpFixture((request, response) => {
      void readBody(request).then((body) => {
        seen.push(`${request.url} ${body}`);
        if (!body.includes('Streaming')) return response.end('{"jsonrpc":"2.0","id":1,"result":{}}');
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        return response.end('data: 1\n\ndata: 2\n\n');
      });
    });
    const routes = Object.entries(a2aRoutes).flatMap(([name, rules]) =>
      forwardRoute({
        ...{ name, kind: 'a2a', url: `${agent.origin}/a2a`, anonymous: true, rules },
        route: { unenforceable: 'RESTRICT' },
      }),
    );
    planes = await startTwoDataPlanes(binary, routes);
  });

  afterAll(async () => {
    await planes?.stop();
    await agent?.stop();
  });

  it('accepts every resource, without their cards', () => {
    expect(new Set(planes.problems.map(({ message }) => message.split(';')[0]))).toEqual(
      new Set(['Envoy cannot rewrite the card of an agent, and does not serve it']),
    );
    expect(planes.discovery.refusals).toEqual([]);
  });

  it.each(a2aCases)('%s: version %s, %s: %s %j', async (...[route, version, body, verdict, more]) => {
    const { path = '', method = 'POST', type = 'application/json', accept = '*/*' } = more;
    const headers = { 'content-type': type, accept, ...(version === undefined ? {} : { 'a2a-version': version }) };
    const verdictOf = async (origin: string): Promise<string> => {
      const before = seen.length;
      const { status } = await fetch(`${origin}/acme/${route}${path}`, { method, headers, body });
      if (seen.length === before) return 'deny';
      return status === 200 ? 'allow' : `allow, but answered ${status}`;
    };
    const ours = await verdictOf(planes.origins.ours);
    const envoys = await verdictOf(planes.origins.envoys);
    expect({ ours, envoys }).toEqual({ ours: verdict, envoys: verdict });
  });

  it('sends requests on as they came, and streams back', async () => {
    const body =
      ' {"jsonrpc":"2.0","id":"x","method":"SendStreamingMessage","params":{"message":{"n":9007199254740993}}}';
    const headers = { 'content-type': 'application/json', 'a2a-version': '1.0' };
    for (const origin of Object.values(planes.origins)) {
      const answer = await fetch(`${origin}/acme/any`, { method: 'POST', headers, body });
      expect([answer.headers.get('content-type'), await answer.text()]).toEqual([
        'text/event-stream',
        'data: 1\n\ndata: 2\n\n',
      ]);
      expect(seen.at(-1)).toBe(`/a2a ${body}`);
    }
  });
});
