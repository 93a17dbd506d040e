import type { JsonValue } from '@bufbuild/protobuf';
import type { Compiled } from '../compile/compiled.ts';
import { compileOperator } from '../compile/operator.ts';
import { decodeDocument } from '../resource.ts';
import { makeSnapshot, type StoredResource } from '../snapshot.ts';
import type { OperatorTable } from '../table.ts';

/** A stored resource from its spec; throws with the problems of one that is refused. */
export function stored(kind: string, id: string, spec: JsonValue): StoredResource {
  const [first = '', second] = id.split('/');
  const [tenant, name] = second === undefined ? ['', first] : [first, second];
  const { resource, problems } = decodeDocument({ kind, tenant, name, spec });
  if (resource === undefined) throw new Error(problems.map(({ field, message }) => `${field} ${message}`).join('; '));
  return resource.stored;
}

export function route(id: string, path: string, more: Record<string, JsonValue> = {}): StoredResource {
  const { gateway = 'default', ...match } = more;
  return stored('Route', id, { gateway, match: { path, ...match }, mcp: { virtualServer: 'server' } });
}

/** A backend, a virtual server and a policy that lets everyone call everything. */
export function basics(tenant: string): StoredResource[] {
  return [
    stored('Backend', `${tenant}/backend`, { mcp: { url: `http://127.0.0.1:3001/${tenant}` } }),
    stored('VirtualServer', `${tenant}/server`, { members: [{ backend: 'backend' }] }),
    stored('Policy', `${tenant}/open`, {
      target: { tenant: {} },
      authentication: { anonymous: {} },
      authorization: [{ effect: 'ALLOW', when: 'true' }],
    }),
  ];
}

/** An operator table with gateways `default` and `second` and the given tenants. */
export function operatorTable(...tenants: string[]): OperatorTable {
  return tableOf(
    compileOperator(
      makeSnapshot('operator', 1n, [
        stored('Gateway', 'default', { listeners: [{ name: 'http', port: 8080 }] }),
        stored('Gateway', 'second', { listeners: [{ name: 'http', port: 8081 }] }),
        ...tenants.map((name) => stored('Tenant', name, {})),
      ]),
    ),
  );
}

export function tableOf<T>({ table, problems }: Compiled<T>): T {
  if (table === undefined) throw new Error(problems.map(({ field, message }) => `${field} ${message}`).join('; '));
  return table;
}
