import { type FleetNode, needsPromotion } from './decide.ts';
import { isMember } from './members.ts';
import type { Rollout } from './rollout.ts';

/** What a running rollout waits for. */
export type RolloutPhase = 'waiting-for-nodes' | 'progressing' | 'soaking' | 'awaiting-promotion';

/** How far a rollout is. */
export interface Progress {
  /** Undefined unless it runs. */
  readonly phase: RolloutPhase | undefined;
  /** Connected nodes that serve the tenant. */
  readonly nodes: number;
  /** Those that it has reached. */
  readonly members: readonly string[];
  /** How many of these run it. */
  readonly applied: number;
  /** What is left of the time of the stage, in milliseconds; undefined while that has not begun. */
  readonly remainingMs: number | undefined;
}

export function progressOf(rollout: Rollout, fleet: readonly FleetNode[], nowMs: number): Progress {
  const connected = fleet.filter((node) => node.connected);
  const reached = connected.filter((node) => isMember(rollout.members, node));
  const running = reached.filter(({ applied }) => applied >= rollout.revision);
  const { settledSinceMs, plan, stage, state } = rollout;
  const { soakMs = 0 } = plan.stages[stage] ?? {};
  const remainingMs = settledSinceMs === undefined ? undefined : Math.max(0, settledSinceMs + soakMs - nowMs);
  const phase = () => {
    if (reached.length === 0) return 'waiting-for-nodes';
    if (running.length < reached.length || remainingMs === undefined) return 'progressing';
    return needsPromotion(rollout, reached) ? 'awaiting-promotion' : 'soaking';
  };
  return {
    phase: state === 'running' ? phase() : undefined,
    nodes: connected.length,
    members: reached.map(({ id }) => id),
    applied: running.length,
    remainingMs,
  };
}
