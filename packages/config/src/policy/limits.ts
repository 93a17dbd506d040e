/** An allowance of calls, as a token bucket: it fills evenly and holds at most `burst`. Each node counts by itself. */
export interface LimitEntry {
  /** Name of the policy it comes from: `policy/<name>/limits`. */
  readonly id: string;
  /** Tenant, policy and numbers: limits with equal keys are the same one, across changes of the configuration. */
  readonly key: string;
  readonly callsPerMinute: number;
  /** At least 1. */
  readonly burst: number;
  /** What has an allowance of its own; sorted. Empty: all calls share one. */
  readonly per: readonly LimitPartition[];
}

export type LimitPartition = 'principal' | 'route' | 'tool';
