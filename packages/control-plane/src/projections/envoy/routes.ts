import type { GatewayEntry, ListenerEntry, McpRouteEntry } from '@signalbox/config';
import { RBAC_Action, type Policy, PolicySchema } from '@signalbox/proto/envoy/config/rbac/v3/rbac_pb.ts';
import { RouteConfigurationSchema } from '@signalbox/proto/envoy/config/route/v3/route_pb.ts';
import { type Route, RouteSchema } from '@signalbox/proto/envoy/config/route/v3/route_components_pb.ts';
import { PerRouteConfigSchema } from '@signalbox/proto/envoy/extensions/filters/http/jwt_authn/v3/config_pb.ts';
import { Mcp_TrafficMode, McpOverrideSchema } from '@signalbox/proto/envoy/extensions/filters/http/mcp/v3/mcp_pb.ts';
import { RBACPerRouteSchema } from '@signalbox/proto/envoy/extensions/filters/http/rbac/v3/rbac_pb.ts';
import { create } from '@bufbuild/protobuf';
import type { PlainResource } from '@signalbox/xds';
import { filterNames } from './filter-names.ts';
import type { Formula } from '../conditions/formula.ts';
import { requirementName } from './jwt-authn.ts';
import { listenerName } from './listeners.ts';
import type { EnvoyOptions } from './options.ts';
import { pack, resource, seconds, sortedRecord } from './pack.ts';
import { permissionOf, stringMatcher } from './permission.ts';
import type { Enforcement } from './rules.ts';
import { backendUpstream } from './upstream.ts';

const idleTimeoutS = 3_600;

/** Headers with credentials of the caller, which never go upstream. */
const credentials = ['authorization', 'cookie', 'proxy-authorization'];

/** A route, and what its rules come to. */
export interface EnforcedRoute {
  readonly entry: McpRouteEntry;
  readonly enforcement: Enforcement;
}

/** RDS: the routes of a listener by host name. */
export function routesResource(
  gateway: GatewayEntry,
  listener: ListenerEntry,
  routes: readonly EnforcedRoute[],
  options: EnvoyOptions,
): PlainResource {
  const ordered = [...routes].sort(byPrecedence);
  const messages = new Map(ordered.map((route) => [route, routeMessage(route, options)]));
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

/** By path; of those with the same path the one with most headers first, as at our own proxy. */
function byPrecedence({ entry: a }: EnforcedRoute, { entry: b }: EnforcedRoute): number {
  const order = (left: string, right: string): number => (left < right ? -1 : left > right ? 1 : 0);
  return (
    order(a.endpoint, b.endpoint) ||
    b.condition.headers.length - a.condition.headers.length ||
    order(`${a.tenant}/${a.name}`, `${b.tenant}/${b.name}`)
  );
}

function routeMessage({ entry, enforcement }: EnforcedRoute, options: EnvoyOptions): Route {
  if (!options.hasMcpFilters) return deniedRoute(entry);
  const url = new URL(entry.mcp.member.backend.url);
  return create(RouteSchema, {
    name: `${entry.tenant}/${entry.name}`,
    match: routeMatch(entry),
    action: {
      case: 'route',
      value: {
        clusterSpecifier: { case: 'cluster', value: backendUpstream(entry).cluster },
        prefixRewrite: url.pathname,
        hostRewriteSpecifier: { case: 'hostRewriteLiteral', value: url.host },
        // An answer may be a stream without end.
        timeout: seconds(0),
        idleTimeout: seconds(idleTimeoutS),
      },
    },
    requestHeadersToRemove: credentials,
    typedPerFilterConfig: sortedRecord(filterConfigs(entry, enforcement, options)),
  });
}

function routeMatch({ endpoint, condition }: McpRouteEntry) {
  const headers = condition.headers.map(([name, text]) => ({
    name,
    headerMatchSpecifier: { case: 'stringMatch' as const, value: stringMatcher({ is: 'exact', text }) },
  }));
  return { pathSpecifier: { case: 'path' as const, value: endpoint }, headers };
}

/** What an Envoy has of a route of MCP that knows nothing of messages. */
function deniedRoute(entry: McpRouteEntry): Route {
  const text = `Route ${entry.tenant}/${entry.name} needs an Envoy of version 1.40 or newer.\n`;
  return create(RouteSchema, {
    name: `${entry.tenant}/${entry.name}`,
    match: routeMatch(entry),
    action: {
      case: 'directResponse',
      value: { status: 403, body: { specifier: { case: 'inlineString', value: text } } },
    },
    // Nothing is allowed by this, and the reason is to be seen.
    typedPerFilterConfig: { [filterNames.rbac]: pack(RBACPerRouteSchema, {}) },
  });
}

function filterConfigs(entry: McpRouteEntry, { allow, paths }: Enforcement, { maxMessageBytes }: EnvoyOptions) {
  const requirement = requirementName(entry);
  const specifier =
    requirement === undefined
      ? ({ case: 'disabled', value: true } as const)
      : ({ case: 'requirementName', value: requirement } as const);
  const policies = sortedRecord([...allow].map(([name, formula]) => [name, policyOf(formula)] as const));
  return [
    [filterNames.jwt, pack(PerRouteConfigSchema, { requirementSpecifier: specifier })],
    [
      filterNames.mcp,
      pack(McpOverrideSchema, {
        trafficMode: Mcp_TrafficMode.REJECT_NO_MCP,
        rejectDuplicateKeys: true,
        maxRequestBodySize: maxMessageBytes,
        parserConfig: { methods: [{ method: 'tools/call', extractionRules: ['params.name', ...paths].map(rule) }] },
      }),
    ],
    [filterNames.rbac, pack(RBACPerRouteSchema, { rbac: { rules: { action: RBAC_Action.ALLOW, policies } } })],
  ] as const;
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
