/** Bounds of handles: names of servers that clients get sealed and bring back. */
export interface HandleLimits {
  /** How long a `requestState` is taken back, in milliseconds. */
  readonly stateMs: number;
  /** Tasks whose clients this node remembers, so that it can pass on what servers say of them unasked. */
  readonly tasks: number;
}

export const defaultHandleLimits: HandleLimits = Object.freeze({ stateMs: 3_600_000, tasks: 20_000 });
