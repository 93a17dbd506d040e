import type { ReadReplica, ReportedNack, ReportedNode } from '../store/fleet-store.ts';
import type { NodeNack, NodeScopeStatus, NodeStatus, ReplicaStatus } from './node-directory.ts';

/** Another replica, as far as it has told. */
export class RemoteReplica {
  #said: Omit<ReadReplica, 'nodes' | 'scopes' | 'isWhole'>;
  readonly #nodes = new Map<string, ReportedNode>();
  readonly #offered = new Map<string, bigint>();

  constructor(said: ReadReplica) {
    this.#said = said;
    this.read(said);
  }

  /** Number of the last report that was read. */
  get report(): bigint {
    return this.#said.report;
  }

  /** Takes over what it has told since. */
  read(said: ReadReplica): void {
    this.#said = said;
    if (said.isWhole) {
      this.#nodes.clear();
      this.#offered.clear();
    }
    for (const node of said.nodes) this.#nodes.set(node.key, node);
    for (const { scope, revision } of said.scopes) this.#offered.set(scope, revision);
  }

  isAlive(nowMs: number): boolean {
    return this.#said.leaseUntilMs > nowMs;
  }

  status(nowMs: number): ReplicaStatus {
    const { id, name, startedAtMs, leaseUntilMs } = this.#said;
    return {
      ...{ id, name, startedAtMs, leaseUntilMs, isAlive: this.isAlive(nowMs), isSelf: false },
      isSilent: this.report === 0n,
      isPartial: this.#said.isPartial && this.#said.isComplete,
      offered: (scope) => this.#offered.get(scope),
    };
  }

  /** @param published scopes that exist, as far as the replica knows that is asked. */
  nodes(nowMs: number, published: ReadonlySet<string>): readonly NodeStatus[] {
    return Array.from(this.#nodes.values(), (node) => this.#node(node, nowMs, published));
  }

  /** A replica that is gone has no connections. */
  #node(node: ReportedNode, nowMs: number, published: ReadonlySet<string>): NodeStatus {
    const { key, id, gateway, identity, family, userAgent, version, remoteAddress, connectedSinceMs } = node;
    const { name: replica, leaseUntilMs } = this.#said;
    const isThere = this.isAlive(nowMs);
    const leftAtMs = node.leftAtMs ?? (isThere ? undefined : leaseUntilMs);
    const seen = node.scopes && new Set(node.scopes);
    const isOffered = (scope: string) => !this.#said.isPartial || this.#offered.has(scope);
    const sees = (scope: string) => published.has(scope) && isOffered(scope) && (seen?.has(scope) ?? true);
    return {
      ...{ key, id, gateway, identity, family, userAgent, version, remoteAddress, replica, connectedSinceMs, leftAtMs },
      groups: node.groups ?? [],
      ...{ members: node.members ?? [], membersLeftOut: node.membersLeftOut ?? 0 },
      connected: leftAtMs === undefined,
      lastSeenMs: leftAtMs ?? node.lastSeenMs,
      lastAckMs: node.lastAckMs,
      lastNack: node.lastNack && nackOf(node.lastNack),
      scope: (scope) => (sees(scope) ? this.#scope(node, scope) : undefined),
      scopes: () => [...published].filter(sees),
    };
  }

  #scope({ isFresh, behind }: ReportedNode, scope: string): NodeScopeStatus {
    const lag = behind[scope];
    const offered = isFresh ? 0n : (this.#offered.get(scope) ?? 0n);
    if (!lag) return { sent: offered, applied: offered, appliedAfterMs: undefined, refused: undefined };
    const { sent, applied, refused } = lag;
    return {
      ...{ sent: BigInt(sent), applied: BigInt(applied), appliedAfterMs: undefined },
      refused: refused && nackOf(refused),
    };
  }
}

function nackOf({ revision, ...nack }: ReportedNack): NodeNack {
  return { ...nack, revision: BigInt(revision) };
}
