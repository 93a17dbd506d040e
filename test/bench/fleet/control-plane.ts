import { Role } from '@signalbox/proto/signalbox/admin/v1/token_service_pb.ts';
import { type Admin, adminClient, freePort, gateway, type ResourceFile, tenant } from '@signalbox/test-harness';
import postgres from 'postgres';

import { ApplyCaller } from './apply-call.ts';
import type { ControlPlaneMemory, ControlPlaneReady } from './control-plane-process.ts';
import { nowMs } from './fleet.ts';
import { Forked } from './forked.ts';
import { progress } from './progress.ts';

/** A control plane in a process of its own. */
export interface MeasuredControlPlane extends AsyncDisposable {
  readonly admin: Admin;
  readonly writer: ApplyCaller;
  readonly operatorToken: string;
  readonly pid: number;
  readonly port: number;
  /** From the start of the process until it serves. */
  readonly startedInMs: number;
  memory(collected: boolean): Promise<ControlPlaneMemory>;
}

export interface StartOptions {
  readonly databaseUrl: string;
  /** Of an earlier start with the same database. */
  readonly operatorToken?: string;
  readonly cpuProfile?: string | undefined;
}

export async function startMeasured(options: StartOptions): Promise<MeasuredControlPlane> {
  const startedMs = nowMs();
  const { cpuProfile } = options;
  const child = new Forked<'memory' | 'collected memory', ControlPlaneMemory>('control-plane-process.ts', {
    env: {
      DATABASE_URL: options.databaseUrl,
      SIGNALBOX_API_LISTEN: `127.0.0.1:${await freePort()}`,
      SIGNALBOX_DISCOVERY_LISTEN: '127.0.0.1:0',
      SIGNALBOX_LOG_LEVEL: 'warn',
    },
    execArgv: ['--expose-gc', ...(cpuProfile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${cpuProfile}`])],
  });
  const { apiUrl, port, operatorToken = options.operatorToken } = await child.next<ControlPlaneReady>();
  if (operatorToken === undefined) throw new Error('this database has an operator already: its token is needed');
  return {
    ...{ operatorToken, pid: child.pid, port, startedInMs: nowMs() - startedMs },
    admin: adminClient(apiUrl, operatorToken),
    writer: new ApplyCaller(apiUrl, operatorToken),
    memory: (collected) => child.ask(collected ? 'collected memory' : 'memory'),
    [Symbol.asyncDispose]: () => child[Symbol.asyncDispose](),
  };
}

/** The tenant that every node sees. */
export const everyone = 'everyone';

export function tenantName(n: number): string {
  return `tenant-${n}`;
}

/** A backend of a tenant; the text makes the difference. About 300 bytes on the wire. */
export function backend(scope: string, name: string, text: string) {
  const url = `http://mcp.${scope}.svc.cluster.example:8080/${'path/'.repeat(20)}${text}`;
  return { kind: 'Backend', tenant: scope, name, spec: { mcp: { url } } };
}

const resourcesPerApply = 2_500;

/** Creates tenants through the API, and gives each the same resources as the first, in the database. */
export async function seed(
  { admin }: MeasuredControlPlane,
  databaseUrl: string,
  size: { readonly tenants: number; readonly resourcesPerTenant: number },
): Promise<void> {
  const step = progress(`${size.tenants} tenants`);
  const names = [everyone, ...Array.from({ length: size.tenants }, (_, n) => tenantName(n))];
  const operators = [gateway(), ...names.map((name) => tenant(name))].map(plain);
  for (let at = 0; at < operators.length; at += resourcesPerApply) {
    await admin.config.apply({ scope: 'operator', resources: operators.slice(at, at + resourcesPerApply) });
  }
  step('created');
  const resources = Array.from({ length: size.resourcesPerTenant }, (_, n) =>
    backend(everyone, `backend-${n}`, 'seed'),
  );
  await admin.config.apply({ scope: everyone, resources });
  const sql = postgres(databaseUrl, { max: 1, onnotice: () => undefined });
  await sql`insert into signalbox.resource (tenant, kind, name, revision, digest, body)
    select t.name, r.kind, r.name, 1, r.digest, r.body from signalbox.tenant t, signalbox.resource r
    where t.name like 'tenant-%' and r.tenant = ${everyone}`;
  await sql`insert into signalbox.revision (tenant, revision, parent, cause, author, message, change_count)
    select name, 1, 0, 'apply', 'seed', '', ${size.resourcesPerTenant} from signalbox.tenant where name like 'tenant-%'`;
  await sql`update signalbox.tenant t set revision = 1, revised_at = r.at, resource_count = ${size.resourcesPerTenant}
    from signalbox.revision r where r.tenant = t.name and t.name like 'tenant-%'`;
  await sql`vacuum analyze signalbox.resource`;
  await sql`vacuum analyze signalbox.tenant`;
  await sql.end();
  step(`given ${size.resourcesPerTenant} resources each`);
}

/** A token for nodes that see these tenants. */
export async function nodeToken(admin: Admin, tenants: readonly string[]): Promise<string> {
  const request = { name: 'fleet', role: Role.NODE, gateway: 'default', tenants: [...tenants] };
  return (await admin.tokens.createToken(request)).secret;
}

function plain(file: ResourceFile) {
  const { name } = file['metadata'] as { name: string };
  return { kind: file['kind'] as string, tenant: '', name, spec: file['spec'] as Record<string, never> };
}
