/** Bounds of what nodes share. Sizes in bytes, times in milliseconds. */
export interface NodesLimits {
  /** Events of one stream that are kept for a client that comes back; 0: none. */
  readonly streamEvents: number;
  /** The same in bytes. */
  readonly streamEventBytes: number;
  /** How long events are kept behind the last one of their stream. */
  readonly streamEventMs: number;
  /** What one node keeps in memory, when it has no Redis: events, and facts of sessions. */
  readonly memoryBytes: number;
  /** Facts of one session that do not fit into its id. */
  readonly recordBytes: number;
  /** Time without a sign of life after which a node is taken for gone. */
  readonly leaseMs: number;
  /** How long another node may take to accept what is handed to it. */
  readonly acceptMs: number;
  /** What one node does for others, and what others do for it, at a time. */
  readonly calls: number;
  /** One request that is handed to another node, or the answers to it. */
  readonly handedBytes: number;
  /** Ended sessions that nodes tell each other of. */
  readonly endings: number;
  /** How often a node looks for ended sessions that it was not told of. */
  readonly endingsPollMs: number;
}

export const defaultNodesLimits: NodesLimits = Object.freeze({
  streamEvents: 1_000,
  streamEventBytes: 1_048_576,
  streamEventMs: 600_000,
  memoryBytes: 67_108_864,
  recordBytes: 65_536,
  leaseMs: 10_000,
  acceptMs: 2_000,
  calls: 1_000,
  handedBytes: 8_388_608,
  endings: 20_000,
  endingsPollMs: 5_000,
});
