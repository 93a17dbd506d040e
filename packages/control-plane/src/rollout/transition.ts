import type { Decision } from './decide.ts';
import type { Rollout } from './rollout.ts';

/** What the log says of a change of a rollout. */
export interface RolloutEvent {
  readonly event:
    | 'started'
    | 'stage-started'
    | 'stage-settled'
    | 'stage-unsettled'
    | 'promoted'
    | 'paused'
    | 'resumed'
    | 'halted'
    | 'completed'
    | 'rolled-back'
    | 'superseded';
  /** Number of the stage, from 1. */
  readonly stage: number;
  /** Who did it; empty: Signalbox by itself. */
  readonly actor: string;
  readonly detail: string;
}

export interface Transition {
  readonly rollout: Rollout;
  readonly event: RolloutEvent;
}

/** A rollout after a decision that takes nothing back: that is a write of the scope. */
export function transition(
  rollout: Rollout,
  decision: Exclude<Decision, { kind: 'take-back' }>,
  { nowMs, actor }: { readonly nowMs: number; readonly actor: string },
): Transition {
  switch (decision.kind) {
    case 'begin': {
      const { members, note } = decision;
      return changed(rollout, { members, stageSinceMs: nowMs }, { event: 'stage-started', actor, detail: note });
    }
    case 'settle':
      return changed(
        rollout,
        { members: decision.members, settledSinceMs: nowMs },
        { event: 'stage-settled', actor, detail: '' },
      );
    case 'unsettle': {
      const detail = 'none of its nodes is connected';
      const change = { settledSinceMs: undefined, stageSinceMs: nowMs };
      return changed(rollout, change, { event: 'stage-unsettled', actor, detail });
    }
    case 'advance': {
      const { members, note, isBegun } = decision;
      const stageSinceMs = isBegun ? nowMs : undefined;
      const change = { members, stage: rollout.stage + 1, stageSinceMs, settledSinceMs: undefined };
      return changed(rollout, { ...change, ...running }, { event: 'stage-started', actor, detail: note });
    }
    case 'halt':
      return halt(rollout, decision.reason);
    case 'complete':
      return changed(
        rollout,
        { state: 'completed', endedAtMs: nowMs, reason: '' },
        { event: 'completed', actor, detail: 'all nodes' },
      );
  }
}

export function pause(rollout: Rollout, actor: string, reason: string): Transition {
  return changed(rollout, { state: 'paused', reason }, { event: 'paused', actor, detail: reason });
}

/** The stage is watched anew from here on; one that was halted begins again, with other nodes if its own are gone. */
export function resume(rollout: Rollout, actor: string, reason: string): Transition {
  const restart = rollout.state === 'halted' ? { stageSinceMs: undefined } : {};
  const change = { ...running, ...restart, settledSinceMs: undefined };
  return changed(rollout, change, { event: 'resumed', actor, detail: reason });
}

/** It cannot be taken back, or somebody has to look: nothing goes on by itself. */
export function halt(rollout: Rollout, reason: string): Transition {
  return changed(rollout, { state: 'halted', reason }, { event: 'halted', actor: '', detail: reason });
}

/** A change that somebody made who did not wait. */
export function promotion({ rollout, event }: Transition, reason: string): Transition {
  const where = rollout.state === 'completed' ? 'to all nodes' : `to stage ${event.stage}: ${event.detail}`;
  return { rollout, event: { ...event, event: 'promoted', detail: reason === '' ? where : `${where}; ${reason}` } };
}

const running = { state: 'running', reason: '' } as const;

function changed(rollout: Rollout, change: Partial<Rollout>, event: Omit<RolloutEvent, 'stage'>): Transition {
  const after = { ...rollout, ...change, version: rollout.version + 1 };
  return { rollout: after, event: { ...event, stage: after.stage + 1 } };
}
