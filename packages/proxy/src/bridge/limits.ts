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
}

export const defaultBridgeLimits: BridgeLimits = Object.freeze({
  rounds: 8,
  answerMs: 600_000,
  sessions: 20_000,
  subscriptions: 1_000,
});
