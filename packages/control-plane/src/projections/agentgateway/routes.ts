import type { MessageInitShape } from '@bufbuild/protobuf';
import type { GatewayEntry, ListenerEntry, RouteEntry } from '@signalbox/config';
import {
  TrafficPolicySpec_APIKey_Mode as ApiKeyMode,
  TrafficPolicySpec_JWT_Mode as JwtMode,
  TrafficPolicySpec_PolicyPhase as Phase,
  type TrafficPolicySpecSchema,
} from '@signalbox/proto/agentgateway/dev/resource/policy_pb.ts';
import type { PlainResource } from '@signalbox/xds';
import { quote } from './expression.ts';
import { usableKeySet } from './key-sets.ts';
import { keyed, listenerKey, routeKey } from './names.ts';
import type { Enforcement } from './rules.ts';
import { upstreamOf } from './upstream.ts';

/** A route, where it is served, and what its rules come to. */
export interface ServedRoute {
  readonly gateway: GatewayEntry;
  readonly listener: ListenerEntry;
  readonly entry: RouteEntry;
  readonly enforcement: Enforcement;
}

type TrafficPolicy = NonNullable<MessageInitShape<typeof TrafficPolicySpecSchema>['kind']>;

/** Headers with credentials of the caller, which never go upstream. */
const credentials = ['authorization', 'cookie', 'proxy-authorization'];

/** A route on a listener; undefined if it has no host name there. */
export function routeResource({ gateway, listener, entry, enforcement }: ServedRoute): PlainResource | undefined {
  const hostnames = [...listener.hostnames].filter((host) => entry.condition.hostnames?.has(host) ?? true).sort();
  if (hostnames.length === 0) return undefined;
  const key = routeKey(gateway, listener, entry);
  const policies: readonly TrafficPolicy[] = [
    ...authenticationPolicies(entry),
    { case: 'authorization', value: { allow: enforcement.admit.map((one) => `${originCheck(listener)} && ${one}`) } },
    { case: 'requestHeaderModifier', value: { remove: credentials } },
  ];
  const value = {
    ...{ key, listenerKey: listenerKey(gateway, listener), hostnames },
    name: { kind: 'HTTPRoute', name: entry.name, namespace: entry.tenant },
    matches: [routeMatch(entry)],
    backends: [{ weight: 1, backend: { kind: { case: 'backend' as const, value: upstreamOf(entry).mcpKey } } }],
    trafficPolicies: policies.map((kind) => ({ phase: Phase.ROUTE, kind })),
  };
  return keyed(key, { case: 'route', value });
}

function routeMatch({ endpoint, condition }: RouteEntry) {
  return {
    path: { kind: { case: 'exact' as const, value: endpoint } },
    headers: condition.headers.map(([name, text]) => ({ name, value: { case: 'exact' as const, value: text } })),
  };
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
