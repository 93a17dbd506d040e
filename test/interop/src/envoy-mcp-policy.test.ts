import {
  type JwtIssuer,
  mcpRoute,
  type McpAnswer,
  modernVersion,
  type ModernMcpServer,
  RawMcpClient,
  startJwtIssuer,
  startModernMcpServer,
} from '@signalbox/test-harness';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { type CallerName, callers, cases, routes } from './cases.ts';
import { startTwoDataPlanes, type TwoDataPlanes } from './two-data-planes.ts';

const binary = inject('envoy');

describe.skipIf(binary === '')('a stock Envoy enforces what our proxy does', () => {
  let issuer: JwtIssuer;
  let upstream: ModernMcpServer;
  let planes: TwoDataPlanes;
  const credentials = new Map<CallerName, string>();

  const resources = (url: string) =>
    Object.entries(routes).flatMap(([name, { anonymous = false, rules }]) =>
      mcpRoute({ name, url, jwt: issuer, anonymous, rules }),
    );

  beforeAll(async () => {
    [issuer, upstream] = [await startJwtIssuer(), await startModernMcpServer()];
    const stranger = await startJwtIssuer();
    for (const [name, claims] of Object.entries(callers)) {
      credentials.set(name as CallerName, `Bearer ${await issuer.token(name, { claims })}`);
    }
    credentials.set('expired', `Bearer ${await issuer.token('ops', { expiresInSeconds: -120, claims: callers.ops })}`);
    credentials.set('stranger', `Bearer ${await stranger.token('ops', { claims: callers.ops })}`);
    credentials.set('garbage', 'Bearer not-a-token');
    credentials.set('basic', 'Basic bm9ib2R5Og==');
    await stranger.stop();
    planes = await startTwoDataPlanes(binary, resources(upstream.url));
  });

  afterAll(async () => {
    await planes?.stop();
    await upstream?.stop();
    await issuer?.stop();
  });

  /** Whether a request reached the upstream. */
  const verdictOf = async (method: string, send: () => Promise<McpAnswer>): Promise<string> => {
    const before = upstream.requests.of(method).length;
    const { status } = await send();
    const reached = upstream.requests.of(method).length > before;
    if (reached && status >= 400 && status !== 404) return `allow, but answered ${status}`;
    return reached ? 'allow' : 'deny';
  };

  const headersOf = (caller: CallerName): Record<string, string> => {
    const authorization = credentials.get(caller);
    return authorization === undefined ? {} : { authorization };
  };

  it('accepts every resource, without reservations', () => {
    expect(planes.problems).toEqual([]);
    expect(planes.discovery.refusals).toEqual([]);
  });

  it('has a case of each verdict for most routes, and more than sixty in all', () => {
    expect(cases.length).toBeGreaterThan(60);
    expect(new Set(cases.map(([route]) => route))).toEqual(new Set(Object.keys(routes)));
  });

  it.each(cases)('%s: %s, %s %j: %s', async (...[route, caller, method, params, verdict]) => {
    const at = (url: string) => new RawMcpClient({ url }).modern(method, { ...params }, headersOf(caller));
    const ours = await verdictOf(method, () => at(planes.ours(route)));
    const envoys = await verdictOf(method, () => at(planes.envoys(route)));
    expect({ ours, envoys }).toEqual({ ours: verdict, envoys: verdict });
  });

  it('denies a text that is too long to be matched against a pattern, as our proxy does', async () => {
    const params = { name: 'open', arguments: { path: `/tmp/${'a'.repeat(66_000)}` } };
    for (const url of [planes.ours('paths'), planes.envoys('paths')]) {
      const call = () => new RawMcpClient({ url }).modern('tools/call', params, headersOf('nobody'));
      expect(await verdictOf('tools/call', call)).toBe('deny');
    }
  });

  const meta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"${modernVersion}","io.modelcontextprotocol/clientCapabilities":{}}`;

  it.each([
    ['a repeated name', `"method":"tools/call","params":{"name":"write","name":"read",${meta}}`],
    ['a name repeated with an escape', `"method":"tools/call","params":{"name":"write","na\\u006de":"read",${meta}}`],
    ['repeated parameters', `"method":"tools/call","params":{"name":"write",${meta}},"params":{"name":"read",${meta}}`],
    ['a repeated method', `"method":"tools/call","method":"tools/list","params":{"name":"write",${meta}}`],
    ['a name with a dot', `"method":"tools/call","params":{"name":"write","x.name":"read",${meta}}`],
    ['a method with a dot', `"method":"tools/call","x.method":"tools/list","params":{"name":"write",${meta}}`],
    ['a name within a list', `"method":"tools/call","params":{"a":[{"name":"read"}],"name":"write",${meta}}`],
    ['an escaped method', `"method":"tools\\u002fcall","params":{"name":"write",${meta}}`],
    ['a name of another type', `"method":"tools/call","params":{"name":{"name":"read"},${meta}}`],
    ['text behind the message', `"method":"tools/call","params":{"name":"read",${meta}}} {"x":1`],
  ])('refuses a call that hides what it is about: %s', async (_name, members) => {
    const headers = { 'mcp-protocol-version': modernVersion, 'mcp-method': 'tools/call', 'mcp-name': 'write' };
    const before = upstream.requests.of('tools/call').length;
    for (const url of [planes.ours('names'), planes.envoys('names')]) {
      await new RawMcpClient({ url }).post(`{"jsonrpc":"2.0","id":1,${members}}`, headers);
    }
    expect(upstream.requests.of('tools/call').length).toBe(before);
  });

  it.each([
    ['another host', { host: 'evil.example' }],
    ['a foreign origin', { origin: 'https://evil.example' }],
    ['a batch', {}],
  ])('refuses %s', async (name, headers) => {
    const message = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'read' } };
    const before = upstream.requests.items.length;
    for (const url of [planes.ours('names'), planes.envoys('names')]) {
      const answer = await new RawMcpClient({ url }).post(name === 'a batch' ? [message] : message, headers);
      expect(answer.status).toBeGreaterThanOrEqual(400);
    }
    expect(upstream.requests.items.length).toBe(before);
  });

  it('never sends a credential upstream', async () => {
    const url = planes.envoys('kinds');
    await new RawMcpClient({ url }).modern('tools/call', { name: 'read' }, headersOf('team'));
    const headers = upstream.requests.of('tools/call').at(-1)?.headers;
    expect(headers?.authorization).toBeUndefined();
    expect(headers?.cookie).toBeUndefined();
  });

  it('is only stricter where it does not see the same: lists in arguments', async () => {
    const at = (url: string) =>
      new RawMcpClient({ url }).modern('tools/call', { name: 'deploy', arguments: { project: ['demo'] } });
    expect(await verdictOf('tools/call', () => at(planes.ours('notprod')))).toBe('allow');
    expect(await verdictOf('tools/call', () => at(planes.envoys('notprod')))).toBe('deny');
  });
});
