import type {
  DeltaDiscoveryRequest,
  DiscoveryRequest,
} from '@signalbox/proto/envoy/service/discovery/v3/discovery_pb.ts';

/** The two variants of the aggregated protocol: responses say what changed, or how things are. */
export type StreamVariant = 'delta' | 'state';

/** A request of either variant; `$typeName` tells which. */
export type StreamRequest = DeltaDiscoveryRequest | DiscoveryRequest;
