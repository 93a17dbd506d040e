import type { StoredResource } from '@signalbox/config';
import type { ProjectedResource, Projection } from '@signalbox/control-plane';

/**
 * A family with types that behave like those of Envoy, made of the configuration: a backend is a cluster with its
 * endpoints, a virtual server a listener, a route a route table. Names are `<tenant>.<name>`, bodies begin with the name
 * and change with the resource.
 */
export const clusterType = 'type.googleapis.com/test.Cluster';
export const endpointsType = 'type.googleapis.com/test.Endpoints';
export const listenerType = 'type.googleapis.com/test.Listener';
export const routesType = 'type.googleapis.com/test.Routes';

const typesOf: Readonly<Record<string, readonly string[]>> = {
  Backend: [clusterType, endpointsType],
  VirtualServer: [listenerType],
  Route: [routesType],
};

/** Long enough to outlive several heartbeats on a slow machine. */
const ttlMs = 60_000;

export const testProjection: Projection = {
  family: {
    name: 'test',
    types: [
      ...[
        {
          typeUrl: clusterType,
          closesRound: false,
          deletesByAbsence: true,
          removesLate: true,
          followedBy: endpointsType,
        },
      ],
      { typeUrl: endpointsType, closesRound: false, removesLate: true },
      { typeUrl: listenerType, closesRound: false, deletesByAbsence: true },
      { typeUrl: routesType, closesRound: false },
    ],
    appliedWith: [clusterType],
    heartbeatMs: 50,
  },
  *project({ tenants }) {
    for (const [tenant, { resources }] of tenants) {
      for (const resource of resources.values()) yield* projected(tenant, resource);
    }
  },
};

function projected(tenant: string, { kind, name, digest }: StoredResource): readonly ProjectedResource[] {
  const body = Buffer.from(`${tenant}.${name} ${digest}`);
  return (typesOf[kind] ?? []).map((typeUrl) => ({
    ...{ typeUrl, name: `${tenant}.${name}`, body },
    // Only endpoints are leased.
    ...(typeUrl === endpointsType ? { ttlMs } : {}),
  }));
}
