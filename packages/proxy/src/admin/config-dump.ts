import type {
  AuthenticationTable,
  BackendEntry,
  GatewayEntry,
  JwtVerifierConfig,
  RouteEntry,
  RoutingTable,
  TenantTable,
} from '@signalbox/config';

const redacted = '[redacted]';

/**
 * What is served, as JSON in pieces: revisions, hashes, listeners, routes, backends and rules. Whatever proves an
 * identity is left out: hashes of keys, key sets given inline, queries of URLs.
 */
export function* configDump(node: string, table: RoutingTable | undefined): Generator<string, void, void> {
  const head = { node, hash: table?.hash ?? null, operator: operatorOf(table) };
  yield `${JSON.stringify(head).slice(0, -1)},"tenants":[`;
  let separator = '';
  for (const tenant of table?.tenants.values() ?? []) {
    yield separator;
    yield* tenantPieces(tenant);
    separator = ',';
  }
  yield ']}\n';
}

function* tenantPieces({ tenant, revision, hash, routes }: TenantTable): Generator<string, void, void> {
  yield `${JSON.stringify({ tenant, revision: String(revision), hash }).slice(0, -1)},"routes":[`;
  let separator = '';
  for (const route of routes.values()) {
    yield separator + JSON.stringify(routeOf(route));
    separator = ',';
  }
  yield ']}';
}

function operatorOf(table: RoutingTable | undefined) {
  const operator = table?.operator;
  if (!operator) return null;
  return {
    revision: String(operator.revision),
    hash: operator.hash,
    gateways: [...operator.gateways.values()].map(gatewayOf),
  };
}

function gatewayOf({ name, listeners }: GatewayEntry) {
  return {
    name,
    listeners: listeners.map((listener) => ({
      name: listener.name,
      port: listener.port,
      hostnames: [...listener.hostnames],
      allowedOrigins: listener.allowedOrigins && [...listener.allowedOrigins],
    })),
  };
}

function routeOf(route: RouteEntry) {
  const { name, gateway, kind, endpoint, digest, authentication, authorization, limits } = route;
  return {
    ...{ name, gateway, kind, endpoint, digest },
    ...(kind === 'mcp'
      ? { virtualServer: route.mcp.virtualServer, backend: backendOf(route.mcp.member.backend) }
      : { backend: backendOf(route.backend), forwarding: route.forwarding }),
    authentication: authenticationOf(authentication),
    authorization: authorization.rules.map(({ id, effect, when }) => ({ id, effect, when })),
    limits: limits.map(({ id, callsPerMinute, burst, per }) => ({ id, callsPerMinute, burst, per })),
  };
}

function backendOf({ name, url, tls, connection }: BackendEntry) {
  return { name, url: withoutQuery(url), tls, connection };
}

function authenticationOf({ source, apiKeys, jwt, anonymous }: AuthenticationTable) {
  return {
    source,
    apiKeys: [...apiKeys.values()].map(({ subject, groups }) => ({ subject, groups, key: redacted })),
    jwt: [...jwt.values()].map(jwtOf),
    anonymous,
  };
}

function jwtOf({ issuer, audiences, groupsClaim, jwks }: JwtVerifierConfig) {
  return {
    issuer,
    audiences,
    groupsClaim,
    jwks: 'uri' in jwks ? { uri: withoutQuery(jwks.uri) } : { inline: redacted },
  };
}

function withoutQuery(url: string): string {
  const at = url.indexOf('?');
  return at < 0 ? url : `${url.slice(0, at)}?${redacted}`;
}
