import { randomUUID } from 'node:crypto';
import { controlPlaneSettings, type RunningControlPlane, startControlPlane } from '@signalbox/control-plane';
import { Role } from '@signalbox/proto/signalbox/admin/v1/token_service_pb.ts';
import { readSettings } from '@signalbox/runtime';
import { MemoryLogger } from '@signalbox/runtime/testing';
import { type Admin, adminClient, createMigratedDatabase, gateway, until } from '@signalbox/test-harness';
import { grpcProjection } from './grpc-family.ts';
import type { Subscriber } from './raw-stream.ts';
import { testProjection } from './test-family.ts';

interface TokenFor {
  /** Tenants; all if there are none. */
  readonly tenants?: readonly string[];
  /** Labels of further tenants. */
  readonly selector?: string;
  readonly family?: 'native' | 'test' | 'grpc';
  /** Default: default. */
  readonly gateway?: string;
  /** It is for a relay. */
  readonly relay?: boolean;
}

/** A real control plane on a database of its own, serving the native family, the test family and one for gRPC clients. */
export interface ControlPlane extends AsyncDisposable {
  readonly admin: Admin;
  readonly running: RunningControlPlane;
  readonly databaseUrl: string;
  readonly logger: MemoryLogger;
  /** A new tenant of a random name. */
  tenant(): Promise<string>;
  /** Writes, replaces and deletes (null) backends by name, in one revision. The text makes the difference. */
  backends(tenant: string, texts: Readonly<Record<string, string | null>>): Promise<bigint>;
  /** Writes backends by name with whole URLs. */
  backendUrls(tenant: string, urls: Readonly<Record<string, string>>): Promise<bigint>;
  /** A subscriber with a new token. */
  subscriber(token?: TokenFor): Promise<Subscriber>;
  /** Another replica on the same database. */
  replica(settings?: Readonly<Record<string, string>>): Promise<Replica>;
  /** The value of a counter or gauge without labels. */
  metric(name: string): Promise<number>;
}

interface Replica extends AsyncDisposable {
  readonly running: RunningControlPlane;
  readonly address: string;
}

export async function startControlPlaneFor(
  pgUrl: string,
  settings: Readonly<Record<string, string>> = {},
): Promise<ControlPlane> {
  const databaseUrl = await createMigratedDatabase(pgUrl);
  const logger = new MemoryLogger();
  const running = await startReplica(databaseUrl, logger, settings);
  const admin = adminClient(running.apiUrl, running.operatorToken?.reveal() ?? '');
  await admin.config.apply({ scope: 'operator', resources: [plain(gateway())] });
  const address = addressOf(running);
  return {
    ...{ admin, running, databaseUrl, logger },
    async tenant() {
      const name = `t${randomUUID().slice(0, 8)}`;
      await admin.tenants.createTenant({ name });
      return name;
    },
    async backends(tenant, texts) {
      const entries = Object.entries(texts);
      const { revision } = await admin.config.apply({
        scope: tenant,
        resources: entries.flatMap(([name, text]) => (text === null ? [] : backend(tenant, name, text))),
        delete: entries.flatMap(([name, text]) => (text === null ? { kind: 'Backend', name } : [])),
        requestId: randomUUID(),
      });
      return revision;
    },
    async backendUrls(tenant, urls) {
      const resources = Object.entries(urls).map(([name, url]) => ({
        ...{ kind: 'Backend', tenant, name },
        spec: { mcp: { url } },
      }));
      return (await admin.config.apply({ scope: tenant, resources, requestId: randomUUID() })).revision;
    },
    async subscriber({ tenants = [], selector = '', family = 'native', gateway: of = 'default', relay = false } = {}) {
      const bound = { tenants: [...tenants], tenantSelector: selector, gateway: of };
      const request = { name: 'subscriber', role: relay ? Role.RELAY : Role.NODE, family, ...bound };
      const { secret } = await admin.tokens.createToken(request);
      return { address, token: secret };
    },
    async replica(more = {}) {
      const other = await startReplica(databaseUrl, logger, { ...settings, ...more });
      return {
        running: other,
        address: addressOf(other),
        [Symbol.asyncDispose]: async () => void (await other.stop(2_000)),
      };
    },
    async metric(name) {
      const text = await (await fetch(`${running.apiUrl}/metrics`)).text();
      const line = text.split('\n').find((each) => each.startsWith(`${name} `));
      return Number(line?.split(' ')[1] ?? 0);
    },
    [Symbol.asyncDispose]: async () => void (await running.stop(2_000)),
  };
}

function startReplica(databaseUrl: string, logger: MemoryLogger, settings: Readonly<Record<string, string>>) {
  return startControlPlane({
    logger,
    projections: [testProjection, grpcProjection],
    settings: readSettings(controlPlaneSettings, {
      DATABASE_URL: databaseUrl,
      SIGNALBOX_API_LISTEN: '127.0.0.1:0',
      SIGNALBOX_DISCOVERY_LISTEN: '127.0.0.1:0',
      ...settings,
    }),
  });
}

function addressOf({ discoveryAddress: { host, port } }: RunningControlPlane): string {
  return `${host}:${port}`;
}

/** A backend as a request carries it. */
export function backend(tenant: string, name: string, text: string) {
  return { kind: 'Backend', tenant, name, spec: { mcp: { url: `http://127.0.0.1:1/${text}` } } };
}

/** A virtual server and a route to a backend. */
export function route(tenant: string, name: string, to: string) {
  return [
    { kind: 'VirtualServer', tenant, name, spec: { members: [{ backend: to }] } },
    {
      ...{ kind: 'Route', tenant, name },
      spec: { gateway: 'default', match: { path: `/${tenant}/${name}` }, mcp: { virtualServer: name } },
    },
    {
      ...{ kind: 'Policy', tenant, name },
      spec: {
        target: { route: name },
        authentication: { anonymous: {} },
        authorization: [{ effect: 'ALLOW', when: 'true' }],
      },
    },
  ];
}

/** What the API knows of a node. */
export function nodeStatus(admin: Admin, id: string) {
  return until(`node ${id} to be known`, async () => {
    const { nodes } = await admin.nodes.listNodes({});
    return nodes.find((node) => node.id === id);
  });
}

function plain(file: ReturnType<typeof gateway>) {
  const { name } = file['metadata'] as { name: string };
  return { kind: file['kind'] as string, tenant: '', name, spec: file['spec'] as Record<string, never> };
}
