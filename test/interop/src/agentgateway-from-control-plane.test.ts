import { type RunningControlPlane, controlPlaneSettings, startControlPlane } from '@signalbox/control-plane';
import { Role } from '@signalbox/proto/signalbox/admin/v1/token_service_pb.ts';
import { jsonLogger, readSettings } from '@signalbox/runtime';
import {
  type Admin,
  adminClient,
  createDatabase,
  forwardRoute,
  freePort,
  type JwtIssuer,
  mcpRoute,
  policy,
  type ResourceFile,
  startJwtIssuer,
  tenant,
  until,
} from '@signalbox/test-harness';
import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from 'vitest';
import { AgentgatewayClient, type AgentgatewayClientOptions } from './agentgateway/client.ts';
import { isSentOn, type McpRequest } from './agentgateway/requests.ts';
import { type CallerName, callers, cases, routes } from './cases.ts';
import { httpCases, httpRoutes } from './http-cases.ts';

const url = 'http://10.0.0.7:9001/mcp';
let databaseUrl: string;
let controlPlane: RunningControlPlane;
let admin: Admin;
let issuer: JwtIssuer;
const clients: AgentgatewayClient[] = [];

beforeAll(async () => {
  [databaseUrl, issuer] = [await createDatabase(inject('pgUrl')), await startJwtIssuer()];
  controlPlane = await startReplica();
  admin = adminClient(controlPlane.apiUrl, controlPlane.operatorToken?.reveal() ?? '');
  await apply('operator', [await servedGateway('default'), await servedGateway('other'), tenant(), tenant('globex')]);
  await apply('globex', mcpRoute({ tenant: 'globex', name: 'secret', url, anonymous: true, rules: ['true'] }));
});

afterAll(async () => {
  await controlPlane?.stop();
  await issuer?.stop();
});

afterEach(() => {
  for (const client of clients.splice(0)) {
    client.stop();
    complain(client);
  }
});

describe('a stock agentgateway, by a model of its end of the stream', () => {
  it('is ready when both of its subscriptions were answered, and has everything then, in one response', async () => {
    await apply('acme', mcpRoute({ name: 'tools', url, anonymous: true, rules: ['tool.name == "read"'] }));
    const earlier = await connect({ podName: 'earlier' });
    await until('the route to be published', () => earlier.store.routes.size > 0 || undefined);
    const node = await connect();
    await until('it to be ready', () => node.isReady || undefined);
    expect(node.responses.map(({ typeUrl, updated }) => [typeUrl.split('.').at(-1), updated.length])).toEqual([
      ['Address', 0],
      ['Resource', 5],
    ]);
    expect(node.store.names.map((name) => name.split('/')[0])).toEqual([
      'backend',
      'backend',
      'bind',
      'listener',
      'route',
    ]);
    expect([sentOn(node, 'read'), sentOn(node, 'write')]).toEqual([true, false]);
  });

  it('shows among the nodes, with the gateway of its role and the revision that it runs', async () => {
    const node = await connect();
    await until('it to be ready', () => node.isReady || undefined);
    const shown = await until('it to be shown', async () => {
      const { nodes } = await admin.nodes.listNodes({});
      const found = nodes.find(({ id }) => id.includes('~node-1.'));
      return found?.scopes.every((one) => one.appliedRevision === one.desiredRevision) ? found : undefined;
    });
    expect(shown).toMatchObject({ gateway: 'default', connected: true });
    expect(shown.scopes.map(({ scope }) => scope)).toEqual(['operator', 'acme']);
  });

  it('takes a change as a whole: what is new, and then what goes', async () => {
    const node = await connect();
    await until('it to be ready', () => node.isReady || undefined);
    await until('the route', () => node.store.routes.size > 0 || undefined);
    const before = node.responses.length;
    await apply('acme', mcpRoute({ name: 'tools', url: 'https://mcp.example/v1', anonymous: true, rules: ['true'] }));
    const change = await until('the change', () => node.responses[before]);
    // A changed server is another backend, so that no session goes on with the old one.
    expect(change.updated.map((name) => name.split('/')[0])).toEqual(['backend', 'backend', 'route']);
    expect(change.removed.map((name) => name.split('/')[0])).toEqual(['backend', 'backend']);
    const servers = [...node.store.backends.values()].flatMap(({ kind }) =>
      kind.case === 'static' ? [kind.value] : [],
    );
    expect(servers).toMatchObject([{ host: 'mcp.example', port: 443 }]);
    expect(sentOn(node, 'write')).toBe(true);
  });

  it('serves an agent at its endpoint and its card, with one allowance for both', async () => {
    const agent = 'http://10.0.0.8:9000/a2a';
    const named = (kind: string, spec: object): ResourceFile => ({
      kind,
      metadata: { tenant: 'acme', name: 'agent' },
      spec,
    });
    await apply('acme', [
      named('Backend', { a2a: { url: agent, cardUrl: `${agent}/.well-known/agent-card.json` } }),
      named('Route', { gateway: 'default', match: { path: '/acme/agent' }, a2a: { backend: 'agent' } }),
      named('Policy', {
        ...{ target: { route: 'agent' }, authentication: { anonymous: {} } },
        ...{ authorization: [{ effect: 'ALLOW', when: 'true' }], limits: { callsPerMinute: 60, per: ['ROUTE'] } },
      }),
    ]);
    const node = await connect();
    await until('the agent', () => node.store.policies.size > 0 || undefined);
    const isServed = (path: string): boolean =>
      isSentOn(node.store, { host: 'localhost', path, headers: {}, method: 'SendMessage', params: {} });
    const paths = ['/acme/agent', '/acme/agent/.well-known/agent-card.json', '/acme/agent/other'];
    expect(paths.map(isServed)).toEqual([true, true, false]);
    expect([...node.store.policies.values()].map(({ target }) => target?.kind.value?.name)).toEqual(['agent']);
    await admin.config.apply({
      ...{ scope: 'acme', confirmRemoval: true },
      delete: ['Policy', 'Route', 'Backend'].map((kind) => ({ kind, name: 'agent' })),
    });
    await until('the agent to go', () => node.store.policies.size === 0 || undefined);
  });

  it('gets no name of a tenant that its credential does not name', async () => {
    const node = await connect();
    await until('it to be ready', () => node.isReady || undefined);
    expect(node.store.names.join()).not.toContain('globex');
    const other = await connect({}, { tenants: ['globex'] });
    await until('the other to be ready', () => other.isReady || undefined);
    expect(other.store.names.join()).toContain('globex/secret');
    expect(other.store.names.join()).not.toContain('acme');
  });

  it('is not let in for another gateway than that of its credential, and gets no name', async () => {
    const node = await connect({ gateway: 'other' });
    const end = await until('its stream to end', () => node.ends[0]);
    expect([end.code, end.details]).toEqual([7, expect.stringContaining('is not for the gateway')]);
    expect(node.responses).toEqual([]);
  });
});

/** The route, for one host only. */
function forHost(document: ResourceFile, hostname: string): ResourceFile {
  const spec = document['spec'] as { readonly match: object };
  return { ...document, spec: { ...spec, match: { ...spec.match, hostnames: [hostname] } } };
}

describe('what a stock agentgateway refuses', () => {
  const refusalOf = (id: string) =>
    until('the refusal to be shown', async () => {
      const { nodes } = await admin.nodes.listNodes({});
      return nodes.find((node) => node.id.includes(`~${id}.`) && node.lastNack?.current)?.lastNack;
    });

  it.each(['error', 'warn'] as const)('shows among the nodes with resource and reason: %s', async (severity) => {
    await apply('acme', mcpRoute({ name: 'tools', url, anonymous: true, rules: [`tool.name == "${severity}"`] }));
    const route = 'route/default.main/acme/tools';
    const node = await connect({ podName: severity, refuses: { [route]: severity } });
    const refusal = await refusalOf(severity);
    expect(refusal.refusals).toContainEqual(
      expect.objectContaining({ resource: route, message: 'this node cannot do that' }),
    );
    // It has taken the rest of the response.
    expect(node.store.names).toContain('listener/default.main');
    expect(node.isReady).toBe(severity === 'warn');
    // What was refused is not sent again as it was. Its next version is, and makes it good.
    node.refuse({});
    const later = mcpRoute({ name: 'tools', url, anonymous: true, rules: ['tool.name == "later"'] });
    await apply(
      'acme',
      later.map((document) => (document['kind'] === 'Route' ? forHost(document, 'tools.example') : document)),
    );
    await until('the node to run it', async () => {
      const { nodes } = await admin.nodes.listNodes({});
      const acme = nodes.find(({ id }) => id.includes(`~${severity}.`))?.scopes.find(({ scope }) => scope === 'acme');
      return acme?.appliedRevision === acme?.desiredRevision || undefined;
    });
    await apply('acme', later);
  });

  it('is what it does not claim to hold when it comes back, and is sent again', async () => {
    const route = 'route/default.main/acme/tools';
    const node = await connect({ podName: 'again', refuses: { [route]: 'error' } });
    await refusalOf('again');
    node.refuse({});
    const before = node.responses.length;
    node.reconnect();
    await until('it to be ready', () => node.isReady || undefined);
    expect(node.responses.slice(before).flatMap(({ updated }) => updated)).toEqual([route]);
  });
});

describe('a stock agentgateway that comes back', () => {
  it('is sent nothing that it has, also by another replica', async () => {
    const replica = await startReplica();
    try {
      const node = await connect();
      await until('it to be ready', () => node.isReady || undefined);
      for (const address of [addressOf(controlPlane), addressOf(replica)]) {
        const before = node.responses.length;
        node.reconnect(address);
        await until('both answers', () => node.responses.length >= before + 2 || undefined);
        const answers = node.responses.slice(before);
        expect(answers.flatMap(({ updated, removed }) => [...updated, ...removed])).toEqual([]);
      }
    } finally {
      await replica.stop();
    }
  });

  it('is sent what has changed while it was away, and told what has gone', async () => {
    await apply('acme', mcpRoute({ name: 'extra', url, anonymous: true, rules: ['true'] }));
    const node = await connect();
    const extra = () => node.store.names.filter((name) => name.includes('extra'));
    await until('the route', () => extra().length === 3 || undefined);
    node.stop();
    await apply('acme', [policy({ name: 'tools', anonymous: true, rules: ['tool.name == "new"'] })]);
    await admin.config.apply({
      ...{ scope: 'acme', confirmRemoval: true },
      delete: ['Policy', 'Route', 'VirtualServer', 'Backend'].map((kind) => ({ kind, name: 'extra' })),
    });
    node.start();
    await until('the route to go', () => extra().length === 0 || undefined);
    expect(await until('the new rule', () => sentOn(node, 'new') || undefined)).toBe(true);
    expect(sentOn(node, 'read')).toBe(false);
  });

  it('is never told that all is well when its stream ends: it would come back without a pause', async () => {
    const { secret, id } = await token();
    const node = connectWith(secret);
    await until('it to be ready', () => node.isReady || undefined);
    await admin.tokens.revokeToken({ id });
    const end = await until('its stream to end', () => node.ends[0]);
    expect(end.code).not.toBe(0);
  });
});

describe('a stock agentgateway decides as our proxy does', () => {
  const authorizations = new Map<CallerName, string>();
  /** Its rules do not see arguments: routes that read them are refused when they are written. */
  const expressible = Object.keys(routes).filter((name) => !JSON.stringify(routes[name]?.rules).includes('args'));
  /** Nor fields that stand in a header more than once, nor the host of a route with several. */
  const expressibleHttp = ['methods', 'paths', 'who', 'nothing'];
  let node: AgentgatewayClient;

  beforeAll(async () => {
    const stranger = await startJwtIssuer();
    for (const [name, claims] of Object.entries(callers)) {
      authorizations.set(name as CallerName, `Bearer ${await issuer.token(name, { claims })}`);
    }
    authorizations.set(
      'expired',
      `Bearer ${await issuer.token('ops', { expiresInSeconds: -120, claims: callers.ops })}`,
    );
    authorizations.set('stranger', `Bearer ${await stranger.token('ops', { claims: callers.ops })}`);
    authorizations.set('garbage', 'Bearer not-a-token');
    authorizations.set('basic', 'Basic bm9ib2R5Og==');
    await stranger.stop();
    const mcp = expressible.flatMap((name) =>
      mcpRoute({ name, url, ...routes[name], rules: routes[name]?.rules ?? [] }),
    );
    const http = expressibleHttp.flatMap((name) =>
      forwardRoute({ name, kind: 'http', url: 'http://10.0.0.9', ...httpRoutes[name] }),
    );
    await apply('acme', withTokens([...mcp, ...http]));
    node = await connect({ podName: 'cases' });
    clients.pop();
    const count = expressible.length + expressibleHttp.length;
    await until('all routes', () => node.store.routes.size > count || undefined);
  });

  afterAll(() => {
    node.stop();
    complain(node);
  });

  it('has cases for routes of most kinds', () => {
    expect(expressible).toEqual(['names', 'order', 'claims', 'kinds', 'constants']);
  });

  it.each(cases.filter(([route]) => expressible.includes(route)))(
    '%s: %s, %s %j: %s',
    (...[route, caller, method, params, verdict]) => {
      const authorization = authorizations.get(caller);
      const request = {
        ...{ host: 'localhost', path: `/acme/${route}/mcp`, method, params },
        headers: authorization === undefined ? {} : { authorization },
      };
      expect(isSentOn(node.store, request) ? 'allow' : 'deny').toBe(verdict);
    },
  );

  it.each(httpCases.filter(([route]) => expressibleHttp.includes(route)))(
    '%s: %s, %s %s %j: %s',
    (...[route, caller, method, rest, given, verdict]) => {
      const authorization = authorizations.get(caller);
      const [path = ''] = `/acme/${route}${rest}`.split('?');
      const headers = { ...given, ...(authorization === undefined ? {} : { authorization }) };
      const request = { host: '127.0.0.1', path, method, params: {}, headers };
      expect(isSentOn(node.store, request) ? 'allow' : 'deny').toBe(verdict);
    },
  );

  it.each([
    ['another host', { host: 'evil.example' }],
    ['another path', { path: '/acme/names/mcp/' }],
    ['a foreign origin', { headers: { origin: 'https://evil.example' } }],
  ])('refuses %s', (_name, different) => {
    const request = {
      host: 'localhost',
      path: '/acme/names/mcp',
      headers: {},
      method: 'tools/call',
      params: { name: 'read' },
    };
    expect(isSentOn(node.store, request)).toBe(true);
    expect(isSentOn(node.store, { ...request, ...different })).toBe(false);
  });

  it('is a reason to refuse a policy that it cannot enforce', async () => {
    const refused = apply('acme', [policy({ name: 'names', anonymous: true, rules: ['args.project == "demo"'] })]);
    await expect(refused).rejects.toThrow(/refused|enforce/);
  });
});

/** Each response is looked at; what would go wrong at a node without anybody being told fails the test. */
function complain({ store: { complaints } }: AgentgatewayClient): void {
  if (complaints.length > 0) throw new Error(complaints.join('\n'));
}

function startReplica(): Promise<RunningControlPlane> {
  const environment = {
    DATABASE_URL: databaseUrl,
    SIGNALBOX_API_LISTEN: '127.0.0.1:0',
    SIGNALBOX_DISCOVERY_LISTEN: '127.0.0.1:0',
  };
  return startControlPlane({ settings: readSettings(controlPlaneSettings, environment), logger: jsonLogger('silent') });
}

async function servedGateway(name: string): Promise<ResourceFile> {
  const spec = { listeners: [{ name: 'main', port: await freePort() }], dataPlanes: ['NATIVE', 'AGENTGATEWAY'] };
  return { apiVersion: 'signalbox.dev/v1', kind: 'Gateway', metadata: { name }, spec };
}

/** Routes whose tokens are verified with an inline key set: agentgateway fetches none. */
function withTokens(files: readonly ResourceFile[]): readonly ResourceFile[] {
  const jwt = [{ issuer: issuer.issuer, audiences: ['signalbox'], jwks: { inline: issuer.jwks } }];
  return files.map((file) => {
    if (file['kind'] !== 'Policy') return file;
    const spec = file['spec'] as { readonly authentication: object };
    return { ...file, spec: { ...spec, authentication: { ...spec.authentication, jwt } } };
  });
}

async function apply(scope: string, files: readonly ResourceFile[]): Promise<void> {
  await admin.config.apply({
    scope,
    resources: files.map((file) => {
      const { name, tenant: owner = '' } = file['metadata'] as { name: string; tenant?: string };
      return { kind: String(file['kind']), tenant: owner, name, spec: file['spec'] as never };
    }),
  });
}

function addressOf({ discoveryAddress: { host, port } }: RunningControlPlane): string {
  return `${host}:${port}`;
}

interface TokenFor {
  readonly gateway?: string;
  readonly tenants?: string[];
}

let tokens = 0;

async function token({ gateway = 'default', tenants = ['acme'] }: TokenFor = {}): Promise<{
  secret: string;
  id: string;
}> {
  tokens += 1;
  const request = { name: `agw-${tokens}`, role: Role.NODE, gateway, tenants, family: 'agentgateway' };
  const { secret, token: created } = await admin.tokens.createToken(request);
  return { secret, id: created?.id ?? '' };
}

async function connect(
  options: Partial<AgentgatewayClientOptions> = {},
  scope: TokenFor = {},
): Promise<AgentgatewayClient> {
  return connectWith((await token(scope)).secret, options);
}

function connectWith(secret: string, options: Partial<AgentgatewayClientOptions> = {}): AgentgatewayClient {
  const address = addressOf(controlPlane);
  const client = new AgentgatewayClient({ address, token: secret, gateway: 'default', podName: 'node-1', ...options });
  clients.push(client);
  return client;
}

function sentOn({ store }: AgentgatewayClient, tool: string): boolean {
  const call: McpRequest = {
    ...{ host: 'localhost', path: '/acme/tools/mcp', headers: {}, method: 'tools/call', params: { name: tool } },
  };
  return isSentOn(store, call);
}
