import {
  gateway,
  type JwtIssuer,
  type LegacyMcpServer,
  mcpRoute,
  type McpRouteOptions,
  type Message,
  policy,
  RawMcpClient,
  type ResourceFile,
  startJwtIssuer,
  startLegacyMcpServer,
  startSystem,
  type System,
  tenant,
} from '@signalbox/test-harness';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';

describe('without a rule that allows it', () => {
  let upstream: LegacyMcpServer;
  let issuer: JwtIssuer;
  let system: System;
  const keys = { alice: 'alice-key', bob: 'bob-key' };

  beforeAll(async () => {
    upstream = await startLegacyMcpServer();
    issuer = await startJwtIssuer();
    system = await startSystem({ pgUrl: inject('pgUrl') });
    await system.apply([gateway(), tenant()]);
  });

  afterAll(async () => {
    await system.stop();
    await upstream.stop();
    await issuer.stop();
  });

  /** A route of its own for each test, and how to connect to it. */
  const serve = async (name: string, options: Omit<McpRouteOptions, 'name' | 'url'>) => {
    await system.apply(mcpRoute({ name, url: upstream.url, ...options }));
    const url = system.endpoint('acme', name);
    return async (token?: string): Promise<RawMcpClient> => {
      const client = new RawMcpClient(token === undefined ? { url } : { url, token });
      await client.initialize();
      return client;
    };
  };

  const calls = () => upstream.requests.of('tools/call').length;

  it('nobody gets in through a route that no policy speaks about', async () => {
    const isPolicy = ({ kind }: ResourceFile) => kind === 'Policy';
    await system.apply(mcpRoute({ name: 'bare', url: upstream.url }).filter((resource) => !isPolicy(resource)));
    const answer = await new RawMcpClient({ url: system.endpoint('acme', 'bare'), token: 'alice-key' }).initialize();
    expect(answer.status).toBe(401);
    expect(answer.headers['www-authenticate']).toMatch(/^Bearer/);
  });

  it.each([
    ['no credential', undefined],
    ['an unknown key', 'mallory-key'],
    ['an empty credential', ' '],
  ])('%s is answered 401', async (_name, token) => {
    await serve('guarded', { keys, rules: ['true'] });
    const url = system.endpoint('acme', 'guarded');
    const before = upstream.requests.items.length;
    const answer = await new RawMcpClient(token === undefined ? { url } : { url, token }).initialize();
    expect(answer.status).toBe(401);
    expect(upstream.requests.items).toHaveLength(before);
  });

  it('no tool is listed and none can be called', async () => {
    const client = await (await serve('empty', { keys, rules: [] }))('alice-key');
    expect(await client.toolNames()).toEqual([]);
    const before = calls();
    expect((await client.call('echo', { text: 'x' })).error?.code).toBe(-32602);
    expect(calls()).toBe(before);
  });

  it('only what a rule names is listed and can be called', async () => {
    const client = await (await serve('some', { keys, rules: ['tool.name == "echo"'] }))('alice-key');
    expect(await client.toolNames()).toEqual(['echo']);
    expect((await client.call('echo', { text: 'x' })).result).toBeDefined();
    expect((await client.call('hidden')).error?.code).toBe(-32602);
  });

  it('a denied tool is answered exactly like one that does not exist', async () => {
    const client = await (await serve('alike', { keys, rules: ['tool.name == "echo"'] }))('alice-key');
    const ask = async (name: string): Promise<Message> => {
      const answer = await client.post({
        jsonrpc: '2.0',
        id: 1,
        method: 'tools/call',
        params: { name, arguments: {} },
      });
      return JSON.parse(answer.text.replaceAll(name, 'NAME')) as Message;
    };
    expect(await ask('hidden')).toEqual(await ask('no_such_tool'));
  });

  it('the first rule that matches decides', async () => {
    const rules = [{ effect: 'DENY' as const, when: 'tool.name == "hidden"' }, 'true'];
    const client = await (await serve('ordered', { keys, rules }))('alice-key');
    expect(await client.toolNames()).toEqual(['echo', 'slow_progress']);
  });

  it('rules see who calls', async () => {
    const connect = await serve('per-caller', { keys, rules: ['principal.subject == "alice"'] });
    expect(await (await connect('alice-key')).toolNames()).toHaveLength(3);
    expect(await (await connect('bob-key')).toolNames()).toEqual([]);
  });

  it('rules see the groups of a token', async () => {
    const connect = await serve('groups', { jwt: issuer, rules: ['"sre" in principal.groups && tool.name == "echo"'] });
    const sre = await connect(await issuer.token('carol', { claims: { groups: ['sre', 'dev'] } }));
    const dev = await connect(await issuer.token('dave', { claims: { groups: ['dev'] } }));
    expect(await sre.toolNames()).toEqual(['echo']);
    expect(await dev.toolNames()).toEqual([]);
  });

  it.each([
    ['expired', { expiresInSeconds: -3_600 }],
    ['for another audience', { audience: 'someone-else' }],
  ])('a token that is %s is answered 401', async (_name, options) => {
    await serve('tokens', { jwt: issuer, rules: ['true'] });
    const token = await issuer.token('carol', options);
    expect((await new RawMcpClient({ url: system.endpoint('acme', 'tokens'), token }).initialize()).status).toBe(401);
  });

  it('a rule that reads arguments decides each call by them', async () => {
    const client = await (
      await serve('args', { keys, rules: ['tool.name == "echo" && args.text == "yes"'] })
    )('alice-key');
    expect((await client.call('echo', { text: 'yes' })).result).toBeDefined();
    expect((await client.call('echo', { text: 'no' })).error?.code).toBe(-32602);
    expect((await client.call('echo', {})).error?.code).toBe(-32602);
  });

  it('prompts and resources are hidden as well', async () => {
    const client = await (await serve('tools-only', { keys, rules: ['tool.name == "echo"'] }))('alice-key');
    expect((await client.rpc('prompts/list').then(json))?.result?.['prompts']).toEqual([]);
    expect((await client.rpc('resources/list').then(json))?.result?.['resources']).toEqual([]);
    expect((await client.rpc('prompts/get', { name: 'greeting' }).then(json))?.error?.code).toBe(-32602);
  });

  it('explain says the same without making the call', async () => {
    await serve('explained', { keys, rules: [{ name: 'echo-only', effect: 'ALLOW', when: 'tool.name == "echo"' }] });
    const before = calls();
    const ask = (target: string) =>
      system.admin.config.explain({
        scope: 'acme',
        route: 'explained',
        principal: { subject: 'alice' },
        method: 'tools/call',
        target,
      });
    expect(await ask('echo')).toMatchObject({ allowed: true, rule: 'policy/explained/echo-only' });
    expect(await ask('hidden')).toMatchObject({ allowed: false, rule: '' });
    expect(calls()).toBe(before);
  });

  it('withdrawing the policy closes the route again', async () => {
    const connect = await serve('closing', { keys, rules: ['true'] });
    const client = await connect('alice-key');
    expect((await client.call('echo', { text: 'x' })).result).toBeDefined();
    await system.apply([policy({ name: 'closing', keys, rules: [] })]);
    expect((await client.call('echo', { text: 'x' })).error?.code).toBe(-32602);
  });
});

async function json(answer: Awaited<ReturnType<RawMcpClient['rpc']>>): Promise<Message> {
  const final =
    answer.message ?? (await answer.stream?.messages.first('the answer', ({ method }) => method === undefined));
  if (!final) throw new Error(`no answer: ${answer.status} ${answer.text}`);
  return final;
}
