import { type Limits, Limits_Per } from '@signalbox/proto/signalbox/config/v1/limits_pb.ts';
import type { ProblemList } from '../problem.ts';

const partitions: readonly Limits_Per[] = [Limits_Per.PRINCIPAL, Limits_Per.ROUTE, Limits_Per.TOOL];
const maxCalls = 1_000_000;

/** What the limits of a policy must be: a rate, perhaps a burst, and each partition once. */
export function checkLimits({ callsPerMinute, burst, per }: Limits, found: ProblemList): void {
  if (callsPerMinute === 0) found.error('missing-field', 'spec.limits.callsPerMinute', 'is required: at least 1');
  if (callsPerMinute > maxCalls) {
    found.error('invalid-value', 'spec.limits.callsPerMinute', `must be at most ${maxCalls}`);
  }
  if (burst > maxCalls) found.error('invalid-value', 'spec.limits.burst', `must be at most ${maxCalls}`);
  for (const [at, one] of per.entries()) {
    const field = `spec.limits.per[${at}]`;
    if (!partitions.includes(one)) {
      found.error('invalid-value', field, 'must be PRINCIPAL, ROUTE or TOOL');
    } else if (per.indexOf(one) !== at) found.error('duplicate', field, 'is already listed');
  }
}
