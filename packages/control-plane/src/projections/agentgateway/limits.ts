import { create } from '@bufbuild/protobuf';
import { DurationSchema } from '@bufbuild/protobuf/wkt';
import type { LimitEntry, RouteEntry } from '@signalbox/config';
import {
  TrafficPolicySpec_LocalRateLimit_Type as LimitType,
  TrafficPolicySpec_PolicyPhase as Phase,
} from '@signalbox/proto/agentgateway/dev/resource/policy_pb.ts';
import type { PlainResource } from '@signalbox/xds';
import { ratesOf } from '../call-bounds.ts';
import { keyed, routeName } from './names.ts';

const minuteNanos = 60_000_000_000n;

/** On how many routes of a gateway a limit is kept that they share, by its key. */
export type LimitPlaces = ReadonlyMap<string, number>;

export function limitPlaces(routes: Iterable<RouteEntry>): LimitPlaces {
  const places = new Map<string, number>();
  for (const route of routes) {
    for (const { key, per } of ratesOf(route)) if (per.length === 0) places.set(key, (places.get(key) ?? 0) + 1);
  }
  return places;
}

/**
 * The limits of a route, as a policy that aims at it: all of its paths on all listeners share one allowance. What several
 * routes share is divided evenly. Each node counts by itself, as ours do.
 */
export function limitResources(route: RouteEntry, places: LimitPlaces): readonly PlainResource[] {
  const rules = ratesOf(route).map((limit) => {
    const { callsPerMinute, burst } = limit;
    const count = placesOf(limit, places);
    const interval = (minuteNanos * BigInt(count) - 1n) / BigInt(callsPerMinute) + 1n;
    const fillInterval = create(DurationSchema, {
      seconds: interval / 1_000_000_000n,
      nanos: Number(interval % 1_000_000_000n),
    });
    return { maxTokens: BigInt(Math.floor(burst / count)), tokensPerFill: 1n, fillInterval, type: LimitType.REQUEST };
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

/** Limits without which it would let more calls through: of callers and tools, and those too small to be divided. */
export function uncountable(route: RouteEntry, places: LimitPlaces): readonly LimitEntry[] {
  return ratesOf(route).filter(
    (limit) => limit.per.some((one) => one !== 'route') || limit.burst < placesOf(limit, places),
  );
}

/** Limits that are divided between routes. */
export function divided(route: RouteEntry, places: LimitPlaces): readonly LimitEntry[] {
  return ratesOf(route).filter((limit) => placesOf(limit, places) > 1);
}

function placesOf({ key, per }: LimitEntry, places: LimitPlaces): number {
  return per.length === 0 ? (places.get(key) ?? 1) : 1;
}
