import type { Clock, Random } from '@signalbox/runtime';
import type { RequestLimits } from '../mcp/request-limits.ts';
import type { NodeCalls } from '../nodes/node-calls.ts';
import type { SharedState } from '../nodes/shared-state.ts';
import type { SessionKeys } from '../session/session-keys.ts';
import type { Upstream } from '../upstream/upstream.ts';

/** What the parts of the bridge share. */
export interface BridgeContext {
  /** The way to servers. */
  readonly upstream: Upstream;
  readonly clock: Clock;
  readonly random: Random;
  readonly limits: RequestLimits;
  readonly sessionKeys: SessionKeys;
  readonly nodeCalls: NodeCalls;
  /** What this node shares with others. */
  readonly state: Pick<SharedState, 'records'>;
}
