import { agentgatewayProjection } from './agentgateway/projection.ts';
import { envoyProjection } from './envoy/projection.ts';
import type { Projection } from './projection.ts';

/** The families that are served beside the native one. A node's token names its family. */
export const projections: readonly Projection[] = [envoyProjection(), agentgatewayProjection()];
