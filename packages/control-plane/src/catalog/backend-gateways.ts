import { fromBinary } from '@bufbuild/protobuf';
import type { Snapshot, StoredResource } from '@signalbox/config';
import { RouteSchema } from '@signalbox/proto/signalbox/config/v1/route_pb.ts';
import { VirtualServerSchema } from '@signalbox/proto/signalbox/config/v1/virtual_server_pb.ts';

/**
 * Gateways whose nodes reach each backend of a tenant, because routes lead there. Of a backend that is not in it nobody can
 * say: any node of the tenant may try.
 */
export class BackendGateways {
  readonly #known = new WeakMap<Snapshot, ReadonlyMap<string, ReadonlySet<string>>>();

  of(tenant: Snapshot, backend: string): ReadonlySet<string> | undefined {
    let known = this.#known.get(tenant);
    if (!known) this.#known.set(tenant, (known = gatewaysByBackend(tenant)));
    return known.get(backend);
  }
}

function gatewaysByBackend({ resources }: Snapshot): ReadonlyMap<string, ReadonlySet<string>> {
  const all = [...resources.values()];
  const ofServer = new Map<string, Set<string>>();
  for (const route of all.filter(({ kind }) => kind === 'Route').map(decodeRoute)) {
    if (route.destination.case === 'mcp') add(ofServer, route.destination.value.virtualServer, [route.gateway]);
  }
  const ofBackend = new Map<string, Set<string>>();
  for (const server of all.filter(({ kind }) => kind === 'VirtualServer')) {
    const gateways = ofServer.get(server.name);
    if (!gateways) continue;
    for (const { backend } of fromBinary(VirtualServerSchema, server.body).members) add(ofBackend, backend, gateways);
  }
  return ofBackend;
}

function decodeRoute({ body }: StoredResource) {
  return fromBinary(RouteSchema, body);
}

function add(map: Map<string, Set<string>>, key: string, values: Iterable<string>): void {
  const known = map.get(key) ?? new Set();
  for (const value of values) known.add(value);
  map.set(key, known);
}
