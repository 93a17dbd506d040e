import type { DiscoveryRequest } from '@signalbox/proto/envoy/service/discovery/v3/discovery_pb.ts';

import type { DeltaRequest } from './held-versions.ts';

/** The two variants of the aggregated protocol: responses say what changed, or how things are. */
export type StreamVariant = 'delta' | 'state';

/** A request of either variant; `$typeName` tells which. */
export type StreamRequest = DeltaRequest | DiscoveryRequest;
