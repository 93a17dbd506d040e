import type { GatewayEntry, OperatorTable, McpRouteEntry, TenantTable } from '@signalbox/config';
import type { PlainResource } from '@signalbox/xds';
import { clusterResource } from './clusters.ts';
import { endpointResource } from './endpoints.ts';
import { listenerResource } from './listeners.ts';
import { defaultEnvoyOptions, type EnvoyOptions } from './options.ts';
import { type EnforcedRoute, routesResource } from './routes.ts';
import { enforce } from './rules.ts';
import { backendUpstream, keySetUpstream, type Upstream } from './upstream.ts';

/**
 * Everything that an Envoy of a gateway needs: clusters, endpoints, listeners, routes. Pure, with equal bytes for equal
 * tables, whatever the order of the tenants. Empty unless Envoy serves the gateway.
 */
export function projectEnvoy(
  gatewayName: string,
  operator: OperatorTable,
  tenants: Iterable<TenantTable>,
  options: EnvoyOptions = defaultEnvoyOptions,
): readonly PlainResource[] {
  const gateway = operator.gateways.get(gatewayName);
  if (!gateway?.dataPlanes.has('envoy')) return [];
  const routes = routesOf(gateway, tenants).filter(reachable);
  const enforced = routes.map((entry): EnforcedRoute => ({ entry, enforcement: enforce(entry) }));
  const upstreams = upstreamsOf(options.hasMcpFilters ? routes : []);
  return [
    ...upstreams.map((upstream) => clusterResource(upstream, options)),
    ...upstreams.filter(({ literal }) => literal).map(endpointResource),
    ...gateway.listeners.map((listener) =>
      listenerResource(gateway, listener, options.hasMcpFilters ? routes : [], options),
    ),
    ...gateway.listeners.map((listener) => routesResource(gateway, listener, enforced, options)),
  ];
}

function routesOf({ name }: GatewayEntry, tenants: Iterable<TenantTable>): readonly McpRouteEntry[] {
  const entries = [...tenants].flatMap(({ routes }) => [...routes.values()]);
  const key = ({ tenant, name: route }: McpRouteEntry): string => `${tenant}/${route}`;
  return entries
    .filter((entry) => entry.kind === 'mcp')
    .filter(({ gateway }) => gateway === name)
    .sort((a, b) => (key(a) < key(b) ? -1 : 1));
}

/** A query of a backend would get lost: its route is left out, which the check has reported. */
function reachable({ mcp }: McpRouteEntry): boolean {
  return new URL(mcp.member.backend.url).search === '';
}

function upstreamsOf(routes: readonly McpRouteEntry[]): readonly Upstream[] {
  const byCluster = new Map<string, Upstream>();
  for (const route of routes) {
    const keySets = [...route.authentication.jwt.values()].flatMap(({ jwks }) => ('uri' in jwks ? [jwks.uri] : []));
    for (const upstream of [backendUpstream(route), ...keySets.map(keySetUpstream)]) {
      byCluster.set(upstream.cluster, upstream);
    }
  }
  return [...byCluster.values()].sort((a, b) => (a.cluster < b.cluster ? -1 : 1));
}
