import { type Limits, Limits_Per } from '@signalbox/proto/signalbox/config/v1/limits_pb.ts';
import type { LimitEntry, LimitPartition } from './limits.ts';

const partitions: ReadonlyMap<Limits_Per, LimitPartition> = new Map([
  [Limits_Per.PRINCIPAL, 'principal'],
  [Limits_Per.ROUTE, 'route'],
  [Limits_Per.TOOL, 'tool'],
]);

/** The limits of one policy, which have been checked. */
export function compileLimits(tenant: string, policy: string, { callsPerMinute, burst, per }: Limits): LimitEntry {
  const full = burst === 0 ? Math.max(1, Math.floor(callsPerMinute / 10)) : burst;
  const sorted = per.flatMap((one) => partitions.get(one) ?? []).sort();
  return Object.freeze({
    id: `policy/${policy}/limits`,
    key: `${tenant}/${policy}@${callsPerMinute}/${full}/${sorted.join('+')}`,
    ...{ callsPerMinute, burst: full, per: Object.freeze(sorted) },
  });
}
