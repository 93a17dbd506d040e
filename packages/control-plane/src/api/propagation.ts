import type { MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import {
  NodePropagation_State as State,
  type NodePropagationSchema,
  type WatchPropagationResponseSchema,
} from '@signalbox/proto/signalbox/admin/v1/config_service_pb.ts';

import type { NodeScopeStatus, NodeStatus } from '../discovery/node-directory.ts';

/** A committed revision of which somebody wants to know who runs it. */
export interface WatchedRevision {
  readonly scope: string;
  readonly revision: bigint;
  readonly committedAtMs: number;
}

export type PropagationMessage = MessageInitShape<typeof WatchPropagationResponseSchema>;

/**
 * Who runs a revision. It is done when every connected node of the scope has answered.
 * @param published newest revision that this replica offers to nodes; before it does, nobody can have answered.
 */
export function propagationOf(
  watched: WatchedRevision,
  nodes: readonly NodeStatus[],
  published: bigint | undefined,
): PropagationMessage & { readonly done: boolean } {
  const answers = nodes.flatMap((node) => {
    const status = node.scopes.get(watched.scope);
    return status ? [nodePropagation(watched, node, status)] : [];
  });
  const isOffered = watched.revision === 0n || (published !== undefined && published >= watched.revision);
  return {
    scope: watched.scope,
    revision: watched.revision,
    committedAt: timestampFromMs(watched.committedAtMs),
    nodes: answers,
    done: isOffered && answers.every(({ state }) => state !== State.PENDING && state !== State.SENT),
  };
}

function nodePropagation(
  watched: WatchedRevision,
  node: NodeStatus,
  status: NodeScopeStatus,
): MessageInitShape<typeof NodePropagationSchema> {
  const state = stateOf(watched, node, status);
  const isMeasured = status.applied === watched.revision && status.appliedAtMs !== undefined;
  return {
    node: node.id,
    state,
    appliedRevision: status.applied,
    appliedAfterMs: isMeasured ? Math.max(0, (status.appliedAtMs ?? 0) - watched.committedAtMs) : 0,
    refusals: state === State.REFUSED ? [...(status.refused?.refusals ?? [])] : [],
  };
}

function stateOf({ revision }: WatchedRevision, node: NodeStatus, status: NodeScopeStatus): State {
  if (!node.connected) return State.DISCONNECTED;
  if (status.applied >= revision) return State.APPLIED;
  if (status.refused && status.refused.revision >= revision) return State.REFUSED;
  return status.sent >= revision ? State.SENT : State.PENDING;
}
