import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { Any } from '@bufbuild/protobuf/wkt';
import type { GatewayEntry, LimitEntry, RouteEntry } from '@signalbox/config';
import type { RateLimit_ActionSchema } from '@signalbox/proto/envoy/config/route/v3/route_components_pb.ts';
import { XRateLimitHeadersRFCVersion } from '@signalbox/proto/envoy/extensions/common/ratelimit/v3/ratelimit_pb.ts';
import { LocalRateLimitSchema } from '@signalbox/proto/envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit_pb.ts';
import { TokenBucketSchema, type TokenBucket } from '@signalbox/proto/envoy/type/v3/token_bucket_pb.ts';
import { ratesOf } from '../call-bounds.ts';
import { payloadKey } from './fields.ts';
import { filterNames } from './filter-names.ts';
import { milliseconds, pack } from './pack.ts';

/** Group of the methods of MCP that count: calls of tools, gets of prompts, reads of resources. */
export const countedGroup = 'call';
export const countedMethods: readonly string[] = ['prompts/get', 'resources/read', 'resources/subscribe', 'tools/call'];

/** Callers whose allowances Envoy remembers, for each route. */
const maxCallers = 10_000;

/** How many places of a gateway keep count of a limit by themselves. */
export type LimitShares = ReadonlyMap<string, number>;

/**
 * Envoy counts by route and listener, so a limit that several of them share is divided evenly: less may pass than at our
 * own proxy, never more.
 */
export function limitShares(gateway: GatewayEntry, routes: readonly RouteEntry[]): LimitShares {
  const shares = new Map<string, number>();
  for (const route of routes) {
    for (const limit of ratesOf(route)) {
      const places = limit.per.includes('route') ? 0 : (shares.get(limit.key) ?? 0);
      shares.set(limit.key, places === 0 ? gateway.listeners.length : places + gateway.listeners.length);
    }
  }
  return shares;
}

/** What Envoy cannot do about a limit as it is written. */
export function limitGaps(route: RouteEntry, shares: LimitShares): ReadonlyMap<string, readonly string[]> {
  const gaps = new Map<string, readonly string[]>();
  for (const { id, key, per } of ratesOf(route)) {
    const found = [
      ...(per.includes('tool') ? ['an allowance for each tool'] : []),
      ...((shares.get(key) ?? 1) > 1 ? ['one allowance for several routes or listeners; each gets an even share'] : []),
    ];
    if (found.length > 0) gaps.set(id, found);
  }
  return gaps;
}

/** The limits of a route as configuration of the filter; undefined when there are none. */
export function rateLimitConfig(route: RouteEntry, shares: LimitShares): Any | undefined {
  const limits = ratesOf(route);
  if (limits.length === 0) return undefined;
  return pack(LocalRateLimitSchema, {
    statPrefix: `${route.tenant}/${route.name}`,
    filterEnabled: always,
    filterEnforced: always,
    // Only what a descriptor matches is counted.
    tokenBucket: { maxTokens: unlimited, tokensPerFill: unlimited, fillInterval: milliseconds(1_000) },
    alwaysConsumeDefaultTokenBucket: false,
    enableXRatelimitHeaders: XRateLimitHeadersRFCVersion.DRAFT_VERSION_03,
    enableRetryAfterHeader: true,
    maxDynamicDescriptors: maxCallers,
    rateLimits: limits.map((limit) => ({ actions: actionsOf(limit, route) })),
    descriptors: limits.map((limit) => ({
      entries: entriesOf(limit, route),
      tokenBucket: bucketOf(limit, shares.get(limit.key) ?? 1),
    })),
  });
}

const always = { defaultValue: { numerator: 100 } };
const unlimited = 4_294_967_295;

type Action = MessageInitShape<typeof RateLimit_ActionSchema>;

/** What of a request chooses its allowance. Requests that lack one of them are not counted. */
function actionsOf({ id, per }: LimitEntry, { kind }: RouteEntry): Action[] {
  const policy = { descriptorKey: 'limit', descriptorValue: id };
  const actions: Action[] = [{ actionSpecifier: { case: 'genericKey', value: policy } }];
  if (kind === 'mcp') actions.push(metadata('group', filterNames.mcp, ['group']));
  if (per.includes('principal')) {
    for (const claim of ['iss', 'sub'])
      actions.push(metadata(claim, filterNames.jwt, [payloadKey, claim], 'anonymous'));
  }
  return actions;
}

function metadata(descriptorKey: string, filter: string, path: readonly string[], missing = ''): Action {
  const segments = path.map((key) => ({ segment: { case: 'key' as const, value: key } }));
  const value = { descriptorKey, metadataKey: { key: filter, path: segments }, defaultValue: missing };
  return { actionSpecifier: { case: 'metadata', value: { ...value, skipIfAbsent: missing === '' } } };
}

/** An entry without value stands for any. */
function entriesOf({ id, per }: LimitEntry, { kind }: RouteEntry) {
  return [
    { key: 'limit', value: id },
    ...(kind === 'mcp' ? [{ key: 'group', value: countedGroup }] : []),
    ...(per.includes('principal') ? [{ key: 'iss' }, { key: 'sub' }] : []),
  ];
}

/** Envoy fills at most 20 times a second. */
const leastFillMs = 50;

function bucketOf({ callsPerMinute, burst }: LimitEntry, share: number): TokenBucket {
  const perMinute = callsPerMinute / share;
  const tokens = Math.max(1, Math.ceil((perMinute * leastFillMs) / 60_000));
  return create(TokenBucketSchema, {
    maxTokens: Math.max(1, Math.floor(burst / share)),
    tokensPerFill: tokens,
    fillInterval: milliseconds(Math.ceil((tokens * 60_000) / perMinute)),
  });
}
