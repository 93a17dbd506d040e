import { ResourceSchema } from '@signalbox/proto/agentgateway/dev/resource/resource_pb.ts';
import type { ResourceFamily } from '@signalbox/xds';
import { typeUrlOf } from '../envoy/pack.ts';

/** What it also subscribes to, and must be answered before it takes traffic. We have nothing of that type. */
const addressType = 'type.googleapis.com/istio.workload.Address';

/** The type of all its resources. */
export const resourceType = typeUrlOf(ResourceSchema);

/**
 * What a stock agentgateway receives: everything is of one type, since it takes one response as a whole, first what is new
 * and then what goes.
 */
export const agentgatewayFamily: ResourceFamily = {
  name: 'agentgateway',
  types: [
    { typeUrl: addressType, closesRound: false },
    { typeUrl: resourceType, closesRound: false },
  ],
  appliedWith: [addressType, resourceType],
};
