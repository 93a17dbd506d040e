import { Code, ConnectError } from '@connectrpc/connect';
import { controlPlaneSettings, type RunningControlPlane, startControlPlane } from '@signalbox/control-plane';
import { ProblemsSchema } from '@signalbox/proto/signalbox/admin/v1/resource_pb.ts';
import { Role } from '@signalbox/proto/signalbox/admin/v1/token_service_pb.ts';
import { readSettings } from '@signalbox/runtime';
import { MemoryLogger } from '@signalbox/runtime/testing';
import { type Admin, adminClient, createMigratedDatabase } from '@signalbox/test-harness';

/** A control plane of its own, with a database of its own and the gateway `default`. */
export interface ApiFixture extends AsyncDisposable {
  readonly url: string;
  readonly databaseUrl: string;
  readonly running: RunningControlPlane;
  readonly logger: MemoryLogger;
  readonly operatorToken: string;
  readonly operator: Admin;
  /** A new token's text. */
  token(role: Role, ...tenants: string[]): Promise<string>;
  /** The API with a new token. */
  as(role: Role, ...tenants: string[]): Promise<Admin>;
  /** Creates tenants. */
  tenants(...names: string[]): Promise<void>;
}

export async function startApi(pgUrl: string, settings: Record<string, string> = {}): Promise<ApiFixture> {
  const databaseUrl = await createMigratedDatabase(pgUrl);
  const logger = new MemoryLogger();
  const running = await startControlPlane({
    logger,
    settings: readSettings(controlPlaneSettings, {
      DATABASE_URL: databaseUrl,
      SIGNALBOX_API_LISTEN: '127.0.0.1:0',
      SIGNALBOX_DISCOVERY_LISTEN: '127.0.0.1:0',
      ...settings,
    }),
  });
  const url = running.apiUrl;
  const operatorToken = running.operatorToken?.reveal() ?? '';
  const operator = adminClient(url, operatorToken);
  const listeners = [{ name: 'main', port: 8080 }];
  await operator.config.apply({ scope: 'operator', resources: [doc('Gateway', '', 'default', { listeners })] });
  const token = async (role: Role, ...tenants: string[]) => {
    const gateway = role === Role.NODE ? 'default' : '';
    return (await operator.tokens.createToken({ name: 'somebody', role, tenants, gateway })).secret;
  };
  return {
    ...{ url, databaseUrl, running, logger, operatorToken, operator, token },
    as: async (role, ...tenants) => adminClient(url, await token(role, ...tenants)),
    tenants: async (...names) => {
      for (const name of names) await operator.tenants.createTenant({ name });
    },
    [Symbol.asyncDispose]: async () => void (await running.stop(2_000)),
  };
}

type Spec = Record<string, never> | { [key: string]: string | number | boolean | Spec | (string | Spec)[] };

/** A resource as a request carries it. */
export function doc(kind: string, tenant: string, name: string, spec: Spec) {
  return { kind, tenant, name, spec };
}

/** A route with everything that it needs; `when` allows tools. */
export function route(tenant: string, name: string, when = 'true') {
  return [
    doc('Backend', tenant, name, { mcp: { url: `http://127.0.0.1:1/${name}` } }),
    doc('VirtualServer', tenant, name, { members: [{ backend: name }] }),
    doc('Route', tenant, name, {
      gateway: 'default',
      match: { path: `/${tenant}/${name}` },
      mcp: { virtualServer: name },
    }),
    doc('Policy', tenant, name, {
      target: { route: name },
      authentication: { anonymous: {} },
      authorization: [{ effect: 'ALLOW', when }],
    }),
  ];
}

/** What a call is refused with. @throws Error if it is not refused. */
export async function refusalOf(call: Promise<unknown>) {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => ConnectError.from(reason),
  );
  if (!error) throw new Error('the call was not refused');
  const problems = error.findDetails(ProblemsSchema).flatMap((detail) => detail.problems);
  return { code: Code[error.code], message: error.rawMessage, problems };
}
