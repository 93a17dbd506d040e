/** An allowance of calls. Each node counts by itself. */
export interface LimitEntry {
  /** Name of the policy it comes from: `policy/<name>/limits`. */
  readonly id: string;
  /** Tenant, policy and numbers: limits with equal keys are the same one, across changes of the configuration. */
  readonly key: string;
  /** A token bucket, which fills evenly and holds at most `burst`. 0: any number of calls. */
  readonly callsPerMinute: number;
  /** At least 1. */
  readonly burst: number;
  /** Calls under way at a time. 0: any number. */
  readonly concurrent: number;
  /** The same for `concurrent`, whatever the number: calls that are under way count on. */
  readonly concurrencyKey: string;
  /** What has an allowance of its own; sorted. Empty: all calls share one. */
  readonly per: readonly LimitPartition[];
}

/** What one call may take, by all policies that apply: the tightest of each. */
export interface CallBounds {
  /** Milliseconds from its beginning to the end of its answer; null for no bound. */
  readonly timeoutMs: number | null;
  /** Bytes of the upstream's answer; null for no bound. */
  readonly responseBytes: number | null;
  /** Policies that say so: `policy/<name>/limits`. */
  readonly ids: readonly string[];
}

export const noBounds: CallBounds = Object.freeze({ timeoutMs: null, responseBytes: null, ids: Object.freeze([]) });

export type LimitPartition = 'principal' | 'route' | 'tool';
