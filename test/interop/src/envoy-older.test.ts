import { type RunningControlPlane, controlPlaneSettings, startControlPlane } from '@signalbox/control-plane';
import { defaultEnvoyOptions, envoyBootstrap, envoyProjection } from '@signalbox/control-plane/projections';
import { Role } from '@signalbox/proto/signalbox/admin/v1/token_service_pb.ts';
import { readSettings } from '@signalbox/runtime';
import { MemoryLogger } from '@signalbox/runtime/testing';
import {
  type Admin,
  adminClient,
  createDatabase,
  freePort,
  type HttpFixture,
  mcpRoute,
  type ModernMcpServer,
  type ResourceFile,
  startHttpFixture,
  startModernMcpServer,
  tenant,
  until,
} from '@signalbox/test-harness';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { envoyVersions } from './envoy-binary.ts';
import { type EnvoyProcess, startEnvoy } from './envoy-process.ts';
import { gatewayWithEnvoy } from './two-data-planes.ts';

const binary = inject('olderEnvoy');

describe.skipIf(binary === '')('a stock Envoy that is too old for MCP', () => {
  const logger = new MemoryLogger();
  let upstream: ModernMcpServer;
  let web: HttpFixture;
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
    web = await startHttpFixture((_request, response) => void response.end('from the web'));
    const environment = {
      DATABASE_URL: await createDatabase(inject('pgUrl')),
      SIGNALBOX_API_LISTEN: '127.0.0.1:0',
      SIGNALBOX_DISCOVERY_LISTEN: '127.0.0.1:0',
    };
    controlPlane = await startControlPlane({
      settings: readSettings(controlPlaneSettings, environment),
      logger,
      projections: [envoyProjection({ ...defaultEnvoyOptions, bindAddress: '127.0.0.1' })],
    });
    admin = adminClient(controlPlane.apiUrl, controlPlane.operatorToken?.reveal() ?? '');
    port = await freePort();
    await apply('operator', [gatewayWithEnvoy(port), tenant()]);
    const named = (kind: string, spec: object): ResourceFile => ({
      ...{ kind, metadata: { tenant: 'acme', name: 'web' } },
      spec,
    });
    await apply('acme', [
      ...mcpRoute({ name: 'tools', url: upstream.url, anonymous: true, rules: ['true'] }),
      named('Backend', { http: { url: web.origin } }),
      named('Route', { gateway: 'default', match: { path: '/acme/web' }, http: { backend: 'web' } }),
      named('Policy', {
        ...{ target: { route: 'web' }, authentication: { anonymous: {} } },
        ...{ authorization: [{ effect: 'ALLOW', when: 'http.method == "GET"' }], limits: { callsPerMinute: 600 } },
      }),
    ]);
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
    await web?.stop();
  });

  it('denies routes of MCP, and says why', async () => {
    const answer = await fetch(`http://127.0.0.1:${port}/acme/tools/mcp`, { method: 'POST', body: '{}' });
    expect([answer.status, await answer.text()]).toEqual([
      403,
      'Route acme/tools needs an Envoy of version 1.40 or newer.\n',
    ]);
    expect(upstream.requests.items).toEqual([]);
  });

  it('serves routes of HTTP, and enforces their rules', async () => {
    const url = `http://127.0.0.1:${port}/acme/web/page`;
    const [got, posted] = [await fetch(url), await fetch(url, { method: 'POST', body: 'x' })];
    expect([got.status, await got.text(), posted.status]).toEqual([200, 'from the web', 403]);
  });

  it('accepts what it gets, and shows its version among the nodes', async () => {
    const shown = await until('Envoy to be shown', async () => {
      const { nodes } = await admin.nodes.listNodes({});
      const node = nodes.find(({ id }) => id === 'envoy-1');
      return node?.scopes.every((one) => one.appliedRevision === one.desiredRevision) ? node : undefined;
    });
    expect([shown.version, shown.lastNack]).toEqual([envoyVersions.older, undefined]);
  });

  it('is a warning in the log of the control plane', () => {
    expect(logger.lines).toContainEqual(
      expect.objectContaining({
        ...{ level: 'warn', message: expect.stringContaining('an Envoy before 1.40') },
      }),
    );
  });
});
