import type {
  AuthenticationTable,
  AuthorizationTable,
  FederatedMember,
  GatewayEntry,
  JwtVerifierConfig,
  MemberEntry,
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
  const { name, gateway, endpoint, digest, mcp, authentication } = route;
  return {
    name,
    gateway,
    endpoint,
    digest,
    virtualServer: mcp.virtualServer,
    ...(mcp.federation === null
      ? { backend: backendOf(mcp.member) }
      : { members: mcp.federation.members.map(memberOf) }),
    authentication: authenticationOf(authentication),
    authorization: rulesOf(route),
  };
}

function backendOf({ backend }: MemberEntry) {
  return { name: backend.name, url: withoutQuery(backend.url) };
}

function memberOf(member: FederatedMember) {
  return { key: member.key, prefix: member.prefix, backend: backendOf(member), authorization: rulesOf(member) };
}

function rulesOf({ authorization }: { readonly authorization: AuthorizationTable }) {
  return authorization.rules.map(({ id, effect, when }) => ({ id, effect, when }));
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
