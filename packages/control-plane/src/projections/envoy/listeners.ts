import { create } from '@bufbuild/protobuf';
import type { GatewayEntry, ListenerEntry, RouteEntry } from '@signalbox/config';
import { ListenerSchema } from '@signalbox/proto/envoy/config/listener/v3/listener_pb.ts';
import { PolicySchema, RBAC_Action } from '@signalbox/proto/envoy/config/rbac/v3/rbac_pb.ts';
import { JwtAuthenticationSchema } from '@signalbox/proto/envoy/extensions/filters/http/jwt_authn/v3/config_pb.ts';
import { CompositeSchema } from '@signalbox/proto/envoy/extensions/filters/http/composite/v3/composite_pb.ts';
import { Mcp_TrafficMode, McpSchema } from '@signalbox/proto/envoy/extensions/filters/http/mcp/v3/mcp_pb.ts';
import { HeaderMutationSchema } from '@signalbox/proto/envoy/extensions/filters/http/header_mutation/v3/header_mutation_pb.ts';
import { LocalRateLimitSchema } from '@signalbox/proto/envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit_pb.ts';
import { RBACSchema } from '@signalbox/proto/envoy/extensions/filters/http/rbac/v3/rbac_pb.ts';
import { RouterSchema } from '@signalbox/proto/envoy/extensions/filters/http/router/v3/router_pb.ts';
import {
  HttpConnectionManager_CodecType,
  HttpConnectionManager_PathWithEscapedSlashesAction as EscapedSlashes,
  HttpConnectionManagerSchema,
} from '@signalbox/proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';
import type { PlainResource } from '@signalbox/xds';
import { adsSource } from './clusters.ts';
import { filterNames } from './filter-names.ts';
import { all, any, type Formula, not } from '../conditions/formula.ts';
import { jwtAuthentication } from './jwt-authn.ts';
import type { EnvoyOptions } from './options.ts';
import { pack, resource, seconds } from './pack.ts';
import { permissionOf } from './permission.ts';

const requestHeadersTimeoutS = 10;

/** Name of a listener and of its route configuration. */
export function listenerName(gateway: GatewayEntry, listener: ListenerEntry): string {
  return `${gateway.name}/${listener.name}`;
}

/**
 * LDS: a port of a gateway. Its filters deny whatever no route allows. Of the routes only their key sets are in it, so
 * other changes of tenants leave listeners alone.
 */
export function listenerResource(
  gateway: GatewayEntry,
  listener: ListenerEntry,
  routes: readonly RouteEntry[],
  options: EnvoyOptions,
): PlainResource {
  const name = listenerName(gateway, listener);
  const socketAddress = {
    address: options.bindAddress,
    portSpecifier: { case: 'portValue', value: listener.port },
  } as const;
  const manager = pack(HttpConnectionManagerSchema, {
    statPrefix: name,
    codecType: HttpConnectionManager_CodecType.AUTO,
    routeSpecifier: { case: 'rds', value: { routeConfigName: name, configSource: adsSource } },
    // Streams stay open; routes bound how long they may be idle.
    streamIdleTimeout: seconds(0),
    requestHeadersTimeout: seconds(requestHeadersTimeoutS),
    // Routes match the path as it was sent: what would be another path after normalisation has no route.
    normalizePath: false,
    pathWithEscapedSlashesAction: EscapedSlashes.REJECT_REQUEST,
    stripPortMode: { case: 'stripAnyHostPort', value: true },
    httpFilters: httpFilters(listener, routes, options),
  });
  return resource(ListenerSchema, name, {
    name,
    address: { address: { case: 'socketAddress', value: socketAddress } },
    filterChains: [
      { filters: [{ name: 'envoy.filters.network.http_connection_manager', configType: typed(manager) }] },
    ],
  });
}

function httpFilters(listener: ListenerEntry, routes: readonly RouteEntry[], options: EnvoyOptions) {
  const filters = [
    [filterNames.origin, pack(RBACSchema, { rules: originRules(listener) })],
    [filterNames.jwt, pack(JwtAuthenticationSchema, jwtAuthentication(routes))],
    ...(options.hasMcpFilters ? messageFilters(options) : []),
    // Without policies nothing is allowed: only routes have some.
    [filterNames.rbac, pack(RBACSchema, { rules: { action: RBAC_Action.ALLOW } })],
    // Only what is allowed is counted; only routes have limits.
    [filterNames.limit, pack(LocalRateLimitSchema, { statPrefix: 'limits' })],
    ...(options.hasMcpFilters ? [[filterNames.members, pack(CompositeSchema, {})] as const] : []),
    [filterNames.router, pack(RouterSchema, {})],
  ] as const;
  return filters.map(([name, config]) => ({ name, configType: typed(config) }));
}

function messageFilters({ maxMessageBytes }: EnvoyOptions) {
  return [
    [filterNames.accept, pack(HeaderMutationSchema, {})],
    [filterNames.mcp, pack(McpSchema, strictMcp(maxMessageBytes))],
  ] as const;
}

function strictMcp(maxMessageBytes: number) {
  return {
    trafficMode: Mcp_TrafficMode.REJECT_NO_MCP,
    rejectDuplicateKeys: true,
    maxRequestBodySize: maxMessageBytes,
  };
}

/** Refuses what comes from a page of a browser whose origin is not listed, or not of this machine if none is. */
function originRules({ allowedOrigins }: ListenerEntry) {
  const origin = (match: Extract<Formula, { kind: 'header' }>['match']): Formula => ({
    kind: 'header',
    name: 'origin',
    match,
  });
  const listed =
    allowedOrigins === null
      ? origin({ is: 'regex', text: loopbackOrigin })
      : any([...allowedOrigins].sort().map((text) => origin({ is: 'exact', text, ignoreCase: true })));
  const foreign = all([origin('present'), not(listed)]);
  const policy = create(PolicySchema, { permissions: [permissionOf(foreign)], principals: [anyone] });
  return { action: RBAC_Action.DENY, policies: { 'foreign origin': policy } };
}

const anyone = { identifier: { case: 'any' as const, value: true } };
const loopbackOrigin = '(?i:https?://(?:localhost|127\\.0\\.0\\.1|\\[::1\\])(?::\\d{1,5})?)';

function typed<T>(value: T) {
  return { case: 'typedConfig' as const, value };
}
