import {
  federatedRoute,
  finalMessage,
  type JwtIssuer,
  type McpAnswer,
  type MemberServer,
  RawMcpClient,
  startJwtIssuer,
  startMemberServer,
} from '@signalbox/test-harness';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { federatedCases, federatedRoutes } from './federated-cases.ts';
import { startTwoDataPlanes, type TwoDataPlanes } from './two-data-planes.ts';

const binary = inject('envoy');
const claims = { ops: { groups: ['ops'] }, team: { groups: ['team'] }, other: { groups: ['ops'] } };

describe.skipIf(binary === '')('a stock Envoy presents members with prefixes as our proxy does', () => {
  let issuer: JwtIssuer;
  let members: readonly [MemberServer, MemberServer];
  let planes: TwoDataPlanes;
  const tokens = new Map<string, string>();

  beforeAll(async () => {
    issuer = await startJwtIssuer();
    for (const [name, of] of Object.entries(claims)) tokens.set(name, await issuer.token(name, { claims: of }));
    const content = { tools: ['search', 'echo'], prompts: ['greeting'], resources: ['test://readme'] };
    members = [await startMemberServer(content), await startMemberServer(content)];
    const backends = { one: members[0].url, two: members[1].url };
    const resources = Object.entries(federatedRoutes).flatMap(([name, { anonymous = false, rules }]) =>
      federatedRoute({ name, backends, jwt: issuer, anonymous, rules }),
    );
    const once = [...new Map(resources.map((one) => [JSON.stringify([one['kind'], one['metadata']]), one])).values()];
    planes = await startTwoDataPlanes(binary, once);
  });

  afterAll(async () => {
    await planes?.stop();
    await Promise.all((members ?? []).map((member) => member.stop()));
    await issuer?.stop();
  });

  const connect = async (url: string, caller = 'nobody'): Promise<RawMcpClient> => {
    const token = tokens.get(caller);
    const client = new RawMcpClient({ url, ...(token === undefined ? {} : { token }) });
    expect((await client.initialize()).status).toBe(200);
    return client;
  };

  /** Whether a request reached a member. */
  const verdictOf = async (method: string, send: () => Promise<McpAnswer>): Promise<string> => {
    const reached = (): number => members.reduce((sum, { requests }) => sum + requests.of(method).length, 0);
    const before = reached();
    await send();
    return reached() > before ? 'allow' : 'deny';
  };

  it('accepts every resource, without reservations', () => {
    expect(planes.problems).toEqual([]);
    expect(planes.discovery.refusals).toEqual([]);
  });

  it.each(federatedCases)('%s: %s %j: %s for %s', async (...[route, method, params, verdict, caller]) => {
    const at = async (url: string): Promise<string> => {
      const client = await connect(url, caller);
      return verdictOf(method, () => client.rpc(method, { ...params }));
    };
    const [ours, envoys] = [await at(planes.ours(route)), await at(planes.envoys(route))];
    expect({ ours, envoys }).toEqual({ ours: verdict, envoys: verdict });
  });

  it('lists the same names and URIs', async () => {
    for (const method of ['tools/list', 'prompts/list', 'resources/list']) {
      const listed = async (url: string): Promise<readonly string[]> => {
        const { result = {} } = await finalMessage(await (await connect(url)).rpc(method));
        const [entries] = Object.values(result) as { name?: string; uri?: string }[][];
        return (entries ?? []).map(({ name, uri }) => uri ?? name ?? '').toSorted();
      };
      expect(await listed(planes.envoys('plain'))).toEqual(await listed(planes.ours('plain')));
    }
  });

  it('gives members their own names, sessions of their own, and no credential', async () => {
    const client = await connect(planes.envoys('tokens'), 'ops');
    const answer = await finalMessage(await client.rpc('tools/call', { name: 'two__echo', arguments: { text: 'hi' } }));
    expect(answer).toMatchObject({ result: { content: [{ text: 'hi' }] } });
    const sent = members[1].requests.of('tools/call').at(-1);
    expect(JSON.parse(sent?.body ?? '{}')).toMatchObject({ params: { name: 'echo' } });
    expect(members[1].sessions()).toContain(sent?.headers['mcp-session-id']);
    for (const { headers } of members.flatMap(({ requests }) => requests.items)) {
      expect(headers.authorization).toBeUndefined();
    }
  });

  it('does not let another caller use a session', async () => {
    const client = await connect(planes.envoys('tokens'), 'ops');
    client.token = tokens.get('other');
    const send = (): Promise<McpAnswer> => client.rpc('tools/call', { name: 'one__search' });
    expect(await verdictOf('tools/call', send)).toBe('deny');
  });

  it('leaves other routes of the gateway to what sends them to one upstream', async () => {
    await planes.change([
      ...federatedRoute({
        ...{ name: 'plain', backends: { one: members[0].url, two: members[1].url }, anonymous: true, rules: ['true'] },
      }),
      ...federatedRoute({
        ...{ name: 'direct', backends: { only: members[0].url }, anonymous: true, rules: ['true'] },
        spec: { members: [{ backend: 'only' }] },
      }),
    ]);
    expect(planes.discovery.refusals).toEqual([]);
    const client = await connect(planes.envoys('direct'));
    expect(await client.toolNames()).toEqual(['search', 'echo']);
    expect(await (await connect(planes.envoys('plain'))).toolNames()).toHaveLength(4);
  });
});
