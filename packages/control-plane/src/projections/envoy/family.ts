import { ClusterSchema } from '@signalbox/proto/envoy/config/cluster/v3/cluster_pb.ts';
import { ClusterLoadAssignmentSchema } from '@signalbox/proto/envoy/config/endpoint/v3/endpoint_pb.ts';
import { ListenerSchema } from '@signalbox/proto/envoy/config/listener/v3/listener_pb.ts';
import { RouteConfigurationSchema } from '@signalbox/proto/envoy/config/route/v3/route_pb.ts';
import type { ResourceFamily } from '@signalbox/xds';
import { typeUrlOf } from './pack.ts';

/** What a stock Envoy receives, in an order in which nothing refers to what comes later. */
export const envoyFamily: ResourceFamily = {
  name: 'envoy',
  types: [ClusterSchema, ClusterLoadAssignmentSchema, ListenerSchema, RouteConfigurationSchema].map((schema, at) => ({
    typeUrl: typeUrlOf(schema),
    closesRound: at === 3,
  })),
};
