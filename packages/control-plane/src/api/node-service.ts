import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import type { HandlerContext, ServiceImpl } from '@connectrpc/connect';
import type { ListNodesRequest, NodeService } from '@signalbox/proto/signalbox/admin/v1/node_service_pb.ts';

import type { NodeDirectory, NodeNack, NodeStatus } from '../discovery/node-directory.ts';
import type { Caller } from './authenticate.ts';
import { callerOf, requireScope, seesAllTenants } from './authorize.ts';

/** Every subscriber of discovery, and what it runs. */
export class NodeApi implements ServiceImpl<typeof NodeService> {
  readonly #nodes: NodeDirectory;

  constructor(nodes: NodeDirectory) {
    this.#nodes = nodes;
  }

  listNodes(request: ListNodesRequest, context: HandlerContext) {
    const caller = callerOf(context);
    const { scope } = request;
    if (scope !== '') requireScope(caller, scope);
    const nodes = this.#nodes.list().filter((node) => scope === '' || node.scopes.has(scope));
    return { nodes: visibleNodes(nodes, caller).map((node) => nodeMessage(node, caller)) };
  }
}

/** A caller who is bound to tenants sees the nodes that serve one of them. */
function visibleNodes(nodes: readonly NodeStatus[], caller: Caller): readonly NodeStatus[] {
  return nodes.filter((node) => seesAllTenants(caller) || caller.tenants.some((tenant) => node.scopes.has(tenant)));
}

/** Of a node that serves many tenants, a caller learns only what concerns his own. */
function nodeMessage(node: NodeStatus, caller: Caller) {
  const mayKnow = (scope: string) => seesAllTenants(caller) || caller.tenants.includes(scope);
  const { id, gateway, identity, userAgent, version, connected } = node;
  return {
    ...{ id, gateway, identity, userAgent, version, connected },
    remoteAddress: seesAllTenants(caller) ? node.remoteAddress : '',
    connectedSince: timestampFromMs(node.connectedSinceMs),
    lastSeen: timestampFromMs(node.lastSeenMs),
    scopes: [...node.scopes]
      .filter(([scope]) => mayKnow(scope))
      .map(([scope, { desired, applied }]) => ({ scope, desiredRevision: desired, appliedRevision: applied })),
    ...(node.lastAckMs !== undefined && { lastAckAt: timestampFromMs(node.lastAckMs) }),
    ...(node.lastNack && mayKnow(node.lastNack.scope) && { lastNack: nackMessage(node.lastNack) }),
  };
}

function nackMessage({ atMs, scope, revision, refusals, current }: NodeNack) {
  return { at: timestampFromMs(atMs), scope, revision, current, refusals: [...refusals] };
}
