import { ClusterSchema } from '@signalbox/proto/envoy/config/cluster/v3/cluster_pb.ts';
import { ClusterLoadAssignmentSchema } from '@signalbox/proto/envoy/config/endpoint/v3/endpoint_pb.ts';
import { ListenerSchema } from '@signalbox/proto/envoy/config/listener/v3/listener_pb.ts';
import { RouteConfigurationSchema } from '@signalbox/proto/envoy/config/route/v3/route_pb.ts';
import { SecretSchema } from '@signalbox/proto/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts';
import type { ResourceFamily } from '@signalbox/xds';
import { typeUrlOf } from './pack.ts';

/**
 * What a stock Envoy receives, in an order in which nothing refers to what comes later. Routes come when
 * everything that they lead to has been acknowledged, and clusters and endpoints go when the routes have been: otherwise calls
 * fail with 503 in between.
 */
export const envoyFamily: ResourceFamily = {
  name: 'envoy',
  types: [
    { typeUrl: typeUrlOf(ClusterSchema), closesRound: false, removesLate: true, deletesByAbsence: true },
    { typeUrl: typeUrlOf(ClusterLoadAssignmentSchema), closesRound: false, removesLate: true },
    { typeUrl: typeUrlOf(SecretSchema), closesRound: false, removesLate: true },
    { typeUrl: typeUrlOf(ListenerSchema), closesRound: false, deletesByAbsence: true },
    { typeUrl: typeUrlOf(RouteConfigurationSchema), closesRound: false, awaitsEarlier: true },
  ],
  appliedWith: [ListenerSchema, RouteConfigurationSchema].map(typeUrlOf),
};
