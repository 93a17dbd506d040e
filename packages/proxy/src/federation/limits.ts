/** Bounds of what virtual servers of several members need. Times in milliseconds. */
export interface FederationLimits {
  /** How long members may take to answer what is asked of all of them: initialize, discovery, lists. */
  readonly fanOutMs: number;
  /** Failures in a row after which a member is left alone. */
  readonly breakerFailures: number;
  /** How long it is left alone before one request tries it again. */
  readonly breakerMs: number;
  /** How long change notifications of several members are gathered into one. */
  readonly changeGatherMs: number;
  /** Shortest time between two notifications of one kind that one member causes on one stream. */
  readonly changeSpacingMs: number;
  /** First wait before the stream of a member that ended is opened again; it doubles up to 30 times as long. */
  readonly reopenMs: number;
  /** How long the names of members without prefix are remembered; a change that a member tells of ends it at once. */
  readonly namesMs: number;
  /** Pages of one list that are read to learn a member's names. */
  readonly namesPages: number;
  /** Characters of a member's cursor. */
  readonly cursorLength: number;
  /** Bytes of the client's capabilities that are kept for sessions with members; beyond, they are taken as none. */
  readonly capabilitiesBytes: number;
  /** Resource subscriptions of a session that are made again when a member has lost its session. */
  readonly subscriptions: number;
}

export const defaultFederationLimits: FederationLimits = Object.freeze({
  fanOutMs: 5_000,
  breakerFailures: 5,
  breakerMs: 10_000,
  changeGatherMs: 50,
  changeSpacingMs: 30_000,
  reopenMs: 1_000,
  namesMs: 60_000,
  namesPages: 100,
  cursorLength: 2_048,
  capabilitiesBytes: 1_024,
  subscriptions: 100,
});
