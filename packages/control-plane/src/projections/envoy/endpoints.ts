import { create } from '@bufbuild/protobuf';
import {
  type ClusterLoadAssignment,
  ClusterLoadAssignmentSchema,
} from '@signalbox/proto/envoy/config/endpoint/v3/endpoint_pb.ts';
import type { PlainResource } from '@signalbox/xds';
import { resource } from './pack.ts';
import type { Upstream } from './upstream.ts';

/** EDS: where an upstream with a literal address is. */
export function endpointResource(upstream: Upstream): PlainResource {
  return resource(ClusterLoadAssignmentSchema, upstream.cluster, loadAssignment(upstream));
}

/** With locality and weight, which other clients than Envoy insist on. */
export function loadAssignment({ cluster, host, port }: Upstream): ClusterLoadAssignment {
  const socketAddress = { address: host, portSpecifier: { case: 'portValue' as const, value: port } };
  const address = { address: { case: 'socketAddress' as const, value: socketAddress } };
  return create(ClusterLoadAssignmentSchema, {
    clusterName: cluster,
    endpoints: [
      {
        locality: { zone: 'default' },
        lbEndpoints: [{ hostIdentifier: { case: 'endpoint', value: { address } } }],
        loadBalancingWeight: 1,
      },
    ],
  });
}
