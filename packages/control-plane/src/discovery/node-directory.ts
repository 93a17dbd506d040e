/** Who runs what: every subscriber that is or was connected to this replica. */
export interface NodeDirectory {
  list(): readonly NodeStatus[];
  /** Called after any change of any node, coalesced. */
  onChange(listener: () => void): Disposable;
}

export interface NodeStatus {
  readonly id: string;
  readonly gateway: string;
  /** Name of the token that it authenticated with. */
  readonly identity: string;
  readonly userAgent: string;
  readonly version: string;
  readonly remoteAddress: string;
  readonly connected: boolean;
  readonly connectedSinceMs: number;
  readonly lastSeenMs: number;
  readonly lastAckMs: number | undefined;
  /** Of whichever scope. */
  readonly lastNack: NodeNack | undefined;
  readonly scopes: ReadonlyMap<string, NodeScopeStatus>;
}

export interface NodeScopeStatus {
  /** Newest revision of the scope that this replica knows. */
  readonly desired: bigint;
  /** Newest revision whose Manifest was sent; 0 if none. */
  readonly sent: bigint;
  /** Newest revision whose Manifest was acknowledged; 0 if none. */
  readonly applied: bigint;
  readonly appliedAtMs: number | undefined;
  /** The newest revision that the node refused and has not replaced by one that it applied. */
  readonly refused: NodeNack | undefined;
}

export interface NodeNack {
  readonly atMs: number;
  readonly scope: string;
  readonly revision: bigint;
  readonly refusals: readonly { readonly type: string; readonly resource: string; readonly message: string }[];
  /** The node still runs an older revision because of it. */
  readonly current: boolean;
}
