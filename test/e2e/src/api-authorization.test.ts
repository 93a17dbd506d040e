import { ConfigService } from '@signalbox/proto/signalbox/admin/v1/config_service_pb.ts';
import { NodeService } from '@signalbox/proto/signalbox/admin/v1/node_service_pb.ts';
import { TenantService } from '@signalbox/proto/signalbox/admin/v1/tenant_service_pb.ts';
import { Role, TokenService } from '@signalbox/proto/signalbox/admin/v1/token_service_pb.ts';
import { adminClient } from '@signalbox/test-harness';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';

import { type ApiFixture, doc, refusalOf, route, startApi } from './api-fixture.ts';

let api: ApiFixture;

beforeAll(async () => {
  api = await startApi(inject('pgUrl'), { SIGNALBOX_TOKEN_CACHE: '500' });
  await api.tenants('acme', 'globex');
  await api.operator.config.apply({ scope: 'acme', resources: route('acme', 'r') });
  await api.operator.config.apply({ scope: 'globex', resources: route('globex', 'secret') });
});
afterAll(() => api[Symbol.asyncDispose]());

const methods = [ConfigService, TenantService, NodeService, TokenService].flatMap((service) =>
  service.methods.map((method) => `${service.typeName}/${method.name}`),
);

/** Status of a call with an empty request. */
async function status(method: string, token: string | undefined): Promise<number> {
  const isStream = method.includes('/Watch');
  const response = await fetch(`${api.url}/${method}`, {
    method: 'POST',
    headers: {
      'content-type': isStream ? 'application/connect+json' : 'application/json',
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
    },
    body: isStream ? Buffer.from('\0\0\0\0\u0002{}', 'latin1') : '{}',
  });
  // Streams may last.
  if (isStream) await response.body?.cancel();
  else await response.text();
  return response.status;
}

/** A token like this one that nobody was given. */
function anotherEnd(token: string): string {
  return `${token.slice(0, -1)}${token.endsWith('0') ? '1' : '0'}`;
}

describe('every method', () => {
  it.each(methods)('%s refuses a call without a token, with a wrong one, and with one of a node', async (method) => {
    const node = await api.token(Role.NODE);
    expect(await status(method, undefined)).toBe(401);
    expect(await status(method, anotherEnd(api.operatorToken))).toBe(401);
    expect(await status(method, 'x'.repeat(10_000))).toBe(401);
    expect(await status(method, node)).toBe(403);
  });
});

describe('a role', () => {
  const cases: readonly (readonly [keyof typeof Role, readonly string[]])[] = [
    ['TENANT_ADMIN', ['CreateTenant', 'ListTenants', 'DeleteTenant']],
    ['DEVELOPER', ['CreateTenant', 'ListTenants', 'DeleteTenant', 'CreateToken', 'ListTokens', 'RevokeToken']],
    [
      'AUDITOR',
      ['CreateTenant', 'ListTenants', 'DeleteTenant', 'CreateToken', 'ListTokens', 'RevokeToken', 'Apply', 'Rollback'],
    ],
  ];
  it.each(cases)('%s may do all but its forbidden methods', async (role, forbidden) => {
    const token = await api.token(Role[role], 'acme');
    const refused: string[] = [];
    for (const method of methods) if ((await status(method, token)) === 403) refused.push(method.split('/')[1] ?? '');
    expect(refused.sort()).toEqual([...forbidden].sort());
  });
});

describe('a token of one tenant', () => {
  it('reads and writes its own', async () => {
    const developer = await api.as(Role.DEVELOPER, 'acme');
    expect((await developer.config.list({ scope: 'acme' })).resources).not.toEqual([]);
    const resources = [doc('Backend', 'acme', 'mine', { mcp: { url: 'http://127.0.0.1:1/x' } })];
    expect(await developer.config.apply({ scope: 'acme', resources })).toMatchObject({ committed: true });
    const [newest] = (await developer.config.listRevisions({ scope: 'acme' })).revisions;
    expect(newest?.author).toBe('somebody');
    expect((await developer.tenants.getTenant({ tenant: 'acme' })).tenant).toMatchObject({ name: 'acme' });
  });

  it('cannot tell another tenant from one that does not exist', async () => {
    const admin = await api.as(Role.TENANT_ADMIN, 'acme');
    const calls = (scope: string) => [
      admin.config.list({ scope }),
      admin.config.get({ scope, kind: 'Backend', name: 'secret' }),
      admin.config.apply({ scope, resources: [] }),
      admin.config.diff({ scope }),
      admin.config.listRevisions({ scope }),
      admin.config.getRevision({ scope, revision: 1n }),
      admin.config.rollback({ scope, toRevision: 1n }),
      admin.config.explain({ scope, route: 'secret' }),
      admin.config.watchPropagation({ scope })[Symbol.asyncIterator]().next(),
      admin.config.getPropagation({ scope }),
      admin.nodes.watchNodes({ scope })[Symbol.asyncIterator]().next(),
      admin.tenants.getTenant({ tenant: scope }),
      admin.nodes.listNodes({ scope }),
    ];
    const seen = async (scope: string) =>
      (await Promise.all(calls(scope).map((call) => refusalOf(call)))).map(({ code, message, problems }) => ({
        ...{ code, problems },
        message: message.replaceAll(scope, '*'),
      }));
    const foreign = await seen('globex');
    expect(foreign).toEqual(await seen('nobody'));
    expect(new Set(foreign.map(({ code }) => code))).toEqual(new Set(['NotFound']));
  });

  it("cannot see or change the operator's scope", async () => {
    const admin = await api.as(Role.TENANT_ADMIN, 'acme');
    expect(await refusalOf(admin.config.list({ scope: 'operator' }))).toMatchObject({ code: 'PermissionDenied' });
    expect(await refusalOf(admin.config.apply({ scope: 'operator' }))).toMatchObject({ code: 'PermissionDenied' });
  });

  it('learns nothing of the tenants whose prefixes are taken or whose gateways exist', async () => {
    const developer = await api.as(Role.DEVELOPER, 'acme');
    const [, , intruding] = route('globex', 'r').map((one) => ({ ...one, tenant: 'acme' }));
    const resources = [...route('acme', 'r').slice(0, 2), intruding].filter((one) => one !== undefined);
    const refused = await refusalOf(developer.config.apply({ scope: 'acme', resources }));
    expect(refused.problems[0]?.message).not.toContain('globex"');
  });
});

describe('tokens', () => {
  it('are shown once, listed without their secret, and revoked', async () => {
    const { token, secret } = await api.operator.tokens.createToken({
      name: 'ci',
      role: Role.DEVELOPER,
      tenants: ['acme'],
    });
    const ci = adminClient(api.url, secret);
    await ci.config.list({ scope: 'acme' });
    const list = await api.operator.tokens.listTokens({});
    expect(list.tokens.find(({ id }) => id === token?.id)).toMatchObject({
      name: 'ci',
      role: Role.DEVELOPER,
      tenants: ['acme'],
    });
    expect(
      JSON.stringify(list, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value)),
    ).not.toContain(secret.split('_')[2]);
    await api.operator.tokens.revokeToken({ id: token?.id ?? '' });
    expect(await refusalOf(ci.config.list({ scope: 'acme' }))).toMatchObject({ code: 'Unauthenticated' });
    expect(await refusalOf(api.operator.tokens.revokeToken({ id: 'nobody' }))).toMatchObject({ code: 'NotFound' });
  });

  it('expire', async () => {
    const { secret } = await api.operator.tokens.createToken({ name: 'x', role: Role.AUDITOR, ttlSeconds: 1n });
    const auditor = adminClient(api.url, secret);
    await auditor.config.list({ scope: 'acme' });
    await expect
      .poll(
        () =>
          auditor.config.list({ scope: 'acme' }).then(
            () => 'works',
            () => 'expired',
          ),
        { timeout: 5_000 },
      )
      .toBe('expired');
  });

  it('of a tenant are managed by its admin, who cannot grant more than he has', async () => {
    const admin = await api.as(Role.TENANT_ADMIN, 'acme');
    const { token } = await admin.tokens.createToken({ name: 'colleague', role: Role.DEVELOPER, tenants: ['acme'] });
    const seen = (await admin.tokens.listTokens({})).tokens;
    expect(seen.map(({ id }) => id)).toContain(token?.id);
    expect(seen.every(({ tenants }) => tenants.length === 1 && tenants[0] === 'acme')).toBe(true);
    for (const more of [
      { role: Role.OPERATOR },
      { role: Role.AUDITOR },
      { role: Role.DEVELOPER, tenants: ['globex'] },
      { role: Role.DEVELOPER, tenants: ['acme', 'globex'] },
      { role: Role.NODE, tenants: ['acme'], gateway: 'default' },
      { role: Role.RELAY, tenants: ['acme'], gateway: 'default' },
    ]) {
      expect(await refusalOf(admin.tokens.createToken({ name: 'more', ...more }))).toMatchObject({
        code: 'PermissionDenied',
      });
    }
    const [operatorToken] = (await api.operator.tokens.listTokens({})).tokens;
    expect(await refusalOf(admin.tokens.revokeToken({ id: operatorToken?.id ?? '' }))).toMatchObject({
      code: 'NotFound',
    });
  });

  it('that make no sense are refused', async () => {
    for (const request of [
      { name: '', role: Role.OPERATOR },
      { name: 'x' },
      { name: 'x', role: Role.OPERATOR, tenants: ['acme'] },
      { name: 'x', role: Role.DEVELOPER },
      { name: 'x', role: Role.NODE },
      { name: 'x', role: Role.AUDITOR, gateway: 'default' },
      { name: 'x', role: Role.AUDITOR, tenantSelector: 'tier=gold' },
      { name: 'x', role: Role.NODE, gateway: 'default', tenantSelector: 'tier>gold' },
      { name: 'x', role: Role.RELAY },
      { name: 'x', role: Role.RELAY, gateway: 'default', family: 'envoy' },
    ]) {
      expect(await refusalOf(api.operator.tokens.createToken(request))).toMatchObject({ code: 'InvalidArgument' });
    }
    const forNobody = api.operator.tokens.createToken({ name: 'x', role: Role.DEVELOPER, tenants: ['nobody'] });
    expect(await refusalOf(forNobody)).toMatchObject({ code: 'NotFound' });
  });
});

describe('tenants', () => {
  it('are created, listed and deleted, with force when they have resources', async () => {
    const created = await api.operator.tenants.createTenant({ name: 'brief', spec: { displayName: 'Brief' } });
    expect(created.tenant).toMatchObject({
      name: 'brief',
      spec: { displayName: 'Brief' },
      revision: 0n,
      resourceCount: 0,
    });
    expect(await refusalOf(api.operator.tenants.createTenant({ name: 'brief' }))).toMatchObject({
      code: 'AlreadyExists',
    });
    expect(await refusalOf(api.operator.tenants.createTenant({ name: 'operator' }))).toMatchObject({
      code: 'InvalidArgument',
    });
    await api.operator.config.apply({ scope: 'brief', resources: route('brief', 'r') });
    expect((await api.operator.tenants.listTenants({})).tenants.map(({ name }) => name)).toEqual([
      'acme',
      'brief',
      'globex',
    ]);
    expect(await refusalOf(api.operator.tenants.deleteTenant({ name: 'brief' }))).toMatchObject({
      code: 'FailedPrecondition',
    });
    await api.operator.tenants.deleteTenant({ name: 'brief', force: true });
    expect(await refusalOf(api.operator.tenants.getTenant({ tenant: 'brief' }))).toMatchObject({ code: 'NotFound' });
    expect(await refusalOf(api.operator.tenants.deleteTenant({ name: 'brief' }))).toMatchObject({ code: 'NotFound' });
  });

  it('are created once by a repeated request', async () => {
    const request = { name: 'once', requestId: '7d1a2f6e-52b5-4c1f-9a51-3a1de2f1b002' };
    const first = await api.operator.tenants.createTenant(request);
    expect(await api.operator.tenants.createTenant(request)).toEqual(first);
    await api.operator.tenants.deleteTenant({ name: 'once' });
  });
});
