import type { ForwardRouteEntry, GatewayEntry, ListenerEntry, McpRouteEntry, RouteEntry } from '@signalbox/config';
import {
  TrafficPolicySpec_APIKey_Mode as ApiKeyMode,
  TrafficPolicySpec_JWT_Mode as JwtMode,
  TrafficPolicySpec_PolicyPhase as Phase,
} from '@signalbox/proto/agentgateway/dev/resource/policy_pb.ts';
import type { PlainResource } from '@signalbox/xds';
import type { A2aRouteEntry } from './a2a.ts';
import { cardSuffix } from './a2a.ts';
import { quote } from './expression.ts';
import { forwardingPolicies, headerModifier, mcpForwardingPolicies, type TrafficPolicy } from './forwarding.ts';
import { usableKeySet } from './key-sets.ts';
import { keyed, listenerKey, routeKey, routeName } from './names.ts';
import { type Enforcement, enforceA2a, enforceHttp } from './rules.ts';
import { mcpKey, upstreamOf } from './upstream.ts';

/** Where routes are served. */
export interface Place {
  readonly gateway: GatewayEntry;
  readonly listener: ListenerEntry;
}

/** Never upstream: credentials of the caller, and what callers say about the way here. */
const keptFromUpstream = [
  ...['authorization', 'cookie', 'proxy-authorization'],
  ...['forwarded', 'x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto'],
];

/** A route of MCP on a listener: who comes in, and to which server. */
export function mcpRouteResources(
  place: Place,
  entry: McpRouteEntry,
  { admit }: Enforcement,
): readonly PlainResource[] {
  const policies: readonly TrafficPolicy[] = [
    ...authenticationPolicies(entry),
    { case: 'authorization', value: { require: [originCheck(place.listener)], allow: [...admit] } },
    { case: 'requestHeaderModifier', value: headerModifier(entry.forwarding.requestHeaders, keptFromUpstream) },
    ...mcpForwardingPolicies(entry),
  ];
  return routeResource(place, entry, { suffix: '', match: 'exact', backend: mcpKey(entry), policies });
}

/** A route of A2A on a listener: the endpoint of messages, and that of the card, which says where it is. */
export function a2aRouteResources(place: Place, entry: A2aRouteEntry): readonly PlainResource[] {
  const { path } = upstreamOf(entry.backend);
  const paths = [
    ['', path, enforceA2a(entry, undefined)],
    [cardSuffix, new URL(entry.backend.cardUrl).pathname, enforceA2a(entry, 'GetAgentCard')],
  ] as const;
  return paths.flatMap(([suffix, full, { admit, allow }]) => {
    const rewrite = { case: 'full' as const, value: full };
    const policies = forwardPolicies(place, entry, { enforcement: { admit, allow }, rewrite });
    return routeResource(place, entry, { suffix, match: 'exact', backend: entry.backend.key, policies });
  });
}

/** A route of HTTP or gRPC on a listener, with everything below its path. */
export function httpRouteResources(place: Place, entry: ForwardRouteEntry): readonly PlainResource[] {
  const base = new URL(entry.backend.url).pathname;
  const rewrite = entry.kind === 'grpc' ? undefined : { case: 'prefix' as const, value: base };
  const policies = forwardPolicies(place, entry, { enforcement: enforceHttp(entry), rewrite });
  return routeResource(place, entry, { suffix: '', match: 'pathPrefix', backend: entry.backend.key, policies });
}

interface Forwarded {
  readonly enforcement: Pick<Enforcement, 'admit' | 'allow'>;
  /** Undefined: the path stays. */
  readonly rewrite: { readonly case: 'full' | 'prefix'; readonly value: string } | undefined;
}

function forwardPolicies(
  { listener }: Place,
  entry: ForwardRouteEntry,
  { enforcement: { admit, allow }, rewrite }: Forwarded,
): readonly TrafficPolicy[] {
  const comesIn = admit.map((one) => `(${one})`).join(' || ');
  return [
    ...authenticationPolicies(entry),
    { case: 'authorization', value: { require: [originCheck(listener), comesIn], allow: [...allow] } },
    { case: 'requestHeaderModifier', value: headerModifier(entry.forwarding.requestHeaders, keptFromUpstream) },
    ...forwardingPolicies(entry),
    ...(rewrite ? [{ case: 'urlRewrite' as const, value: { path: rewrite } }] : []),
  ];
}

/** A route that cannot be served: its requests are not to reach a broader one, and why is known to whoever wrote it. */
export function deniedRouteResources(place: Place, entry: RouteEntry): readonly PlainResource[] {
  const policies: readonly TrafficPolicy[] = [
    { case: 'authorization', value: { require: ['false'] } },
    { case: 'directResponse', value: { status: 403, body: Buffer.from('not served by this data plane\n') } },
  ];
  const match = entry.kind === 'mcp' ? 'exact' : 'pathPrefix';
  return routeResource(place, entry, { suffix: '', match, backend: undefined, policies });
}

interface Destination {
  /** Of the path and the key. */
  readonly suffix: string;
  readonly match: 'exact' | 'pathPrefix';
  /** Key of the backend; undefined for none. */
  readonly backend: string | undefined;
  readonly policies: readonly TrafficPolicy[];
}

/** None if the route has no host name on the listener. */
function routeResource(
  { gateway, listener }: Place,
  entry: RouteEntry,
  { suffix, match, backend, policies }: Destination,
): readonly PlainResource[] {
  const hostnames = [...listener.hostnames].filter((host) => entry.condition.hostnames?.has(host) ?? true).sort();
  if (hostnames.length === 0) return [];
  const key = `${routeKey(gateway, listener, entry)}${suffix}`;
  const headers = entry.condition.headers.map(([name, text]) => ({
    name,
    value: { case: 'exact' as const, value: text },
  }));
  const value = {
    ...{ key, listenerKey: listenerKey(gateway, listener), hostnames },
    name: { ...routeName(entry), ...(suffix === '' ? {} : { ruleName: suffix }) },
    matches: [{ path: { kind: { case: match, value: `${entry.endpoint}${suffix}` } }, headers }],
    backends:
      backend === undefined ? [] : [{ weight: 1, backend: { kind: { case: 'backend' as const, value: backend } } }],
    trafficPolicies: policies.map((kind) => ({ phase: Phase.ROUTE, kind })),
  };
  return [keyed(key, { case: 'route', value })];
}

/** At most one: agentgateway looks for one kind of credential. The mode is always written, since nothing is the lax one. */
function authenticationPolicies({ authentication }: RouteEntry): readonly TrafficPolicy[] {
  const { jwt, apiKeys, anonymous } = authentication;
  const verifiers = [...jwt.values()].sort((a, b) => (a.issuer < b.issuer ? -1 : 1));
  const providers = verifiers.flatMap(({ issuer, audiences, jwks }) => {
    const { keySet } = usableKeySet(jwks);
    if (keySet === undefined) return [];
    const jwksSource = { case: 'inline' as const, value: keySet };
    return [{ issuer, audiences: [...audiences], jwksSource, jwtValidationOptions: { requiredClaims } }];
  });
  if (providers.length > 0) {
    return [{ case: 'jwt', value: { mode: anonymous ? JwtMode.OPTIONAL : JwtMode.STRICT, providers } }];
  }
  if (apiKeys.size === 0 || jwt.size > 0) return [];
  const keys = [...apiKeys]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([hash, { subject, groups }]) => ({ keyHash: `sha256:${hash}`, metadata: { groups: [...groups], subject } }));
  return [{ case: 'apiKeyAuth', value: { apiKeys: keys, mode: anonymous ? ApiKeyMode.OPTIONAL : ApiKeyMode.STRICT } }];
}

const requiredClaims = ['aud', 'exp', 'iss', 'sub'];

/** Refuses what comes from a page of a browser whose origin is not listed, or not of this machine if none is. */
function originCheck({ allowedOrigins }: ListenerEntry): string {
  const origin = 'request.headers["origin"]';
  const listed =
    allowedOrigins === null
      ? `${origin}.matches(${quote(loopbackOrigin)})`
      : `${origin} in [${[...allowedOrigins].sort().map(quote).join(', ')}]`;
  return `(!("origin" in request.headers) || ${listed})`;
}

const loopbackOrigin = '^(?i-u:https?://(?:localhost|127\\.0\\.0\\.1|\\[::1\\])(?::[0-9]{1,5})?)$';
