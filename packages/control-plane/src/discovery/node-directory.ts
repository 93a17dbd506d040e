/** A node, on whichever replica. Times are the database's, in milliseconds since the epoch. */
export interface NodeStatus {
  /** Credential and id: what makes it this node. The same after a reconnect and on every replica. */
  readonly key: string;
  readonly id: string;
  readonly gateway: string;
  /** Name of the token that it authenticated with. */
  readonly identity: string;
  /** Groups that its credential puts it in. */
  readonly groups: readonly string[];
  /** Name of the family of resources that it is served. */
  readonly family: string;
  readonly userAgent: string;
  readonly version: string;
  readonly remoteAddress: string;
  /** Name of the replica that it is or was connected to. */
  readonly replica: string;
  readonly connected: boolean;
  readonly connectedSinceMs: number;
  /** Undefined while it is connected. */
  readonly leftAtMs: number | undefined;
  readonly lastSeenMs: number;
  readonly lastAckMs: number | undefined;
  /** Of whichever scope. */
  readonly lastNack: NodeNack | undefined;
  /** How members of virtual servers do, as it has told last. */
  readonly members: readonly NodeMember[];
  /** How many more it has. */
  readonly membersLeftOut: number;
  /** How far it is in a scope; undefined if the scope is not published or the node does not see it. */
  scope(name: string): NodeScopeStatus | undefined;
  /** Published scopes that it sees. */
  scopes(): Iterable<string>;
}

export interface NodeScopeStatus {
  /** Newest revision whose Manifest was sent; 0 if none. */
  readonly sent: bigint;
  /** Newest revision whose Manifest was acknowledged; 0 if none, or if the node has not proved yet what it runs. */
  readonly applied: bigint;
  /** Milliseconds from the commit of the newest revision until the node ran it; undefined if it does not, or unknown. */
  readonly appliedAfterMs: number | undefined;
  /** The newest revision that the node refused and has not replaced by one that it applied. */
  readonly refused: NodeNack | undefined;
}

/** A backend as a member of virtual servers, as a node finds it. */
export interface NodeMember {
  readonly tenant: string;
  readonly backend: string;
  /** `reachable`, `degraded`, `open`, `needs-auth` or `quarantined`; empty: one that this version does not know. */
  readonly condition: string;
  /** In a row. */
  readonly failures: number;
  /** By the node's clock, milliseconds since the epoch. */
  readonly sinceMs: number;
}

/** What a node has told of members. */
export interface NodeMembers {
  readonly members: readonly NodeMember[];
  /** How many more it has. */
  readonly leftOut: number;
}

export interface NodeNack {
  readonly atMs: number;
  readonly scope: string;
  readonly revision: bigint;
  readonly refusals: readonly { readonly type: string; readonly resource: string; readonly message: string }[];
}

/** A process of the control plane. */
export interface ReplicaStatus {
  readonly id: string;
  readonly name: string;
  readonly startedAtMs: number;
  readonly leaseUntilMs: number;
  readonly isAlive: boolean;
  /** The one that is asked. */
  readonly isSelf: boolean;
  /** Nothing is known of its nodes: it has said nothing yet, or the database has lost it. */
  readonly isSilent: boolean;
  /** A relay that has told what it offers: what it does not offer it need not have. */
  readonly isPartial: boolean;
  /** Newest revision of a scope that it offers to nodes; undefined if it offers none, or has not said yet. */
  offered(scope: string): bigint | undefined;
}
