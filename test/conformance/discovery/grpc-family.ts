import { fromBinary } from '@bufbuild/protobuf';
import type { ProjectedResource, Projection } from '@signalbox/control-plane';
import { BackendSchema } from '@signalbox/proto/signalbox/config/v1/backend_pb.ts';
import { anyField, bytesField, messageField, numberField } from './protobuf-fields.ts';

const prefix = 'type.googleapis.com/envoy.';
const clusterType = `${prefix}config.cluster.v3.Cluster`;
const endpointsType = `${prefix}config.endpoint.v3.ClusterLoadAssignment`;
const listenerType = `${prefix}config.listener.v3.Listener`;
const routesType = `${prefix}config.route.v3.RouteConfiguration`;
const connectionManagerType = `${prefix}extensions.filters.network.http_connection_manager.v3.HttpConnectionManager`;
const routerType = `${prefix}extensions.filters.http.router.v3.Router`;

/** `ConfigSource`: this same stream, version 3 of the API. */
const thisStream = [messageField(3), numberField(6, 2)];

/**
 * What proxyless gRPC clients understand, one service for each backend: `xds:///<backend>.<tenant>` leads to the host
 * and port of the backend's URL.
 */
export const grpcProjection: Projection = {
  family: {
    name: 'grpc',
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
    appliedWith: [listenerType, clusterType],
  },
  *project({ tenants }) {
    for (const [tenant, { resources }] of tenants) {
      for (const { kind, name, body } of resources.values()) {
        const { kind: spec } = fromBinary(BackendSchema, kind === 'Backend' ? body : new Uint8Array());
        if (spec.case === 'mcp') yield* service(`${name}.${tenant}`, new URL(spec.value.url));
      }
    }
  },
};

function service(name: string, { hostname, port }: URL): readonly ProjectedResource[] {
  const routeSource = messageField(3, messageField(1, ...thisStream), bytesField(2, name));
  const router = messageField(5, bytesField(1, 'router'), anyField(4, routerType));
  const listener = [bytesField(1, name), messageField(19, anyField(1, connectionManagerType, routeSource, router))];

  const route = messageField(3, messageField(1, bytesField(1, '')), messageField(2, bytesField(1, name)));
  const routes = [bytesField(1, name), messageField(2, bytesField(1, name), bytesField(2, '*'), route)];

  const cluster = [bytesField(1, name), numberField(2, 3), messageField(3, messageField(1, ...thisStream))];

  const socket = messageField(1, bytesField(2, hostname), numberField(3, Number(port)));
  const endpoint = messageField(2, messageField(1, messageField(1, socket)), messageField(4, numberField(1, 1)));
  const locality = messageField(1, bytesField(2, 'here'));
  const endpoints = [bytesField(1, name), messageField(2, locality, endpoint, messageField(3, numberField(1, 1)))];

  return [
    { typeUrl: clusterType, name, body: Buffer.concat(cluster) },
    { typeUrl: endpointsType, name, body: Buffer.concat(endpoints) },
    { typeUrl: listenerType, name, body: Buffer.concat(listener) },
    { typeUrl: routesType, name, body: Buffer.concat(routes) },
  ];
}
