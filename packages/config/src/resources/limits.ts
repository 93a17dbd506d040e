import { type Limits, Limits_Per } from '@signalbox/proto/signalbox/config/v1/limits_pb.ts';
import type { ProblemList } from '../problem.ts';
import { byteCountFault } from './byte-count.ts';
import { durationFault, durationMs } from './duration.ts';

const partitions: readonly Limits_Per[] = [Limits_Per.PRINCIPAL, Limits_Per.ROUTE, Limits_Per.TOOL];
const maxCalls = 1_000_000;

/** What the limits of a policy must be: something that is limited, each partition once, and no part that counts for nothing. */
export function checkLimits(limits: Limits, found: ProblemList): void {
  const { callsPerMinute, burst, per, concurrent, timeout, responseBytes } = limits;
  const counts = callsPerMinute > 0 || concurrent > 0;
  if (!counts && timeout === '' && responseBytes === '') {
    found.error('missing-field', 'spec.limits', 'needs callsPerMinute, concurrent, timeout or responseBytes');
  }
  for (const [name, count] of Object.entries({ callsPerMinute, burst, concurrent })) {
    if (count > maxCalls) found.error('invalid-value', `spec.limits.${name}`, `must be at most ${maxCalls}`);
  }
  if (burst > 0 && callsPerMinute === 0) {
    found.error('missing-field', 'spec.limits.callsPerMinute', 'is required beside burst: at least 1');
  }
  if (per.length > 0 && !counts) {
    found.error('invalid-value', 'spec.limits.per', 'divides callsPerMinute and concurrent, and neither is given');
  }
  for (const [at, one] of per.entries()) {
    const field = `spec.limits.per[${at}]`;
    if (!partitions.includes(one)) {
      found.error('invalid-value', field, 'must be PRINCIPAL, ROUTE or TOOL');
    } else if (per.indexOf(one) !== at) found.error('duplicate', field, 'is already listed');
  }
  found.check('spec.limits.timeout', timeoutFault(timeout));
  found.check('spec.limits.responseBytes', byteCountFault(responseBytes));
}

function timeoutFault(text: string): string | undefined {
  return durationFault(text) ?? (text !== '' && durationMs(text) === 0 ? 'must be longer than 0s' : undefined);
}
