/**
 * What becomes of a rollout next. Pure: the rollout, the fleet as it was seen and the time go in. Any replica decides,
 * and writes what it has decided only if nobody has changed the rollout meanwhile.
 *
 * 1. A node that refuses the revision, or nodes that do worse than the plan allows, take it back, also while it is paused.
 * 2. A stage begins when there is a node to draw, and draws at least one.
 * 3. It is settled when every connected node of it runs the revision, and over when it has stayed so for its soak time.
 * 4. A stage whose nodes are all gone is not settled any more. If they do not come back it is halted: they may be gone
 *    because of the revision, and others must not follow them.
 * 5. A stage of groups that have had no node has nothing to show: it is passed over when its time is over.
 * 6. Where a plan limits how nodes may do, and no node of the stage can say how it does, somebody has to promote it.
 */
import type { StagePlan } from '@signalbox/config';

import { type Health, isLimited, worsening } from './health.ts';
import { byName, isMember, type Members, withStage } from './members.ts';
import type { Rollout } from './rollout.ts';

/** The nodes that serve the tenant, and how they do. */
export interface FleetView {
  readonly nodes: readonly FleetNode[];
  /** Since when they are watched, in milliseconds since the epoch. */
  readonly sinceMs: number;
  /** How long a node that left may take to come back, in milliseconds. */
  readonly returnMs: number;
  /** Of nodes with the revision, in this stage. */
  readonly candidate: Health;
  /** Of nodes with the revision before, since the rollout began. */
  readonly base: Health;
}

export interface FleetNode {
  readonly id: string;
  readonly groups: readonly string[];
  readonly connected: boolean;
  /** When it left, in milliseconds since the epoch; undefined while it is connected. */
  readonly leftAtMs: number | undefined;
  readonly applied: bigint;
  /** Why it refuses the revision of the rollout; undefined if it does not. */
  readonly refusal: string | undefined;
  /** It says how it does: only our own proxies do. */
  readonly reports: boolean;
}

export type Decision =
  /** The stage begins, or begins again with other nodes. */
  | { readonly kind: 'begin'; readonly members: Members; readonly note: string }
  /** Its nodes run it. They stay its members whatever group they are in from now on: they are not to get anything older. */
  | { readonly kind: 'settle'; readonly members: Members }
  | { readonly kind: 'unsettle' }
  /** @property isBegun false if there is no node to draw: it begins when there is. */
  | { readonly kind: 'advance'; readonly members: Members; readonly note: string; readonly isBegun: boolean }
  | { readonly kind: 'complete' }
  /** Nothing goes on before somebody has looked. */
  | { readonly kind: 'halt'; readonly reason: string }
  | { readonly kind: 'take-back'; readonly reason: string };

/** Undefined: nothing, for now. */
export function decide(rollout: Rollout, fleet: FleetView, nowMs: number): Decision | undefined {
  if (rollout.state !== 'running' && rollout.state !== 'paused') return undefined;
  const fault = faultOf(rollout, fleet);
  if (fault !== undefined) return { kind: 'take-back', reason: fault };
  if (rollout.state === 'paused') return undefined;
  const connected = fleet.nodes.filter((node) => node.connected);
  if (connected.length === 0) return rollout.settledSinceMs === undefined ? undefined : { kind: 'unsettle' };
  if (rollout.stageSinceMs === undefined) return begin(rollout, connected);
  const nodes = connected.filter((node) => isMember(rollout.members, node));
  if (nodes.length === 0) return withoutNodes(rollout, fleet, nowMs);
  if (!nodes.every(({ applied }) => applied >= rollout.revision)) return undefined;
  if (rollout.settledSinceMs === undefined) return { kind: 'settle', members: byName(rollout.members, nodes) };
  const { soakMs } = stageOf(rollout);
  return needsPromotion(rollout, nodes) || nowMs - rollout.settledSinceMs < soakMs
    ? undefined
    : next(rollout, connected);
}

/** Whether the stage goes on only when somebody says so. @param nodes those of it that are connected. */
export function needsPromotion(rollout: Rollout, nodes: readonly Pick<FleetNode, 'reports'>[]): boolean {
  const { manual = false } = rollout.plan.stages[rollout.stage] ?? {};
  return manual || (isLimited(rollout.plan.limits) && nodes.every(({ reports }) => !reports));
}

/** The next stage, or the end if there is none. */
export function next(
  rollout: Rollout,
  connected: readonly FleetNode[],
): Extract<Decision, { kind: 'advance' | 'complete' }> {
  const stage = rollout.plan.stages[rollout.stage + 1];
  if (!stage) return { kind: 'complete' };
  const isBegun = connected.length > 0;
  const members = isBegun ? withStage(rollout.members, stage, connected) : rollout.members;
  const note = isBegun ? noteOf(rollout, members, connected) : 'as soon as a node is connected';
  return { kind: 'advance', members, note, isBegun };
}

function faultOf(rollout: Rollout, { nodes, candidate, base }: FleetView): string | undefined {
  const refusing = nodes.filter((node) => node.refusal !== undefined);
  const [first] = refusing;
  if (first) {
    const more = refusing.length > 1 ? ` and ${refusing.length - 1} more` : '';
    return `node ${first.id}${more} refused it: ${first.refusal}`;
  }
  return rollout.stageSinceMs === undefined ? undefined : worsening(rollout.plan.limits, candidate, base);
}

function begin(rollout: Rollout, connected: readonly FleetNode[]): Decision {
  const members = withStage(rollout.members, stageOf(rollout), connected);
  return { kind: 'begin', members, note: noteOf(rollout, members, connected) };
}

function withoutNodes(rollout: Rollout, fleet: FleetView, nowMs: number): Decision | undefined {
  if (rollout.settledSinceMs !== undefined) return { kind: 'unsettle' };
  const { nodes, returnMs, sinceMs: watchedSinceMs } = fleet;
  const sinceMs = nowMs - Math.max(rollout.stageSinceMs ?? nowMs, watchedSinceMs);
  if (sinceMs < returnMs) return undefined;
  const left = nodes.filter((node) => !node.connected && isMember(rollout.members, node));
  const gone = left.filter(({ leftAtMs = 0 }) => leftAtMs >= rollout.startedAtMs).map(({ id }) => id);
  const { percent, soakMs, manual } = stageOf(rollout);
  if (percent > 0 || gone.length > 0) {
    const names = some(gone.length > 0 ? gone : rollout.members.nodes);
    return { kind: 'halt', reason: `none of its nodes has come back: ${names}` };
  }
  if (manual || sinceMs < soakMs) return undefined;
  return next(
    rollout,
    nodes.filter((node) => node.connected),
  );
}

function stageOf({ plan, stage }: Rollout): StagePlan {
  const found = plan.stages[stage];
  if (!found) throw new Error(`a rollout is in stage ${stage}, its plan has ${plan.stages.length}`);
  return found;
}

const namedNodes = 5;

function noteOf({ plan }: Rollout, members: Members, connected: readonly FleetNode[]): string {
  const nodes = connected.filter((node) => isMember(members, node));
  const silent = isLimited(plan.limits) ? nodes.filter(({ reports }) => !reports).length : 0;
  const unheard = silent === 0 ? '' : `; how ${silent} of them do is not heard, since they are not our proxies`;
  return `${nodes.length} of ${connected.length} nodes: ${some(nodes.map(({ id }) => id))}${unheard}`;
}

function some(names: readonly string[]): string {
  const more = names.length > namedNodes ? ` and ${names.length - namedNodes} more` : '';
  return (names.slice(0, namedNodes).join(', ') || 'none') + more;
}
