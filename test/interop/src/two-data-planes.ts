import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import {
  compileOperator,
  compileTenant,
  decodeDocument,
  makeSnapshot,
  type OperatorTable,
  parseResourceFile,
  type Problem,
  type TenantTable,
} from '@signalbox/config';
import {
  defaultEnvoyOptions,
  envoyBootstrap,
  envoyPlane,
  planeProblems,
  projectEnvoy,
} from '@signalbox/control-plane/projections';
import { freePort, type ResourceFile, startFileNode, tenant, yaml } from '@signalbox/test-harness';
import { type EnvoyDiscovery, startEnvoyDiscovery } from './envoy-discovery.ts';
import { startEnvoy } from './envoy-process.ts';

/** The same resources, served by our own proxy and by a stock Envoy that has them from discovery. */
export interface TwoDataPlanes {
  readonly problems: readonly Problem[];
  readonly discovery: EnvoyDiscovery;
  /** URL of a route's endpoint on our proxy. */
  ours(route: string): string;
  envoys(route: string): string;
  /** Scheme, host and port of each. */
  readonly origins: { readonly ours: string; readonly envoys: string };
  /** Gives Envoy other resources, and waits until it has accepted them. */
  change(resources: readonly ResourceFile[]): Promise<void>;
  stop(): Promise<void>;
}

/** @param certificatesFolder where both find certificates that backends are shown. */
export async function startTwoDataPlanes(
  binary: string,
  resources: readonly ResourceFile[],
  certificatesFolder = '/nowhere',
): Promise<TwoDataPlanes> {
  const [port, adminPort] = [await freePort(), await freePort()];
  const common = [gatewayWithEnvoy(port), tenant()];
  const { operator, tenants } = compile([...common, ...resources]);
  const options = { ...defaultEnvoyOptions, bindAddress: '127.0.0.1', certificatesFolder };
  const folder = await mkdtemp(join(tmpdir(), 'signalbox-interop-'));
  const config = join(folder, 'resources.yaml');
  await writeFile(config, yaml([...common, ...resources]));
  const discovery = await startEnvoyDiscovery(projectEnvoy('default', operator, tenants, options));
  const proxy = await startFileNode(config, { SIGNALBOX_PROXY_CERTIFICATES: certificatesFolder });
  const bootstrap = envoyBootstrap({
    nodeId: 'envoy-1',
    gateway: 'default',
    discovery: { host: '127.0.0.1', port: discovery.port, tls: false },
    token: discovery.token,
    adminPort,
    trustedCaFile: defaultEnvoyOptions.trustedCaFile,
  });
  const stopRest = async () => {
    discovery.stop();
    await proxy.stop();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const envoy = await startEnvoy(binary, bootstrap, adminPort);
    return {
      problems: tenants.flatMap((table) => planeProblems(envoyPlane, operator, table)),
      discovery,
      ours: (route) => proxy.endpoint('acme', route),
      origins: { ours: new URL(proxy.endpoint('acme', 'any')).origin, envoys: `http://127.0.0.1:${port}` },
      envoys: (route) => `http://127.0.0.1:${port}/acme/${route}/mcp`,
      change: async (next) => {
        const tables = compile([...common, ...next]);
        await discovery.set(projectEnvoy('default', tables.operator, tables.tenants, options));
      },
      stop: async () => {
        await envoy.stop();
        await stopRest();
      },
    };
  } catch (error) {
    await stopRest();
    throw new Error(`${String(error)}\nrefusals: ${JSON.stringify(discovery.refusals, bigints)}`, { cause: error });
  }
}

function bigints(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value;
}

/** The gateway of tests, served by both, on a port of its own. */
export function gatewayWithEnvoy(port: number): ResourceFile {
  return {
    ...{ apiVersion: 'signalbox.dev/v1', kind: 'Gateway', metadata: { name: 'default' } },
    spec: { listeners: [{ name: 'main', port }], dataPlanes: ['NATIVE', 'ENVOY'] },
  };
}

function compile(resources: readonly ResourceFile[]): { operator: OperatorTable; tenants: readonly TenantTable[] } {
  const parsed = parseResourceFile(yaml(resources), { file: 'resources.yaml', variables: () => undefined });
  const decoded = parsed.documents.map(decodeDocument);
  fail([...parsed.problems, ...decoded.flatMap(({ problems }) => problems)]);
  const stored = decoded.flatMap(({ resource }) => resource ?? []);
  const snapshotOf = (scope: string) =>
    makeSnapshot(
      scope,
      1n,
      stored.filter((resource) => resource.scope === scope).map((resource) => resource.stored),
    );
  const operator = compileOperator(snapshotOf('operator'));
  fail(operator.problems);
  if (!operator.table) throw new Error('the operator has no table');
  const { table, problems } = compileTenant(snapshotOf('acme'), operator.table);
  fail(problems);
  return { operator: operator.table, tenants: table ? [table] : [] };
}

function fail(problems: readonly Problem[]): void {
  const errors = problems.filter(({ severity }) => severity === 'error');
  if (errors.length > 0)
    throw new Error(errors.map(({ name, field, message }) => `${name} ${field} ${message}`).join('\n'));
}
