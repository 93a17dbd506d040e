import { type Limits, Limits_Per } from '@signalbox/proto/signalbox/config/v1/limits_pb.ts';
import { byteCount } from '../resources/byte-count.ts';
import { durationMs } from '../resources/duration.ts';
import { type CallBounds, type LimitEntry, type LimitPartition, noBounds } from './limits.ts';

const partitions: ReadonlyMap<Limits_Per, LimitPartition> = new Map([
  [Limits_Per.PRINCIPAL, 'principal'],
  [Limits_Per.ROUTE, 'route'],
  [Limits_Per.TOOL, 'tool'],
]);

/** How many calls one policy, which has been checked, lets through; undefined for any number. */
export function compileLimits(tenant: string, policy: string, limits: Limits): LimitEntry | undefined {
  const { callsPerMinute, burst, concurrent, per } = limits;
  if (callsPerMinute === 0 && concurrent === 0) return undefined;
  const full = burst === 0 ? Math.max(1, Math.floor(callsPerMinute / 10)) : burst;
  const sorted = per.flatMap((one) => partitions.get(one) ?? []).sort();
  return Object.freeze({
    id: limitsId(policy),
    key: `${tenant}/${policy}@${callsPerMinute}/${full}/${sorted.join('+')}`,
    ...{ callsPerMinute, burst: full, concurrent, per: Object.freeze(sorted) },
    concurrencyKey: `${tenant}/${policy}/${sorted.join('+')}`,
  });
}

/** What one call may take, by one policy, which has been checked. */
export function compileBounds(policy: string, { timeout, responseBytes }: Limits): CallBounds {
  if (timeout === '' && responseBytes === '') return noBounds;
  return Object.freeze({
    timeoutMs: timeout === '' ? null : durationMs(timeout),
    responseBytes: responseBytes === '' ? null : byteCount(responseBytes),
    ids: Object.freeze([limitsId(policy)]),
  });
}

/** The tightest of each. */
export function tightest(bounds: readonly CallBounds[]): CallBounds {
  const some = bounds.filter((one) => one !== noBounds);
  if (some.length === 0) return noBounds;
  return Object.freeze({
    timeoutMs: least(some.map(({ timeoutMs }) => timeoutMs)),
    responseBytes: least(some.map(({ responseBytes }) => responseBytes)),
    ids: Object.freeze(some.flatMap(({ ids }) => ids)),
  });
}

function least(numbers: readonly (number | null)[]): number | null {
  const given = numbers.filter((number) => number !== null);
  return given.length === 0 ? null : Math.min(...given);
}

function limitsId(policy: string): string {
  return `policy/${policy}/limits`;
}
