/** Bounds of the bridge between eras. */
export interface BridgeLimits {
  /** How often a server may ask for input within one call. */
  readonly rounds: number;
  /** How long a client may take to answer what a server asks, in milliseconds. */
  readonly answerMs: number;
  /** Sessions of legacy clients at modern servers whose settings this node remembers. */
  readonly sessions: number;
  /** Resources that one such session may subscribe to. */
  readonly subscriptions: number;
  /** How long a call that waits for its client's input is kept, in milliseconds. */
  readonly parkedMs: number;
  /** Calls that may wait for input at a time. */
  readonly parked: number;
  /** How long questions of a server that come together are gathered into one round, in milliseconds. */
  readonly gatherMs: number;
  /** Silence after which a session at a legacy server that modern clients share is ended, in milliseconds. */
  readonly idleMs: number;
  /** Sessions at servers of HTTP+SSE, each with a stream of its own. */
  readonly connections: number;
}

export const defaultBridgeLimits: BridgeLimits = Object.freeze({
  rounds: 8,
  answerMs: 600_000,
  sessions: 20_000,
  subscriptions: 1_000,
  parkedMs: 600_000,
  parked: 10_000,
  gatherMs: 5,
  idleMs: 1_800_000,
  connections: 1_000,
});
