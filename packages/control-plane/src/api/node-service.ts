import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import type { HandlerContext, ServiceImpl } from '@connectrpc/connect';
import type {
  ListNodesRequest,
  NodeService,
  WatchNodesRequest,
} from '@signalbox/proto/signalbox/admin/v1/node_service_pb.ts';

import type { Fleet } from '../discovery/fleet.ts';
import type { NodeNack, NodeStatus, ReplicaStatus } from '../discovery/node-directory.ts';
import type { ScopeStages } from '../publish/scope-stages.ts';
import type { Caller } from './authenticate.ts';
import { callerOf, requireScope, seesAllTenants } from './authorize.ts';
import type { StateStreams } from './state-streams.ts';
import type { StreamAccess } from './stream-access.ts';

export interface NodeApiParts {
  readonly fleet: Fleet;
  readonly streams: StateStreams;
  readonly access: StreamAccess;
  /** Who gets which revision of a scope that is rolled out in stages. */
  readonly staged: (scope: string) => Pick<ScopeStages, 'revisionFor'> | undefined;
}

/** All nodes are told each time: not as often as how far one revision is, in milliseconds. */
const watchIntervalMs = 250;
/** Scopes of a node that are named if none was asked for. */
const maxScopes = 100;

/** Every subscriber of discovery, on all replicas, and what it runs. */
export class NodeApi implements ServiceImpl<typeof NodeService> {
  readonly #parts: NodeApiParts;

  constructor(parts: NodeApiParts) {
    this.#parts = parts;
  }

  listNodes(request: ListNodesRequest, context: HandlerContext) {
    return this.#parts.streams.once({ read: this.#reader(request, context) });
  }

  async *watchNodes(request: WatchNodesRequest, context: HandlerContext) {
    const read = this.#reader(request, context);
    using access = this.#parts.access.open(context);
    yield* this.#parts.streams.stream({ read, isLast: () => false, intervalMs: watchIntervalMs }, access.signal);
    access.check();
  }

  #reader({ scope }: ListNodesRequest | WatchNodesRequest, context: HandlerContext) {
    const caller = callerOf(context);
    if (scope !== '') requireScope(caller, scope);
    const { fleet, staged } = this.#parts;
    return () => {
      const replicas = fleet.replicas();
      const offered = (name: string) => replicas[0]?.offered(name) ?? 0n;
      const all = fleet.nodes();
      const nodes = all.filter((node) => (scope === '' ? isVisible(node, caller) : node.scope(scope) !== undefined));
      return {
        nodes: nodes.map((node) => {
          const desired = (name: string) => staged(name)?.revisionFor(node) ?? offered(name);
          return nodeMessage(node, { caller, scope, desired });
        }),
        replicas: seesAllTenants(caller) ? replicas.map((replica) => replicaMessage(replica, all)) : [],
        incomplete: fleet.incomplete ?? '',
      };
    };
  }
}

/** A caller who is bound to tenants sees the nodes that serve one of them. */
function isVisible(node: NodeStatus, caller: Caller): boolean {
  return seesAllTenants(caller) || caller.tenants.some((tenant) => node.scope(tenant) !== undefined);
}

interface Asked {
  readonly caller: Caller;
  /** Empty: all. */
  readonly scope: string;
  /** Revision of a scope that the node is to run. */
  readonly desired: (scope: string) => bigint;
}

/** Of a node that serves many tenants, a caller learns only what concerns his own. */
function nodeMessage(node: NodeStatus, { caller, scope, desired }: Asked) {
  const mayKnow = (name: string) => seesAllTenants(caller) || caller.tenants.includes(name);
  const { id, gateway, identity, family, userAgent, version, connected, lastAckMs, lastNack } = node;
  const known = scope === '' ? [...node.scopes()].filter(mayKnow) : [scope];
  const scopes = known.map((name) => {
    const appliedRevision = node.scope(name)?.applied ?? 0n;
    return { scope: name, desiredRevision: desired(name), appliedRevision };
  });
  const behind = scopes.filter(({ appliedRevision, desiredRevision }) => appliedRevision < desiredRevision);
  const current = scopes.filter(({ appliedRevision, desiredRevision }) => appliedRevision >= desiredRevision);
  const members = node.members.filter(({ tenant }) => (scope === '' ? mayKnow(tenant) : tenant === scope));
  return {
    members: members.map(({ sinceMs, ...member }) => ({ ...member, since: timestamp(sinceMs) })),
    membersLeftOut: seesAllTenants(caller) ? node.membersLeftOut : 0,
    ...{ id, gateway, identity, family, userAgent, version, connected, groups: [...node.groups] },
    remoteAddress: seesAllTenants(caller) ? node.remoteAddress : '',
    replica: seesAllTenants(caller) ? node.replica : '',
    connectedSince: timestamp(node.connectedSinceMs),
    lastSeen: timestamp(node.lastSeenMs),
    scopes: [...behind, ...current].slice(0, maxScopes),
    scopeCount: scopes.length,
    behindCount: behind.length,
    ...(lastAckMs !== undefined && { lastAckAt: timestamp(lastAckMs) }),
    ...(lastNack && mayKnow(lastNack.scope) && { lastNack: nackMessage(lastNack, node) }),
  };
}

/** It is current while the node still runs an older revision because of it. */
function nackMessage({ atMs, scope, revision, refusals }: NodeNack, node: NodeStatus) {
  const status = node.scope(scope);
  const current = status !== undefined && status.applied < revision;
  return { at: timestamp(atMs), scope, revision, current, refusals: [...refusals] };
}

function replicaMessage(replica: ReplicaStatus, nodes: readonly NodeStatus[]) {
  const { id, name, startedAtMs, leaseUntilMs, isAlive: alive, isSelf: self } = replica;
  return {
    ...{ id, name, alive, self },
    startedAt: timestamp(startedAtMs),
    ...(!alive && { goneSince: timestamp(leaseUntilMs) }),
    nodes: nodes.filter((node) => node.connected && node.replica === name).length,
  };
}

function timestamp(atMs: number) {
  return timestampFromMs(Math.floor(atMs));
}
