import type { MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import {
  NodePropagation_State as State,
  Propagation_Outcome as Outcome,
  type PropagationSchema,
} from '@signalbox/proto/signalbox/admin/v1/config_service_pb.ts';

import type { LatencySketch } from '../discovery/latency-sketch.ts';
import type { NodePropagation, NodeState, Propagation } from '../discovery/propagation.ts';

export type PropagationMessage = MessageInitShape<typeof PropagationSchema> & { readonly done: boolean };

export interface PropagationMessageOptions {
  /** Nodes to name; the counts are of all. */
  readonly maxNodes: number;
  /** Whoever asks may know of replicas. */
  readonly namesReplicas: boolean;
}

/** How far a revision has got, as the API says it. */
export function propagationMessage(
  propagation: Propagation,
  latency: LatencySketch,
  { maxNodes, namesReplicas }: PropagationMessageOptions,
): PropagationMessage {
  const { scope, revision, committedAtMs, outcome, nodes, replicas, incomplete } = propagation;
  const named = nodes.toSorted((a, b) => order[a.state] - order[b.state]).slice(0, maxNodes);
  return {
    ...{ scope, revision, committedAt: timestampFromMs(Math.floor(committedAtMs)) },
    outcome: outcomes[outcome],
    done: outcome !== 'in-progress',
    counts: counts(nodes),
    latency: {
      count: latency.count,
      p50Ms: latency.quantile(0.5),
      p99Ms: latency.quantile(0.99),
      maxMs: latency.quantile(1),
    },
    nodes: named.map((node) => nodeMessage(node, namesReplicas)),
    replicas: namesReplicas
      ? replicas.map((replica) => ({ replica: replica.name, offeredRevision: replica.offered(scope) ?? 0n }))
      : [],
    incomplete: incomplete ?? '',
  };
}

const outcomes = {
  'in-progress': Outcome.IN_PROGRESS,
  complete: Outcome.COMPLETE,
  rejected: Outcome.REJECTED,
  'left-unanswered': Outcome.LEFT_UNANSWERED,
} as const;

const states = {
  pending: State.PENDING,
  sent: State.SENT,
  applied: State.APPLIED,
  refused: State.REFUSED,
  disconnected: State.DISCONNECTED,
  'left-unanswered': State.LEFT_UNANSWERED,
} as const;

/** Those first that somebody has to look at. */
const order: Readonly<Record<NodeState, number>> = {
  refused: 0,
  'left-unanswered': 1,
  pending: 2,
  sent: 3,
  applied: 4,
  disconnected: 5,
};

function counts(nodes: readonly NodePropagation[]) {
  const count = (state: NodeState) => nodes.filter((node) => node.state === state).length;
  return {
    connected: nodes.filter(({ node }) => node.connected).length,
    pending: count('pending'),
    sent: count('sent'),
    applied: count('applied'),
    refused: count('refused'),
    leftUnanswered: count('left-unanswered'),
    disconnected: count('disconnected'),
  };
}

function nodeMessage({ node, state, status }: NodePropagation, namesReplicas: boolean) {
  return {
    node: node.id,
    state: states[state],
    appliedRevision: status.applied,
    appliedAfterMs: status.appliedAfterMs ?? 0,
    refusals: state === 'refused' ? [...(status.refused?.refusals ?? [])] : [],
    replica: namesReplicas ? node.replica : '',
  };
}
