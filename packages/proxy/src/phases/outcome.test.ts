import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { defaultRequestLimits } from '../mcp/request-limits.ts';
import type { FakeExchange } from '../testing/fake-exchange.ts';
import type { FakeUpstreamCall } from '../testing/fake-upstream.ts';
import { modernMeta, modernVersion, RequestPath } from '../testing/request-path.ts';

/** Everything that can happen to a request after it was sent, in any order and number. */
const happenings = {
  'client leaves': ({ exchange }) => exchange.leave(),
  'client stops taking': ({ exchange }) => void (exchange.taking = false),
  'client takes all': ({ exchange }) => exchange.takeAll(),
  'json head': ({ upstream }) => upstream?.head(200, { 'content-type': 'application/json' }),
  'event head': ({ upstream }) => upstream?.openEvents(),
  'odd head': ({ upstream }) => upstream?.head(200, { 'content-type': 'text/html' }),
  'accepted head': ({ upstream }) => upstream?.head(202),
  'not found head': ({ upstream }) => upstream?.head(404),
  'failure head': ({ upstream }) => upstream?.head(500),
  'some bytes': ({ upstream }) => upstream?.data('{"a":1,'),
  'many bytes': ({ upstream }) => upstream?.data('x'.repeat(70_000)),
  event: ({ upstream }) => upstream?.event({ jsonrpc: '2.0', method: 'notifications/message', params: {} }),
  'result event': ({ upstream }) => upstream?.resultEvent({ tools: [] }),
  answer: ({ upstream }) => upstream?.result({ tools: [], protocolVersion: '2025-11-25' }),
  end: ({ upstream }) => upstream?.end(),
  break: ({ upstream }) => upstream?.fail('closed-early'),
  'no connection': ({ upstream }) => upstream?.fail('connect-failed'),
  'body comes': ({ exchange }) => exchange.deliverBody(),
  'unrelated swap': ({ path, turn }) => path.swap({ revision: turn, deny: [`tool.name == "t${turn}"`] }),
  'withdrawing swap': ({ path, turn }) => path.swap({ revision: turn, apiKeys: {} }),
  'removing swap': ({ path, turn }) => path.swap({ revision: turn, routes: ['other'] }),
  drain: ({ path }) => path.streams.drain(0, AbortSignal.abort()),
  'a minute passes': ({ path }) => path.clock.advance(60_000),
} satisfies Record<string, (scene: Scene) => void | Promise<void>>;

interface Scene {
  readonly path: RequestPath;
  readonly exchange: FakeExchange;
  readonly upstream: FakeUpstreamCall | undefined;
  readonly turn: number;
}

const legacyRequests: Record<string, object | string> = {
  call: { id: 1, method: 'tools/call', params: { name: 'echo' } },
  denied: { id: 1, method: 'tools/call', params: { name: 'hidden' } },
  list: { id: 1, method: 'tools/list' },
  initialize: { id: 1, method: 'initialize', params: { protocolVersion: '2025-11-25' } },
  unknown: { id: 1, method: 'no/such' },
  notification: { method: 'notifications/initialized' },
  cancelled: { method: 'notifications/cancelled', params: { requestId: 1 } },
  response: { id: 's', result: {} },
  broken: '{"jsonrpc":',
};

const modernMethods = ['tools/call', 'tools/list', 'subscriptions/listen', 'server/discover', 'no/such'];

function send(path: RequestPath, session: Record<string, string>, kind: string, bodyLater: boolean): FakeExchange {
  const both = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };
  if (kind === 'get') return path.send({ method: 'GET', headers: { ...session, accept: 'text/event-stream' } });
  if (kind === 'delete') return path.send({ method: 'DELETE', headers: session });
  if (kind === 'anonymous') return path.send({ headers: both });
  if (kind === 'elsewhere') return path.send({ path: '/nowhere', headers: both });
  const legacy = legacyRequests[kind];
  if (legacy !== undefined) {
    const body = typeof legacy === 'string' ? legacy : JSON.stringify({ jsonrpc: '2.0', ...legacy });
    return path.send({ headers: { ...both, ...session }, body, bodyLater });
  }
  const params = { name: 'echo', notifications: { toolsListChanged: true }, _meta: modernMeta };
  const headers = {
    ...both,
    authorization: 'Bearer alice-key',
    'mcp-protocol-version': modernVersion,
    'mcp-method': kind,
  };
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: kind, params });
  return path.send({
    headers: { ...headers, ...(kind === 'tools/call' ? { 'mcp-name': 'echo' } : {}) },
    body,
    bodyLater,
  });
}

const kinds = ['get', 'delete', 'anonymous', 'elsewhere', ...Object.keys(legacyRequests), ...modernMethods];
const names = Object.keys(happenings) as (keyof typeof happenings)[];

describe('every request', () => {
  it('ends in exactly one outcome event and answers at most once, whatever happens to it', async () => {
    const property = fc.asyncProperty(
      fc.constantFrom(...kinds),
      fc.boolean(),
      fc.array(fc.constantFrom(...names), { maxLength: 12 }),
      async (kind, bodyLater, steps) => {
        const path = new RequestPath({ limits: { streamBufferBytes: 1_000 } });
        const session = await path.initialize();
        await path.modern('server/discover');
        path.upstream.last.result({ supportedVersions: [modernVersion] });
        await path.settled();
        const begun = path.events.length;
        const sentBefore = path.upstream.calls.length;
        const exchange = send(path, session, kind, bodyLater);
        await path.settled();
        let turn = 2;
        for (const step of steps) {
          await happenings[step]({ path, exchange, upstream: path.upstream.calls[sentBefore], turn });
          await path.settled();
          turn += 1;
        }
        exchange.leave();
        await path.settled();
        expect(path.events.length - begun).toBe(1);
        expect(exchange.answers).toBeLessThanOrEqual(1);
        expect(path.streams.size).toBe(0);
        expect(path.tables.superseded).toBe(0);
        // What a legacy client has begun goes on without it, but not for ever: a server that may speak HTTP+SSE is asked.
        await path.clock.advance(defaultRequestLimits.headMs);
        expect(path.clock.pending).toBe(0);
        expect(path.logger.lines.filter(({ level }) => level === 'error')).toEqual([]);
      },
    );
    await fc.assert(property, { numRuns: 150 });
  }, 60_000);
});
