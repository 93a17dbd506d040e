import { createHash, createPublicKey, verify } from 'node:crypto';
import { evaluateAsAgentgateway, Timestamp } from '@signalbox/control-plane/testing';
import {
  TrafficPolicySpec_APIKey_Mode as ApiKeyMode,
  TrafficPolicySpec_JWT_Mode as JwtMode,
  type TrafficPolicySpec_APIKey,
  type TrafficPolicySpec_JWT,
  type TrafficPolicySpec_RBAC,
} from '@signalbox/proto/agentgateway/dev/resource/policy_pb.ts';
import type { PathMatch, Route } from '@signalbox/proto/agentgateway/dev/resource/resource_pb.ts';
import { usableKeys } from './key-set.ts';
import type { AgentgatewayStore } from './store.ts';

/** A request: `method` and `params` of its message, or the method of HTTP. */
export interface McpRequest {
  readonly host: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly method: string;
  readonly params: Readonly<Record<string, unknown>>;
}

type Variables = Readonly<Record<string, unknown>>;
type Claims = Readonly<Record<string, unknown>>;

/** A model of whether agentgateway sends a request on, with what it has from discovery. */
export function isSentOn(store: AgentgatewayStore, request: McpRequest): boolean {
  const route = routeOf(store, request);
  if (!route) return false;
  const variables = admitted(route, request);
  return variables !== undefined && isAllowed(store, route, { request, variables });
}

/** Of the routes of that host: exactly that path, or the longest one above it; of these the one with most headers. */
function routeOf({ routes }: AgentgatewayStore, { host, path, headers }: McpRequest): Route | undefined {
  const matching = [...routes.values()].filter(
    ({ hostnames, matches }) =>
      (hostnames.length === 0 || hostnames.includes(host)) &&
      matches.some(
        (match) =>
          isAt(match.path, path) &&
          match.headers.every(({ name, value }) => headers[name.toLowerCase()] === value.value),
      ),
  );
  return matching.toSorted((a, b) => rankOf(b) - rankOf(a))[0];
}

function isAt(match: PathMatch | undefined, path: string): boolean {
  if (match?.kind.case === 'exact') return path === match.kind.value;
  if (match?.kind.case !== 'pathPrefix') return false;
  const rest = path.startsWith(match.kind.value) ? path.slice(match.kind.value.length) : 'elsewhere';
  return rest === '' || rest.startsWith('/');
}

function rankOf({ matches: [match] }: Route): number {
  const path = match?.path?.kind;
  return (path?.case === 'exact' ? 1e6 : 0) + (path?.value?.length ?? 0) * 1e3 + (match?.headers.length ?? 0);
}

/** What is known of the caller; undefined if it is sent away. */
function admitted(route: Route, { method: asked, path, headers }: McpRequest): Variables | undefined {
  const remaining = { ...headers };
  let variables: Variables = { jwt: null, apiKey: null };
  const { jwt, apiKeys, authorization } = policiesOf(route);
  if (jwt) {
    const claims = jwtClaims(jwt, bearerOf(headers));
    if (claims === 'refused') return undefined;
    variables = { ...variables, jwt: claims };
    if (claims) delete remaining['authorization'];
  }
  if (apiKeys) {
    const metadata = keyMetadata(apiKeys, bearerOf(headers));
    if (metadata === 'refused') return undefined;
    variables = { ...variables, apiKey: metadata };
    if (metadata) delete remaining['authorization'];
  }
  // Requests of MCP are posted.
  const method = asked.includes('/') ? 'POST' : asked;
  const all = { ...variables, request: { method, path, headers: remaining, startTime: new Timestamp(Date.now()) } };
  const { allow = [], require = [] } = authorization ?? {};
  const holds = (one: string): boolean => evaluateAsAgentgateway(one, all);
  return require.every(holds) && (allow.length === 0 || allow.some(holds)) ? all : undefined;
}

function isAllowed(
  { backends }: AgentgatewayStore,
  route: Route,
  { request, variables }: { readonly request: McpRequest; readonly variables: Variables },
): boolean {
  const backend = backends.get(route.backends[0]?.backend?.kind.value ?? '');
  // Other rules than those of MCP have been decided when the caller came in.
  if (backend?.kind.case === 'static') return true;
  if (backend?.kind.case !== 'mcp') return false;
  const target = backend.kind.value.targets[0]?.name ?? '';
  const subject = subjectOf(request, target);
  if (subject === 'unknown method') return false;
  if (subject === 'nothing') return true;
  const nobody = { tool: null, prompt: null, resource: null, task: null };
  const rules = backend.inlinePolicies.flatMap((policy) =>
    policy.kind.case === 'mcpAuthorization' ? policy.kind.value.allow : [],
  );
  const all = { ...variables, mcp: { ...nobody, ...subject } };
  return rules.length === 0 || rules.some((one) => evaluateAsAgentgateway(one, all));
}

/** What a message is about; without a proper name it is none that it understands. */
function subjectOf({ method, params }: McpRequest, target: string): object | 'nothing' | 'unknown method' {
  const about = (kind: string, name: unknown) =>
    typeof name === 'string' ? { [kind]: { target, name } } : ('unknown method' as const);
  switch (method) {
    case 'tools/call':
      return about('tool', params['name']);
    case 'prompts/get':
      return about('prompt', params['name']);
    case 'resources/read':
    case 'resources/subscribe':
      return about('resource', params['uri']);
    case 'initialize':
    case 'ping':
    case 'prompts/list':
    case 'resources/list':
    case 'tools/list':
      return 'nothing';
    default:
      return 'unknown method';
  }
}

/** Policies by kind: there is at most one of each. */
interface Policies {
  jwt?: TrafficPolicySpec_JWT;
  apiKeys?: TrafficPolicySpec_APIKey;
  authorization?: TrafficPolicySpec_RBAC;
}

function policiesOf({ trafficPolicies }: Route): Policies {
  const policies: Policies = {};
  for (const { kind } of trafficPolicies) {
    if (kind.case === 'jwt') policies.jwt = kind.value;
    if (kind.case === 'apiKeyAuth') policies.apiKeys = kind.value;
    if (kind.case === 'authorization') policies.authorization = kind.value;
  }
  return policies;
}

function bearerOf(headers: Readonly<Record<string, string>>): string | undefined {
  return /^bearer (.*)$/i.exec(headers['authorization'] ?? '')?.[1];
}

/** Null for a request without token that may come in. */
function jwtClaims({ mode, providers }: TrafficPolicySpec_JWT, token: string | undefined): Claims | null | 'refused' {
  if (token === undefined) return mode === JwtMode.STRICT ? 'refused' : null;
  const [head = '', body = '', signature = ''] = token.split('.');
  const header = decoded(head);
  const claims = decoded(body);
  if (!header || !claims) return 'refused';
  for (const { issuer, audiences, jwksSource } of providers) {
    const key = usableKeys(jwksSource.value ?? '')?.get(String(header['kid']));
    if (!key) continue;
    const isSigned = verify(
      header['alg'] === 'EdDSA' ? null : 'sha256',
      Buffer.from(`${head}.${body}`),
      { key: createPublicKey({ key, format: 'jwk' }), dsaEncoding: 'ieee-p1363' },
      Buffer.from(signature, 'base64url'),
    );
    const audience = [claims['aud']].flat();
    const isValid =
      header['alg'] === key.alg &&
      claims['iss'] === issuer &&
      audience.some((one) => audiences.includes(String(one))) &&
      Number(claims['exp']) > Date.now() / 1_000 - 60;
    return isSigned && isValid ? claims : 'refused';
  }
  return 'refused';
}

function keyMetadata({ mode, apiKeys }: TrafficPolicySpec_APIKey, key: string | undefined): Claims | null | 'refused' {
  if (key === undefined) return mode === ApiKeyMode.STRICT ? 'refused' : null;
  const hash = `sha256:${createHash('sha256').update(key).digest('hex')}`;
  return apiKeys.find(({ keyHash }) => keyHash === hash)?.metadata ?? 'refused';
}

function decoded(part: string): Claims | undefined {
  try {
    return JSON.parse(Buffer.from(part, 'base64url').toString()) as Claims;
  } catch {
    return undefined;
  }
}
