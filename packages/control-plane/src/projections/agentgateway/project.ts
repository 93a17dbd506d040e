import type { GatewayEntry, ListenerEntry, OperatorTable, RouteEntry, TenantTable } from '@signalbox/config';
import {
  Bind_Mode,
  Bind_Protocol,
  Bind_TunnelProtocol,
  Protocol,
} from '@signalbox/proto/agentgateway/dev/resource/resource_pb.ts';
import type { PlainResource } from '@signalbox/xds';
import { isA2a } from './a2a.ts';
import { mcpResource, serverResource } from './backends.ts';
import { isServed } from './check.ts';
import { limitPlaces, limitResources } from './limits.ts';
import { a2aRouteResources, deniedRouteResources, httpRouteResources, mcpRouteResources } from './routes.ts';
import { enforce } from './rules.ts';
import { backendOf } from './upstream.ts';
import { bindKey, gatewayNamespace, keyed, listenerKey } from './names.ts';

/**
 * Everything that an agentgateway of a gateway needs: ports, listeners, backends, routes. Pure, with equal bytes for equal
 * tables, whatever the order of the tenants. Empty unless agentgateway serves the gateway.
 */
export function projectAgentgateway(
  gatewayName: string,
  operator: OperatorTable,
  tenants: Iterable<TenantTable>,
): readonly PlainResource[] {
  const gateway = operator.gateways.get(gatewayName);
  if (!gateway?.dataPlanes.has('agentgateway')) return [];
  // What it cannot serve at all it denies, which has been reported.
  const all = routesOf(gateway, tenants);
  const places = limitPlaces(all);
  const routes = all.filter((route) => isServed(route, places));
  const served = routes.map((route) => servedRoute(gateway, route));
  const denied = all.filter((route) => !isServed(route, places));
  const servers = new Map(routes.map((route) => [backendOf(route).key, serverResource(route)]));
  return [
    ...gateway.listeners.map((listener) => bindResource(gateway, listener)),
    ...gateway.listeners.map((listener) => listenerResource(gateway, listener)),
    ...servers.values(),
    ...served.flatMap(({ backends }) => backends),
    ...routes.flatMap((route) => limitResources(route, places)),
    ...gateway.listeners.flatMap((listener) => [
      ...served.flatMap(({ on }) => on(listener)),
      ...denied.flatMap((route) => deniedRouteResources({ gateway, listener }, route)),
    ]),
  ];
}

/** What a route needs beside its server, and what it is on a listener. */
interface ServedRoute {
  readonly backends: readonly PlainResource[];
  readonly on: (listener: ListenerEntry) => readonly PlainResource[];
}

function servedRoute(gateway: GatewayEntry, route: RouteEntry): ServedRoute {
  if (route.kind === 'mcp') {
    const enforcement = enforce(route);
    return {
      backends: [mcpResource(route, enforcement)],
      on: (listener) => mcpRouteResources({ gateway, listener }, route, enforcement),
    };
  }
  return {
    backends: [],
    on: (listener) =>
      isA2a(route) ? a2aRouteResources({ gateway, listener }, route) : httpRouteResources({ gateway, listener }, route),
  };
}

function routesOf({ name }: GatewayEntry, tenants: Iterable<TenantTable>): readonly RouteEntry[] {
  const entries = [...tenants].flatMap(({ routes }) => [...routes.values()]);
  const key = ({ tenant, name: route }: RouteEntry): string => `${tenant}/${route}`;
  return entries.filter(({ gateway }) => gateway === name).sort((a, b) => (key(a) < key(b) ? -1 : 1));
}

function bindResource(gateway: GatewayEntry, listener: ListenerEntry): PlainResource {
  const key = bindKey(gateway, listener);
  const value = {
    ...{ key, port: listener.port, protocol: Bind_Protocol.HTTP },
    ...{ tunnelProtocol: Bind_TunnelProtocol.DIRECT, mode: Bind_Mode.STANDARD },
  };
  return keyed(key, { case: 'bind', value });
}

function listenerResource(gateway: GatewayEntry, listener: ListenerEntry): PlainResource {
  const key = listenerKey(gateway, listener);
  const name = { gatewayName: gateway.name, gatewayNamespace, listenerName: listener.name };
  // Routes have the host names.
  const value = { key, bindKey: bindKey(gateway, listener), name, hostname: '', protocol: Protocol.HTTP };
  return keyed(key, { case: 'listener', value });
}
