import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import {
  Rollout_Phase as Phase,
  Rollout_State as State,
} from '@signalbox/proto/signalbox/admin/v1/rollout_service_pb.ts';

import { type Health, latencyAt } from '../rollout/health.ts';
import type { Progress, RolloutPhase } from '../rollout/progress.ts';
import type { Rollout, RolloutState } from '../rollout/rollout.ts';
import type { LoggedEvent } from '../store/rollout-store.ts';

const states: Readonly<Record<RolloutState, State>> = {
  running: State.RUNNING,
  paused: State.PAUSED,
  halted: State.HALTED,
  completed: State.COMPLETED,
  'rolled-back': State.ROLLED_BACK,
  superseded: State.SUPERSEDED,
};

const phases: Readonly<Record<RolloutPhase, Phase>> = {
  'waiting-for-nodes': Phase.WAITING_FOR_NODES,
  progressing: Phase.PROGRESSING,
  soaking: Phase.SOAKING,
  'awaiting-promotion': Phase.AWAITING_PROMOTION,
};

/** Nodes that an answer names. */
const maxNodes = 100;

export function rolloutMessage(rollout: Rollout) {
  const { scope, revision, base, state, stage, plan, reason, author } = rollout;
  const { startedAtMs, endedAtMs, stageSinceMs, settledSinceMs } = rollout;
  return {
    ...{ scope, revision, baseRevision: base, state: states[state], stage: stage + 1, reason, author },
    stages: plan.stages.map(({ percent, groups, soakMs, manual }) => ({
      ...{ percent, groups: [...groups], soakMs: BigInt(soakMs), manual },
    })),
    startedAt: timestampFromMs(startedAtMs),
    ...(endedAtMs !== undefined && { endedAt: timestampFromMs(endedAtMs) }),
    ...(stageSinceMs !== undefined && { stageSince: timestampFromMs(stageSinceMs) }),
    ...(settledSinceMs !== undefined && { settledSince: timestampFromMs(settledSinceMs) }),
    requiredByOperator: plan.requiredBy === 'operator',
  };
}

export function progressMessage(
  { plan: { limits } }: Rollout,
  { phase, nodes, members, applied, remainingMs }: Progress,
  known: { readonly health: { readonly candidate: Health; readonly base: Health }; readonly incomplete: string },
) {
  const isLimited = limits.denialsPercent + limits.upstreamErrorsPercent + limits.latencyPercent > 0;
  const { candidate, base } = known.health;
  return {
    ...{ phase: phase ? phases[phase] : Phase.PHASE_UNSPECIFIED, nodes, members: members.length, applied },
    memberNodes: members.slice(0, maxNodes),
    remainingMs: BigInt(Math.round(remainingMs ?? 0)),
    ...(isLimited && { candidate: healthMessage(candidate), base: healthMessage(base) }),
    incomplete: known.incomplete,
  };
}

export function eventMessage({ atMs, event, stage, actor, detail }: LoggedEvent) {
  return { at: timestampFromMs(atMs), event, stage, actor, detail };
}

function healthMessage(health: Health) {
  const { requests, denials, upstreamErrors } = health;
  return {
    requests: BigInt(requests),
    denials: BigInt(denials),
    upstreamErrors: BigInt(upstreamErrors),
    p99Ms: latencyAt(health, 0.99) ?? 0,
  };
}
