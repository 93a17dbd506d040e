import { Code, type ConnectError } from '@connectrpc/connect';
import { Role } from '@signalbox/proto/signalbox/admin/v1/token_service_pb.ts';
import { until } from '@signalbox/test-harness';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { type ApiFixture, doc, startApi } from './api-fixture.ts';

const hash = 'f'.repeat(64);
let api: ApiFixture;

beforeAll(async () => {
  api = await startApi(inject('pgUrl'), { SIGNALBOX_API_DUMP_RESOURCES: '20' });
  const listeners = [{ name: 'main', port: 8080 }];
  const dataPlanes = ['NATIVE', 'ENVOY', 'AGENTGATEWAY'];
  await api.operator.config.apply({
    scope: 'operator',
    resources: [doc('Gateway', '', 'edge', { listeners, dataPlanes } as never)],
  });
  await api.tenants('acme', 'globex');
  for (const tenant of ['acme', 'globex']) {
    await api.operator.config.apply({
      scope: tenant,
      resources: [
        doc('Backend', tenant, 'tools', { mcp: { url: 'http://10.0.0.7/mcp' } }),
        doc('VirtualServer', tenant, 'tools', { members: [{ backend: 'tools' }] }),
        doc('Route', tenant, 'tools', {
          ...{ gateway: 'edge', unenforceable: 'RESTRICT', match: { path: `/${tenant}/tools` } },
          mcp: { virtualServer: 'tools' },
        }),
        doc('Policy', tenant, 'keys', {
          ...{ target: { tenant: {} }, authorization: [{ effect: 'ALLOW', when: 'true' }] },
          authentication: { apiKeys: [{ subject: 'ci', sha256: hash }] },
        }),
      ],
    });
  }
  await until('everything to be published', async () => {
    const { scopes } = await api.operator.dump.dumpConfig({ gateway: 'edge' });
    return scopes.every(({ scope, revision }) => revision === (scope === 'operator' ? 4n : 1n)) || undefined;
  });
});

afterAll(async () => {
  await api?.[Symbol.asyncDispose]();
});

const dump = async (request: Parameters<ApiFixture['operator']['dump']['dumpConfig']>[0]) =>
  (await api.operator.dump.dumpConfig({ gateway: 'edge', ...request })).resources;

describe('a dump of what discovery sends', () => {
  it('has the resources of nodes as they are committed', async () => {
    const kinds = (await dump({ tenants: ['acme'] })).map(({ type }) => type.slice(type.lastIndexOf('.') + 1));
    expect(kinds.toSorted()).toEqual(
      ['Backend', 'Gateway', 'Gateway', 'Policy', 'Route', 'Tenant', 'VirtualServer'].toSorted(),
    );
  });

  it.each(['native', 'envoy', 'agentgateway'])('has no hash of a key, for nodes of the family %s', async (family) => {
    const resources = await dump({ family });
    expect(resources.length).toBeGreaterThan(3);
    expect(JSON.stringify(resources.map(({ content }) => content))).not.toContain(hash);
  });

  it.each(['native', 'envoy', 'agentgateway'])(
    'has only what a credential for these tenants gets, for nodes of the family %s',
    async (family) => {
      const text = JSON.stringify(await dump({ family, tenants: ['acme'] }));
      expect(text).toContain('acme');
      expect(text).not.toContain('globex');
    },
  );

  it('has what a node of an older version gets', async () => {
    const typesOf = async (version: string) =>
      new Set((await dump({ family: 'envoy', version })).map(({ type }) => type.slice(type.lastIndexOf('.') + 1)));
    expect(await typesOf('1.40.0')).toContain('Cluster');
    expect(await typesOf('1.39.0')).not.toContain('Cluster');
  });

  it.each([
    ['no gateway', { gateway: '' }, Code.InvalidArgument],
    ['an unknown gateway', { gateway: 'nowhere' }, Code.NotFound],
    ['an unknown family', { family: 'nginx' }, Code.InvalidArgument],
    ['an unknown tenant', { tenants: ['nobody'] }, Code.NotFound],
  ])('is refused for %s', async (_name, request, code) => {
    await expect(dump(request)).rejects.toMatchObject({ code });
  });

  it('is not for callers that are bound to tenants', async () => {
    const auditor = await api.as(Role.AUDITOR, 'acme');
    await expect(auditor.dump.dumpConfig({ gateway: 'edge', tenants: ['acme'] })).rejects.toMatchObject({
      code: Code.PermissionDenied,
    });
    const global = await api.as(Role.AUDITOR);
    expect((await global.dump.dumpConfig({ gateway: 'edge', tenants: ['acme'] })).resources.length).toBeGreaterThan(4);
  });

  it('is bounded', async () => {
    await api.tenants(...Array.from({ length: 20 }, (_, at) => `tenant-${at}`));
    const refused = until('the tenants to be published', async () => {
      const error = await dump({}).then(
        () => undefined,
        (reason: unknown) => reason as ConnectError,
      );
      return error;
    });
    expect((await refused).code).toBe(Code.ResourceExhausted);
  });
});
