import type { GatewayEntry, OperatorTable, RouteEntry, TenantTable } from '@signalbox/config';
import type { PlainResource } from '@signalbox/xds';
import { clusterResource } from './clusters.ts';
import { endpointResource } from './endpoints.ts';
import { listenerResource } from './listeners.ts';
import { defaultEnvoyOptions, type EnvoyOptions } from './options.ts';
import { limitShares } from './rate-limits.ts';
import { type EnforcedRoute, isServed, routesResource } from './routes.ts';
import { enforce } from './rules.ts';
import { secretResources } from './secrets.ts';
import { backendsOf, keySetUpstream, type Upstream, upstreamOf } from './upstream.ts';

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
  const routes = routesOf(gateway, tenants);
  const shares = limitShares(gateway, routes);
  const enforced = routes.map((entry): EnforcedRoute => ({ entry, enforcement: enforce(entry) }));
  const served = routes.filter((route) => isServed(route, options));
  const upstreams = upstreamsOf(served);
  return [
    ...upstreams.map((upstream) => clusterResource(upstream, options)),
    ...upstreams.filter(({ literal }) => literal).map(endpointResource),
    ...secretResources(upstreams, options),
    ...gateway.listeners.map((listener) => listenerResource(gateway, listener, served, options)),
    ...gateway.listeners.map((listener) => routesResource({ gateway, listener, shares }, enforced, options)),
  ];
}

function routesOf({ name }: GatewayEntry, tenants: Iterable<TenantTable>): readonly RouteEntry[] {
  const entries = [...tenants].flatMap(({ routes }) => [...routes.values()]);
  const key = ({ tenant, name: route }: RouteEntry): string => `${tenant}/${route}`;
  return entries.filter(({ gateway }) => gateway === name).sort((a, b) => (key(a) < key(b) ? -1 : 1));
}

function upstreamsOf(routes: readonly RouteEntry[]): readonly Upstream[] {
  const byCluster = new Map<string, Upstream>();
  for (const route of routes) {
    const keySets = [...route.authentication.jwt.values()].flatMap(({ jwks }) => ('uri' in jwks ? [jwks.uri] : []));
    for (const upstream of [...backendsOf(route).map(upstreamOf), ...keySets.map(keySetUpstream)]) {
      byCluster.set(upstream.cluster, upstream);
    }
  }
  return [...byCluster.values()].sort((a, b) => (a.cluster < b.cluster ? -1 : 1));
}
