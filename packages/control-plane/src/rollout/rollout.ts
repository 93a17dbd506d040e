import type { RolloutPlan } from '@signalbox/config';

import type { Members } from './members.ts';

/** `running`, `paused` and `halted` ones are under way; the others have ended, and all nodes have the newest revision. */
export type RolloutState = 'running' | 'paused' | 'halted' | 'completed' | 'rolled-back' | 'superseded';

/** How a revision of a tenant reaches its nodes. Immutable. */
export interface Rollout {
  readonly scope: string;
  /** What is rolled out. Tells rollouts of a scope apart. */
  readonly revision: bigint;
  /** What nodes have that it has not reached. */
  readonly base: bigint;
  readonly plan: RolloutPlan;
  readonly state: RolloutState;
  /** Index in the plan. */
  readonly stage: number;
  /** Nodes of this stage and of those before. */
  readonly members: Members;
  /** Since when the stage is under way, in milliseconds since the epoch; undefined while there is no node for it. */
  readonly stageSinceMs: number | undefined;
  /** Since when all nodes of the stage run the revision; undefined until then. */
  readonly settledSinceMs: number | undefined;
  readonly startedAtMs: number;
  readonly endedAtMs: number | undefined;
  /** Why it is in its state; empty for a plain course. */
  readonly reason: string;
  /** Who wrote the revision. */
  readonly author: string;
  /** Counts changes: a change of another version is lost, and made anew. */
  readonly version: number;
}

export function isUnderWay({ state }: Pick<Rollout, 'state'>): boolean {
  return state === 'running' || state === 'paused' || state === 'halted';
}
