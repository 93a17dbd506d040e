import { type RunningControlPlane, controlPlaneSettings, startControlPlane } from '@signalbox/control-plane';
import { defaultEnvoyOptions, envoyBootstrap, envoyProjection } from '@signalbox/control-plane/projections';
import { Role } from '@signalbox/proto/signalbox/admin/v1/token_service_pb.ts';
import { jsonLogger, readSettings } from '@signalbox/runtime';
import {
  type Admin,
  adminClient,
  createDatabase,
  freePort,
  mcpRoute,
  type ModernMcpServer,
  policy,
  RawMcpClient,
  type ResourceFile,
  startModernMcpServer,
  tenant,
  until,
} from '@signalbox/test-harness';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { type EnvoyProcess, startEnvoy } from './envoy-process.ts';
import { gatewayWithEnvoy } from './two-data-planes.ts';

const binary = inject('envoy');

describe.skipIf(binary === '')('a stock Envoy that a control plane configures', () => {
  let upstream: ModernMcpServer;
  let controlPlane: RunningControlPlane;
  let admin: Admin;
  let envoy: EnvoyProcess;
  let port: number;

  const apply = (scope: string, files: readonly ResourceFile[]) =>
    admin.config.apply({
      scope,
      resources: files.map((file) => {
        const { name, tenant: owner = '' } = file['metadata'] as { name: string; tenant?: string };
        return { kind: String(file['kind']), tenant: owner, name, spec: file['spec'] as never };
      }),
    });

  beforeAll(async () => {
    upstream = await startModernMcpServer();
    const environment = {
      DATABASE_URL: await createDatabase(inject('pgUrl')),
      SIGNALBOX_API_LISTEN: '127.0.0.1:0',
      SIGNALBOX_DISCOVERY_LISTEN: '127.0.0.1:0',
    };
    controlPlane = await startControlPlane({
      settings: readSettings(controlPlaneSettings, environment),
      logger: jsonLogger('silent'),
      projections: [envoyProjection({ ...defaultEnvoyOptions, bindAddress: '127.0.0.1' })],
    });
    admin = adminClient(controlPlane.apiUrl, controlPlane.operatorToken?.reveal() ?? '');
    port = await freePort();
    await apply('operator', [gatewayWithEnvoy(port), tenant()]);
    await apply(
      'acme',
      mcpRoute({ name: 'tools', url: upstream.url, anonymous: true, rules: ['tool.name == "read"'] }),
    );
    const request = { name: 'envoy-1', role: Role.NODE, gateway: 'default', tenants: [], family: 'envoy' };
    const { secret } = await admin.tokens.createToken(request);
    const adminPort = await freePort();
    const bootstrap = envoyBootstrap({
      ...{ nodeId: 'envoy-1', gateway: 'default', token: secret, adminPort },
      discovery: { ...controlPlane.discoveryAddress, tls: false },
      trustedCaFile: defaultEnvoyOptions.trustedCaFile,
    });
    envoy = await startEnvoy(binary, bootstrap, adminPort);
  });

  afterAll(async () => {
    await envoy?.stop();
    await controlPlane?.stop();
    await upstream?.stop();
  });

  const call = async (name: string) =>
    (await new RawMcpClient({ url: `http://127.0.0.1:${port}/acme/tools/mcp` }).modern('tools/call', { name })).status;

  it('enforces what is committed, and what is committed later', async () => {
    expect([await call('read'), await call('write')]).toEqual([200, 403]);
    await apply('acme', [policy({ name: 'tools', anonymous: true, rules: ['tool.name == "write"'] })]);
    await until('Envoy to enforce the new policy', async () => ((await call('write')) === 200 ? true : undefined));
    expect(await call('read')).toBe(403);
  });

  it('shows among the nodes, with the revision that it runs', async () => {
    const shown = await until('Envoy to be shown', async () => {
      const { nodes } = await admin.nodes.listNodes({});
      const acme = nodes.find(({ id }) => id === 'envoy-1')?.scopes.find(({ scope }) => scope === 'acme');
      return acme && acme.appliedRevision === acme.desiredRevision ? acme : undefined;
    });
    expect(shown.appliedRevision).toBe(2n);
  });

  it('is a reason to refuse a policy that it cannot enforce', async () => {
    const rules = ['args.user == principal.subject'];
    const refused = apply('acme', [policy({ name: 'tools', anonymous: true, rules })]);
    await expect(refused).rejects.toThrow(/refused|enforce/);
    expect(await call('write')).toBe(200);
  });
});
