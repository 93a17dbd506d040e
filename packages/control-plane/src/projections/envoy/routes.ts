import { celLimits, type GatewayEntry, type ListenerEntry, type RouteEntry } from '@signalbox/config';
import { RBAC_Action, type Policy, PolicySchema } from '@signalbox/proto/envoy/config/rbac/v3/rbac_pb.ts';
import { RouteConfigurationSchema } from '@signalbox/proto/envoy/config/route/v3/route_pb.ts';
import {
  FilterConfigSchema,
  type Route,
  RouteSchema,
} from '@signalbox/proto/envoy/config/route/v3/route_components_pb.ts';
import { PerRouteConfigSchema } from '@signalbox/proto/envoy/extensions/filters/http/jwt_authn/v3/config_pb.ts';
import { Mcp_TrafficMode, McpOverrideSchema } from '@signalbox/proto/envoy/extensions/filters/http/mcp/v3/mcp_pb.ts';
import { RBACPerRouteSchema } from '@signalbox/proto/envoy/extensions/filters/http/rbac/v3/rbac_pb.ts';
import { create } from '@bufbuild/protobuf';
import type { PlainResource } from '@signalbox/xds';
import { ratesOf, requestTimeoutMs } from '../call-bounds.ts';
import { added, forwardMessage, retryOf } from './forward-messages.ts';
import { a2aMessage, acceptsAll, strictJsonRpc } from './a2a.ts';
import { canServe } from './enforceable.ts';
import { filterNames } from './filter-names.ts';
import type { Formula } from '../conditions/formula.ts';
import { requirementName } from './jwt-authn.ts';
import { listenerName } from './listeners.ts';
import { membersFilter } from './members.ts';
import type { EnvoyOptions } from './options.ts';
import { milliseconds, pack, resource, seconds, sortedRecord } from './pack.ts';
import { permissionOf, stringMatcher } from './permission.ts';
import { countedGroup, countedMethods, type LimitShares, rateLimitConfig } from './rate-limits.ts';
import type { Enforcement } from './rules.ts';
import { backendUpstream } from './upstream.ts';

const idleTimeoutS = 3_600;

/** Headers with credentials of the caller, which never go upstream. */
const credentials = ['authorization', 'cookie', 'proxy-authorization'];

/** A route, and what its rules come to. */
export interface EnforcedRoute {
  readonly entry: RouteEntry;
  readonly enforcement: Enforcement;
}

/** Where routes are served. */
export interface RoutesPlace {
  readonly gateway: GatewayEntry;
  readonly listener: ListenerEntry;
  readonly shares: LimitShares;
}

/** RDS: the routes of a listener by host name. */
export function routesResource(
  { gateway, listener, shares }: RoutesPlace,
  routes: readonly EnforcedRoute[],
  options: EnvoyOptions,
): PlainResource {
  const ordered = [...routes].sort(byPrecedence);
  const messages = new Map(ordered.map((route) => [route, routeMessage(route, shares, options)]));
  const byRoutes = new Map<string, { domains: string[]; routes: EnforcedRoute[] }>();
  for (const host of [...listener.hostnames].sort()) {
    const served = ordered.filter(({ entry }) => entry.condition.hostnames?.has(host) ?? true);
    const key = served.map(({ entry }) => `${entry.tenant}/${entry.name}`).join(' ');
    const present = byRoutes.get(key);
    if (present) present.domains.push(host);
    else byRoutes.set(key, { domains: [host], routes: served });
  }
  const name = listenerName(gateway, listener);
  return resource(RouteConfigurationSchema, name, {
    name,
    virtualHosts: [...byRoutes.values()].map(({ domains, routes: served }) => ({
      name: domains[0] ?? '',
      domains,
      routes: served.flatMap((route) => messages.get(route) ?? []),
    })),
  });
}

/**
 * As at our own proxy: routes of one path before those that take all below theirs, of these the longest first; of those
 * with the same path the one with most headers.
 */
function byPrecedence({ entry: a }: EnforcedRoute, { entry: b }: EnforcedRoute): number {
  const isBelow = ({ kind }: RouteEntry): number => (kind === 'mcp' ? 0 : 1);
  const order = (left: string, right: string): number => (left < right ? -1 : left > right ? 1 : 0);
  return (
    isBelow(a) - isBelow(b) ||
    (a.kind === 'mcp' ? 0 : b.endpoint.length - a.endpoint.length) ||
    order(a.endpoint, b.endpoint) ||
    b.condition.headers.length - a.condition.headers.length ||
    order(`${a.tenant}/${a.name}`, `${b.tenant}/${b.name}`)
  );
}

/** Whether an Envoy has what the route needs; else it denies the route. */
export function isServed(route: RouteEntry, options: EnvoyOptions): boolean {
  return denial(route, options) === undefined;
}

/** Why an Envoy denies the route, for people. */
function denial(route: RouteEntry, { hasMcpFilters }: EnvoyOptions): string | undefined {
  const knowsMessages = hasMcpFilters || route.kind === 'http' || route.kind === 'grpc';
  if (!knowsMessages) return 'needs an Envoy of version 1.40 or newer';
  // What is missing was said to whoever wrote the route; callers need not know it.
  return canServe(route) ? undefined : 'is not served by this data plane';
}

function routeMessage({ entry, enforcement }: EnforcedRoute, shares: LimitShares, options: EnvoyOptions): Route {
  const denied = denial(entry, options);
  if (denied !== undefined) return deniedRoute(entry, denied);
  const headers = headersOf(entry);
  const typedPerFilterConfig = sortedRecord(filterConfigs(entry, enforcement, shares, options));
  if (entry.kind !== 'mcp') {
    const { match } = create(RouteSchema, { match: { headers } });
    const parts = { headers: match?.headers ?? [], typedPerFilterConfig };
    return entry.kind === 'a2a' ? a2aMessage(entry, parts) : forwardMessage(entry, parts);
  }
  const url = new URL(entry.mcp.member.backend.url);
  const { requestHeaders, responseHeaders, timeouts } = entry.forwarding;
  const retryPolicy = retryOf(entry);
  return create(RouteSchema, {
    name: `${entry.tenant}/${entry.name}`,
    match: { pathSpecifier: { case: 'path', value: entry.endpoint }, headers },
    action: {
      case: 'route',
      value: {
        clusterSpecifier: { case: 'cluster', value: backendUpstream(entry).cluster },
        prefixRewrite: url.pathname,
        hostRewriteSpecifier: { case: 'hostRewriteLiteral', value: url.host },
        // An answer may be a stream without end.
        timeout: milliseconds(requestTimeoutMs(entry) ?? 0),
        idleTimeout: timeouts.idleMs === null ? seconds(idleTimeoutS) : milliseconds(timeouts.idleMs),
        ...(retryPolicy && { retryPolicy }),
      },
    },
    requestHeadersToAdd: added(requestHeaders),
    requestHeadersToRemove: [...credentials, ...(requestHeaders?.remove ?? [])],
    responseHeadersToAdd: added(responseHeaders),
    responseHeadersToRemove: [...(responseHeaders?.remove ?? [])],
    typedPerFilterConfig,
  });
}

function headersOf({ condition }: RouteEntry) {
  return condition.headers.map(([name, text]) => ({
    name,
    headerMatchSpecifier: { case: 'stringMatch' as const, value: stringMatcher({ is: 'exact', text }) },
  }));
}

/** What an Envoy has of a route that it cannot serve: its requests are not to reach a broader one. */
function deniedRoute(entry: RouteEntry, why: string): Route {
  const text = `Route ${entry.tenant}/${entry.name} ${why}.\n`;
  const isBelow = entry.kind === 'http' || entry.kind === 'grpc';
  return create(RouteSchema, {
    name: `${entry.tenant}/${entry.name}`,
    match: {
      pathSpecifier: { case: isBelow ? 'pathSeparatedPrefix' : 'path', value: entry.endpoint },
      headers: headersOf(entry),
    },
    action: {
      case: 'directResponse',
      value: { status: 403, body: { specifier: { case: 'inlineString', value: text } } },
    },
    // Nothing is allowed by this, and the reason is to be seen.
    typedPerFilterConfig: { [filterNames.rbac]: pack(RBACPerRouteSchema, {}) },
  });
}

function filterConfigs(entry: RouteEntry, enforcement: Enforcement, shares: LimitShares, options: EnvoyOptions) {
  const { allow } = enforcement;
  const limit = rateLimitConfig(entry, shares);
  const members = entry.kind === 'mcp' ? membersFilter(entry) : undefined;
  const requirement = requirementName(entry);
  const specifier =
    requirement === undefined
      ? ({ case: 'disabled', value: true } as const)
      : ({ case: 'requirementName', value: requirement } as const);
  const policies = sortedRecord([...allow].map(([name, formula]) => [name, policyOf(formula)] as const));
  return [
    [filterNames.jwt, pack(PerRouteConfigSchema, { requirementSpecifier: specifier })],
    ...(entry.kind === 'a2a' ? [[filterNames.accept, acceptsAll] as const] : []),
    [filterNames.mcp, messageConfig(entry, enforcement, options)],
    [filterNames.rbac, pack(RBACPerRouteSchema, { rbac: { rules: { action: RBAC_Action.ALLOW, policies } } })],
    ...(limit ? [[filterNames.limit, limit] as const] : []),
    ...(members ? [[filterNames.members, members] as const] : []),
  ] as const;
}

/** How the filter for MCP reads messages of a route. */
function messageConfig(entry: RouteEntry, enforcement: Enforcement, options: EnvoyOptions) {
  switch (entry.kind) {
    case 'mcp':
      return strictMcp(entry, enforcement, options);
    case 'a2a':
      return strictJsonRpc(options);
    case 'http':
    case 'grpc':
      return disabled;
  }
}

const disabled = pack(FilterConfigSchema, { disabled: true });

/**
 * Methods that limits count are in a group, where there are limits. Our proxy denies rather than match a longer text against
 * a pattern; Envoy would match it. So a message with such a text does not get that far.
 */
function strictMcp(route: RouteEntry, { paths, matchesMessages }: Enforcement, options: EnvoyOptions) {
  const maxMessageBytes = matchesMessages
    ? Math.min(options.maxMessageBytes, celLimits.matchedText)
    : options.maxMessageBytes;
  const extractionRules = ['params.name', ...paths].map(rule);
  const isCounted = ratesOf(route).length > 0;
  const methods = !isCounted
    ? [{ method: 'tools/call', extractionRules }]
    : countedMethods.map((method) => ({
        ...{ method, group: countedGroup },
        extractionRules: method === 'tools/call' ? extractionRules : [rule(subjectPath(method))],
      }));
  return pack(McpOverrideSchema, {
    trafficMode: Mcp_TrafficMode.REJECT_NO_MCP,
    rejectDuplicateKeys: true,
    maxRequestBodySize: maxMessageBytes,
    parserConfig: { methods, ...(isCounted ? { groupMetadataKey: 'group' } : {}) },
  });
}

function subjectPath(method: string): string {
  return method === 'prompts/get' ? 'params.name' : 'params.uri';
}

function rule(path: string) {
  return { path };
}

function policyOf(formula: Formula): Policy {
  return create(PolicySchema, {
    permissions: [permissionOf(formula)],
    principals: [{ identifier: { case: 'any', value: true } }],
  });
}
