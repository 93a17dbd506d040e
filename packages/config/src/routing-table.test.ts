import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compileOperator } from './compile/operator.ts';
import { compileTenant } from './compile/tenant.ts';
import { assembleRoutingTable } from './routing-table.ts';
import { makeSnapshot, type StoredResource } from './snapshot.ts';
import type { OperatorTable, RouteRequest, RoutingTable, TenantTable } from './table.ts';
import { basics, operatorTable, route, stored, tableOf } from './testing/resources.ts';

describe('matching a request of an HTTP route', () => {
  const operator = operatorTable('acme');
  const http = (name: string, path: string, more: object = {}) =>
    stored('Route', `acme/${name}`, { gateway: 'default', match: { path, ...more }, http: { backend: 'orders' } });
  const table = assembleRoutingTable({
    operator,
    tenants: [
      tenantTable('acme', operator, [
        stored('Backend', 'acme/orders', { http: { url: 'http://127.0.0.1:1' } }),
        http('root', '/acme'),
        http('orders', '/acme/orders'),
        http('team', '/acme/orders', { headers: [{ name: 'x-team', exact: 'a' }] }),
        http('deep', '/acme/orders/special'),
        http('host', '/acme/host', { hostnames: ['a.example'] }),
        route('acme/mcp', '/acme/orders'),
      ]),
    ],
  });

  it.each([
    ['/acme', 'root'],
    ['/acme/', 'root'],
    ['/acme/other', 'root'],
    ['/acme/ordersX', 'root'],
    ['/acme/orders', 'orders'],
    ['/acme/orders/', 'orders'],
    ['/acme/orders/17/lines', 'orders'],
    ['/acme/orders/special/x', 'deep'],
    ['/acme/orders/mcp', 'mcp'],
    ['/acme/orders/mcp/', 'orders'],
    ['/acme/host/x', 'root'],
    [`/acme/${'x/'.repeat(4_000)}`, 'root'],
    ['/acmeX', undefined],
    ['/', undefined],
  ])('takes the longest path that it lies at or below: %.40s', (path, expected) => {
    const request = { gateway: 'default', host: 'localhost', path, header: () => undefined };
    expect(table.match(request)?.name).toBe(expected);
    const other = { ...request, gateway: 'second' };
    expect(table.match(other)).toBeUndefined();
  });

  it('looks at host names and headers as well', () => {
    const request = { gateway: 'default', host: 'a.example', path: '/acme/host/x', header: () => undefined };
    expect(table.match(request)?.name).toBe('host');
    const header = (name: string) => (name === 'x-team' ? 'a' : undefined);
    expect(table.match({ ...request, path: '/acme/orders/17', header })?.name).toBe('team');
  });
});

describe('matching a request', () => {
  const operator = operatorTable('acme', 'beta');
  const table = assembleRoutingTable({
    operator,
    tenants: [
      tenantTable('acme', operator, [
        route('acme/assistant', '/acme/assistant'),
        route('acme/root', '/acme'),
        route('acme/second', '/acme/assistant', { gateway: 'second' }),
        route('acme/host', '/acme/host', { hostnames: ['A.Example'] }),
        route('acme/header', '/acme/header', { headers: [{ name: 'X-Team', exact: 'rail' }] }),
        route('acme/headers', '/acme/header', {
          headers: [
            { name: 'x-team', exact: 'rail' },
            { name: 'x-env', exact: 'prod' },
          ],
        }),
        route('acme/plain', '/acme/header'),
      ]),
      tenantTable('beta', operator, [route('beta/assistant', '/beta/assistant')]),
    ],
  });

  it.each([
    ['/acme/assistant/mcp', 'acme/assistant'],
    ['/acme/mcp', 'acme/root'],
    ['/beta/assistant/mcp', 'beta/assistant'],
    ['/acme/assistant', undefined],
    ['/acme/assistant/mcp/', undefined],
    ['/acme/assistant/mcp/x', undefined],
    ['/ACME/assistant/mcp', undefined],
    ['/acme//assistant/mcp', undefined],
    ['/acmes/assistant/mcp', undefined],
    ['/mcp', undefined],
    ['/', undefined],
    ['', undefined],
    ['*', undefined],
  ])('%s leads to %s', (path, expected) => {
    expect(matched(table, { path })).toBe(expected);
  });

  it('keeps the routes of gateways apart', () => {
    expect(matched(table, { path: '/acme/assistant/mcp', gateway: 'second' })).toBe('acme/second');
    expect(matched(table, { path: '/acme/mcp', gateway: 'second' })).toBeUndefined();
    expect(matched(table, { path: '/acme/mcp', gateway: 'third' })).toBeUndefined();
  });

  it('compares host names in lower case', () => {
    expect(matched(table, { path: '/acme/host/mcp', host: 'a.example' })).toBe('acme/host');
    expect(matched(table, { path: '/acme/host/mcp', host: 'b.example' })).toBeUndefined();
  });

  it('prefers the route with most headers', () => {
    const lead = (headers: Record<string, string>): string | undefined =>
      matched(table, { path: '/acme/header/mcp', header: (name) => headers[name] });
    expect(lead({ 'x-team': 'rail', 'x-env': 'prod' })).toBe('acme/headers');
    expect(lead({ 'x-team': 'rail', 'x-env': 'test' })).toBe('acme/header');
    expect(lead({ 'x-team': 'Rail' })).toBe('acme/plain');
  });

  it('finds the tenant by a prefix of several segments', () => {
    const teams = tableOf(
      compileOperator(
        makeSnapshot('operator', 1n, [
          stored('Gateway', 'default', { listeners: [{ name: 'http', port: 8080 }] }),
          stored('Tenant', 'blue', { pathPrefixes: ['/blue', '/teams/x/blue'] }),
          stored('Tenant', 'red', { pathPrefixes: ['/teams/x/red'] }),
        ]),
      ),
    );
    const tenants = [
      tenantTable('blue', teams, [route('blue/a', '/teams/x/blue/a'), route('blue/b', '/blue')]),
      tenantTable('red', teams, [route('red/a', '/teams/x/red')]),
    ];
    const both = assembleRoutingTable({ operator: teams, tenants });
    const paths = ['/teams/x/blue/a/mcp', '/blue/mcp', '/teams/x/red/mcp', '/teams/x/mcp', '/teams/mcp'];
    expect(paths.map((path) => matched(both, { path }))).toEqual(['blue/a', 'blue/b', 'red/a', undefined, undefined]);
  });

  it('finds nothing before the operator has been received', () => {
    const early = assembleRoutingTable({ operator: null, tenants: table.tenants.values() });
    expect(matched(early, { path: '/acme/mcp' })).toBeUndefined();
  });

  it('finds nothing of a tenant on a prefix that has gone to another tenant', () => {
    const moved = tableOf(
      compileOperator(
        makeSnapshot('operator', 2n, [
          stored('Tenant', 'acme', { pathPrefixes: ['/new'] }),
          stored('Tenant', 'beta', { pathPrefixes: ['/acme'] }),
        ]),
      ),
    );
    const after = assembleRoutingTable({ operator: moved, tenants: table.tenants.values() });
    expect(matched(after, { path: '/acme/assistant/mcp' })).toBeUndefined();
  });
});

describe('the hash of a routing table', () => {
  const operator = operatorTable('acme', 'beta', 'gamma');
  const tables = ['acme', 'beta', 'gamma'].map((name) =>
    tenantTable(name, operator, [route(`${name}/a`, `/${name}/a`), route(`${name}/b`, `/${name}/b`)]),
  );
  const { hash } = assembleRoutingTable({ operator, tenants: tables });

  it('depends on the content only, not on orders or on an earlier table', () => {
    const shuffled = fc.shuffledSubarray(tables, { minLength: tables.length });
    fc.assert(
      fc.property(shuffled, fc.option(fc.subarray(tables)), (order, earlier) => {
        const previous = earlier === null ? undefined : assembleRoutingTable({ operator, tenants: earlier });
        const table = assembleRoutingTable({ operator, tenants: order }, previous);
        expect([table.hash, [...table.tenants.keys()].sort()]).toEqual([hash, ['acme', 'beta', 'gamma']]);
      }),
    );
  });

  it('changes with any content', () => {
    const changed = tenantTable('acme', operator, [route('acme/a', '/acme/a'), route('acme/b', '/acme/c')]);
    const others = [
      assembleRoutingTable({ operator, tenants: [changed, ...tables.slice(1)] }),
      assembleRoutingTable({ operator, tenants: tables.slice(1) }),
      assembleRoutingTable({ operator: null, tenants: tables }),
      assembleRoutingTable({ operator: operatorTable('acme', 'beta'), tenants: tables }),
    ];
    expect(new Set([hash, ...others.map((table) => table.hash)]).size).toBe(5);
  });

  it('shares the tables of tenants', () => {
    const table = assembleRoutingTable({ operator, tenants: tables });
    expect(tables.every((tenant) => table.tenants.get(tenant.tenant) === tenant)).toBe(true);
  });
});

function tenantTable(tenant: string, operator: OperatorTable, routes: readonly StoredResource[]): TenantTable {
  return tableOf(compileTenant(makeSnapshot(tenant, 1n, [...basics(tenant), ...routes]), operator));
}

function matched(table: RoutingTable, request: Partial<RouteRequest>): string | undefined {
  const entry = table.match({ gateway: 'default', host: 'localhost', path: '/', header: () => undefined, ...request });
  return entry && `${entry.tenant}/${entry.name}`;
}
