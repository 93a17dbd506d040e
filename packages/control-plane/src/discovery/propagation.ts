import type { NodeScopeStatus, NodeStatus, ReplicaStatus } from './node-directory.ts';

/** A committed revision of which somebody wants to know who runs it. */
export interface WatchedRevision {
  readonly scope: string;
  readonly revision: bigint;
  readonly committedAtMs: number;
}

/** What is known at one moment. */
export interface FleetState {
  readonly nodes: readonly NodeStatus[];
  readonly replicas: readonly ReplicaStatus[];
  readonly nowMs: number;
  /** Of the other replicas everything is known that they had told by then. */
  readonly asOfMs: number;
  /** Why this may not be all; undefined if it is. */
  readonly incomplete: string | undefined;
}

export type NodeState = 'pending' | 'sent' | 'applied' | 'refused' | 'disconnected' | 'left-unanswered';

export interface NodePropagation {
  readonly node: NodeStatus;
  readonly state: NodeState;
  readonly status: NodeScopeStatus;
}

export interface Propagation extends WatchedRevision {
  readonly outcome: 'in-progress' | 'complete' | 'rejected' | 'left-unanswered';
  readonly nodes: readonly NodePropagation[];
  /** Replicas that are alive. */
  readonly replicas: readonly ReplicaStatus[];
  readonly incomplete: string | undefined;
}

/**
 * Who runs a revision, and whether anything more is to be waited for. Exact in this sense: it is complete when
 *
 * 1. every replica that is alive, as was read after the commit, offers the revision, so that whoever connects from now on gets it;
 * 2. every node that is connected has said that it runs the revision or a newer one;
 * 3. so has every node that was connected when it was committed or later and then left: it may be about to come back,
 *    here or to another replica, and still run an older one. Of nodes that left before the commit only those are waited
 *    for that may still be on their way back.
 *
 * A node that connects later joins the set.
 * @param returnMs how long a node that left may take to come back.
 */
export function propagationOf(watched: WatchedRevision, fleet: FleetState, returnMs: number): Propagation {
  const moment = { ...watched, nowMs: fleet.nowMs, returnMs };
  const nodes = fleet.nodes.flatMap((node) => {
    const status = node.scope(watched.scope);
    return status ? [{ node, status, state: stateOf(moment, node, status) }] : [];
  });
  const replicas = fleet.replicas.filter(({ isAlive }) => isAlive);
  const isOffered = watched.revision === 0n || replicas.every((replica) => offers(replica, watched));
  const isAwaited = ({ node, state }: NodePropagation) =>
    state === 'pending' || state === 'sent' || (state === 'left-unanswered' && mayReturn(moment, node));
  const has = (state: NodeState) => nodes.some((each) => each.state === state);
  const incomplete = fleet.incomplete ?? lostKnowledge(fleet.replicas, moment);
  const isKnown = incomplete === undefined && fleet.asOfMs >= watched.committedAtMs;
  const isOver = isKnown && isOffered && !nodes.some(isAwaited);
  const ending = has('refused') ? 'rejected' : has('left-unanswered') ? 'left-unanswered' : 'complete';
  return { ...watched, outcome: isOver ? ending : 'in-progress', nodes, replicas, incomplete };
}

function offers({ isPartial, ...replica }: ReplicaStatus, { scope, revision }: WatchedRevision): boolean {
  const offered = replica.offered(scope);
  return offered === undefined ? isPartial : offered >= revision;
}

/** A replica is gone, and the database has lost what it said of nodes that it had when the revision was committed. */
function lostKnowledge(replicas: readonly ReplicaStatus[], moment: Moment): string | undefined {
  const lost = replicas.find(({ isAlive, isSilent, leaseUntilMs }) => {
    const mayMatter = leaseUntilMs >= moment.committedAtMs || moment.nowMs < leaseUntilMs + moment.returnMs;
    return !isAlive && isSilent && mayMatter;
  });
  return lost && `the replica ${lost.name} is gone, and the database has lost what it knew of its nodes`;
}

interface Moment extends WatchedRevision {
  readonly nowMs: number;
  readonly returnMs: number;
}

function stateOf(moment: Moment, node: NodeStatus, { sent, applied, refused }: NodeScopeStatus): NodeState {
  const { revision, committedAtMs } = moment;
  if (applied >= revision) return node.connected ? 'applied' : 'disconnected';
  if (refused && refused.revision >= revision) return 'refused';
  if (node.connected) return sent >= revision ? 'sent' : 'pending';
  const wasThere = (node.leftAtMs ?? 0) >= committedAtMs;
  return wasThere || mayReturn(moment, node) ? 'left-unanswered' : 'disconnected';
}

function mayReturn({ nowMs, returnMs }: Moment, { leftAtMs = 0, hasStopped }: NodeStatus): boolean {
  return !hasStopped && nowMs < leftAtMs + returnMs;
}
