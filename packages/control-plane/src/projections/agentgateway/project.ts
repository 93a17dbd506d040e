import type { GatewayEntry, ListenerEntry, OperatorTable, RouteEntry, TenantTable } from '@signalbox/config';
import {
  Bind_Mode,
  Bind_Protocol,
  Bind_TunnelProtocol,
  Protocol,
} from '@signalbox/proto/agentgateway/dev/resource/resource_pb.ts';
import type { PlainResource } from '@signalbox/xds';
import { backendResources } from './backends.ts';
import { routeResource } from './routes.ts';
import { enforce } from './rules.ts';
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
  const routes = routesOf(gateway, tenants).filter(reachable);
  const enforced = routes.map((entry) => ({ entry, enforcement: enforce(entry) }));
  const backends = enforced.flatMap(({ entry, enforcement }) => backendResources(entry, enforcement));
  return [
    ...gateway.listeners.map((listener) => bindResource(gateway, listener)),
    ...gateway.listeners.map((listener) => listenerResource(gateway, listener)),
    // Routes with the same backend have the same server.
    ...new Map(backends.map((backend) => [backend.name, backend])).values(),
    ...gateway.listeners.flatMap((listener) =>
      enforced.flatMap(({ entry, enforcement }) => routeResource({ gateway, listener, entry, enforcement }) ?? []),
    ),
  ];
}

function routesOf({ name }: GatewayEntry, tenants: Iterable<TenantTable>): readonly RouteEntry[] {
  const entries = [...tenants].flatMap(({ routes }) => [...routes.values()]);
  const key = ({ tenant, name: route }: RouteEntry): string => `${tenant}/${route}`;
  return entries.filter(({ gateway }) => gateway === name).sort((a, b) => (key(a) < key(b) ? -1 : 1));
}

/** A query of a backend would get lost: its route is left out, which has been reported. */
function reachable({ mcp }: RouteEntry): boolean {
  return new URL(mcp.member.backend.url).search === '';
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
