import type { FailedListener, OpenListener } from '../listeners.ts';

/** What readiness depends on. */
export interface ReadinessInput {
  readonly hasTable: boolean;
  readonly draining: boolean;
  readonly open: readonly OpenListener[];
  readonly failed: readonly FailedListener[];
}

export interface Readiness {
  readonly ready: boolean;
  /** Why the node is not ready, or what is wrong although it is. */
  readonly reasons: readonly string[];
}

/** Whether requests should be sent to this node. A port that could not be opened is named, but the others count. */
export function judgeReadiness({ hasTable, draining, open, failed }: ReadinessInput): Readiness {
  const blocking: string[] = [];
  if (draining) blocking.push('the node is stopping');
  if (!hasTable) blocking.push('no configuration has been received yet');
  if (hasTable && open.length === 0) blocking.push('no listener is open');
  const partial = failed.map(
    ({ name, address, error }) => `listener ${name} could not be opened on ${address}: ${error}`,
  );
  return { ready: blocking.length === 0, reasons: [...blocking, ...partial] };
}
