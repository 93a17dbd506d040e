// Parts of the proxy on their own, for simulations.
export { Activation } from '../discovery/activation.ts';
export type { LastGoodSet } from '../discovery/last-good-format.ts';
export { Subscriber } from '../discovery/subscriber.ts';
export { TenantDemand } from '../discovery/tenant-demand.ts';
export { CurrentTable } from '../table/current-table.ts';
export { TimeSlice } from '../table/time-slice.ts';
export { operatorSet, tenantSet } from './config-sets.ts';
// What nodes share, for the tests that hold for every implementation.
export { defaultNodesLimits, type NodesLimits } from '../nodes/limits.ts';
export { MemoryHub, MemoryState } from '../nodes/memory-state.ts';
export { StateHub } from '../nodes/between-workers/state-hub.ts';
export type { StateAnswer, StateRequest } from '../nodes/between-workers/state-messages.ts';
export { WorkerState } from '../nodes/between-workers/worker-state.ts';
export { NodeCalls, type NodeFailure, type NodeListener } from '../nodes/node-calls.ts';
export { openSharedState } from '../nodes/open-shared-state.ts';
export { RedisState } from '../nodes/redis/redis-state.ts';
export { type SharedState, SharedStateError } from '../nodes/shared-state.ts';
export { readProxySettings } from '../settings.ts';
export { randomSessionKeys, type SessionKeys } from '../session/session-keys.ts';
// How envelopes are read and forwarded, for comparison with how others read them.
export type { ScannedMessage } from '../json/message.ts';
export { requestScanLimits, scanBody } from '../json/scan.ts';
export { spliceAscii } from '../mcp/splice.ts';
