import { create } from '@bufbuild/protobuf';
import { DurationSchema } from '@bufbuild/protobuf/wkt';
import type { LimitEntry, RouteEntry } from '@signalbox/config';
import {
  TrafficPolicySpec_LocalRateLimit_Type as LimitType,
  TrafficPolicySpec_PolicyPhase as Phase,
} from '@signalbox/proto/agentgateway/dev/resource/policy_pb.ts';
import type { PlainResource } from '@signalbox/xds';
import { keyed, routeName } from './names.ts';

const minuteNanos = 60_000_000_000n;

/**
 * The limits of a route, as a policy that aims at it: all of its paths on all listeners share one allowance. Each node
 * counts by itself, as ours do.
 */
export function limitResources(route: RouteEntry): readonly PlainResource[] {
  const rules = route.limits.filter(isOfRoute).map(({ callsPerMinute, burst }) => {
    const interval = (minuteNanos - 1n) / BigInt(callsPerMinute) + 1n;
    const fillInterval = create(DurationSchema, {
      seconds: interval / 1_000_000_000n,
      nanos: Number(interval % 1_000_000_000n),
    });
    return { maxTokens: BigInt(burst), tokensPerFill: 1n, fillInterval, type: LimitType.REQUEST };
  });
  const [first] = rules;
  if (first === undefined) return [];
  const key = `${route.tenant}/${route.name}/limits`;
  const { name, namespace, kind } = routeName(route);
  // Builds that do not know rules read the fields of the first one; others read rules only.
  const limit = { case: 'localRateLimit' as const, value: { ...first, rules } };
  const value = {
    ...{ key, name: { name: `${name}-limits`, namespace, kind: 'Policy' } },
    target: { kind: { case: 'route' as const, value: { name, namespace, kind } } },
    kind: { case: 'traffic' as const, value: { phase: Phase.ROUTE, kind: limit } },
  };
  return [keyed(key, { case: 'policy', value })];
}

/** Whether all calls of a route share it, and no others. */
export function isOfRoute({ per }: LimitEntry): boolean {
  return per.length === 1 && per[0] === 'route';
}
