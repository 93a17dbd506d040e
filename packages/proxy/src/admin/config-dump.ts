import type {
  AuthenticationTable,
  AuthorizationTable,
  BackendEntry,
  FederatedMember,
  GatewayEntry,
  JwtVerifierConfig,
  LimitEntry,
  McpRoute,
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
  const { name, gateway, kind, endpoint, digest, authentication, limits } = route;
  return {
    ...{ name, gateway, kind, endpoint, digest },
    ...(kind === 'mcp' ? mcpOf(route.mcp) : { backend: backendOf(route.backend), forwarding: route.forwarding }),
    authentication: authenticationOf(authentication),
    authorization: rulesOf(route),
    limits: limits.map(limitOf),
  };
}

function mcpOf({ virtualServer, member, federation }: McpRoute) {
  if (federation === null) return { virtualServer, backend: backendOf(member.backend) };
  return { virtualServer, members: federation.members.map(memberOf) };
}

function memberOf(member: FederatedMember) {
  const { key, prefix, backend, limits } = member;
  return { key, prefix, backend: backendOf(backend), authorization: rulesOf(member), limits: limits.map(limitOf) };
}

function rulesOf({ authorization }: { readonly authorization: AuthorizationTable }) {
  return authorization.rules.map(({ id, effect, when }) => ({ id, effect, when }));
}

function limitOf({ id, callsPerMinute, burst, per }: LimitEntry) {
  return { id, callsPerMinute, burst, per };
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
