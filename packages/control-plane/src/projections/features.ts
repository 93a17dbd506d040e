import type { Feature } from './capability.ts';
import { sampleKeySet } from './sample-route.ts';

const agent = { url: 'https://a.example/agent', cardUrl: 'https://a.example/agent/.well-known/agent-card.json' };
const pem = `-----BEGIN CERTIFICATE-----
MIIBfjCCASWgAwIBAgIUFUQmzYUN0aotyKQHdPhIS1jHkWAwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJYXV0aG9yaXR5MCAXDTI2MTEyMTIwNTQ0M1oYDzIxMjYxMDI4
MjA1NDQzWjAUMRIwEAYDVQQDDAlhdXRob3JpdHkwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAASZXafUjDPUh6RQ6yx1G69wIYiON82ikk8s6Aa+Qt7+qNKOM+G5BUZn
aNxcBHoPWpDHZdh1wkIiJVRU1kcfC4eGo1MwUTAdBgNVHQ4EFgQUl9rkdQZNZk6L
4y2Zqzt3cNi53G0wHwYDVR0jBBgwFoAUl9rkdQZNZk6L4y2Zqzt3cNi53G0wDwYD
VR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNHADBEAiBSfEqxn224u8SNT6F1rFsu
lT7sHSYD2cgIuU2XAR/avgIgc1Ed417Y4ljmR24CrgbTa5t9XZp0XSq6Z/E+lGwx
y6k=
-----END CERTIFICATE-----`;

const prefixed = [
  { backend: 'sample', prefix: 'a' },
  { backend: 'other', prefix: 'b' },
];

/** Features of the matrix, in the order in which it shows them. */
export const features: readonly Feature[] = [
  { name: 'routes by path', probe: { kind: 'route' } },
  { name: 'routes by host name', probe: { kind: 'route', match: { hostnames: ['localhost'] } } },
  { name: 'routes by header', probe: { kind: 'route', match: { headers: [{ name: 'x-beta', exact: 'yes' }] } } },
  { name: 'backends with TLS', probe: { kind: 'route', url: 'https://mcp.example/mcp' } },
  { name: 'backends whose URL has a query', probe: { kind: 'route', url: 'https://mcp.example/mcp?key=1' } },
  { name: 'routes of kind HTTP', probe: { kind: 'route', protocol: 'http' } },
  { name: 'routes of kind gRPC', probe: { kind: 'route', protocol: 'grpc' } },
  { name: 'routes of kind A2A', probe: { kind: 'route', protocol: 'a2a', backend: { a2a: agent } } },
  forwarded('header fields changed', { requestHeaderModifier: { set: [{ name: 'x-a', value: 'b' }] } }),
  forwarded('timeouts', { timeouts: { request: '30s', backendRequest: '5s', idle: '1m' } }),
  forwarded('retries', { retry: { attempts: 2 } }),
  {
    name: 'MCP: header fields changed',
    probe: { kind: 'route', route: { requestHeaderModifier: { remove: ['x-a'] } } },
  },
  { name: 'MCP: timeouts', probe: { kind: 'route', route: { timeouts: { request: '30s', backendRequest: '5s' } } } },
  backend('own authorities and names in TLS', { tls: { hostname: 'a.example', caCertificates: pem } }),
  backend('HTTP/2', { httpVersion: 'HTTP2' }),
  backend('client certificates', { tls: { clientCertificate: 'gateway' } }),
  backend('bounds of connections', { connections: { maxConnections: 8 }, timeouts: { connect: '1s' } }),
  limit('of a route', { per: ['ROUTE'] }),
  limit('of each caller', { per: ['PRINCIPAL'] }),
  limit('of each tool', { per: ['TOOL'] }),
  call('under way at a time', { concurrent: 4 }),
  call('time', { timeout: '30s' }),
  call('bytes of the answer', { responseBytes: '1Mi' }),
  { name: 'anonymous callers', probe: { kind: 'route', authentication: { anonymous: {} } } },
  {
    name: 'JWT, key set by URL',
    probe: { kind: 'route', authentication: { jwt: [jwt({ uri: 'https://idp.example/keys' })] } },
  },
  {
    name: 'JWT, key set inline',
    probe: { kind: 'route', authentication: { jwt: [jwt({ inline: sampleKeySet })] } },
  },
  {
    name: 'JWT, revoked ones are refused',
    probe: { kind: 'route', revocations: [{ subjects: ['a'] }] },
  },
  {
    name: 'API keys',
    probe: { kind: 'route', authentication: { apiKeys: [{ subject: 'a', sha256: 'a'.repeat(64) }] } },
  },
  {
    name: 'API keys beside tokens',
    probe: {
      kind: 'route',
      authentication: {
        apiKeys: [{ subject: 'a', sha256: 'a'.repeat(64) }],
        jwt: [jwt({ inline: sampleKeySet })],
      },
    },
  },
  { name: 'virtual servers: members with prefixes', probe: { kind: 'route', members: prefixed } },
  {
    name: 'virtual servers: members without prefix',
    probe: { kind: 'route', members: [{ backend: 'sample' }, { backend: 'other' }], conflicts: 'PRIORITY' },
  },
  {
    name: 'virtual servers: selection, new names, descriptions',
    probe: { kind: 'route', members: [{ backend: 'sample', tools: { rename: { a: 'b' } } }] },
  },
  { name: 'virtual servers: tool search', probe: { kind: 'route', members: prefixed, toolSearch: {} } },
  { name: 'quarantine of a backend', probe: { kind: 'route', quarantined: true } },
  rule('names of tools', 'tool.name in ["a", "b"]'),
  rule('names of prompts', 'prompt.name == "a"'),
  rule('URIs of resources', 'resource.uri.startsWith("docs:")'),
  rule('texts: startsWith, endsWith, contains', 'tool.name.endsWith("_read")'),
  rule('texts: matches', 'tool.name.matches("^[a-z]+$")'),
  rule('texts: matches, classes of Unicode', 'tool.name.matches("^\\\\p{L}+$")'),
  rule('arguments: equality', 'args.project == "demo"'),
  rule('arguments: comparison of numbers', 'args.amount <= 100'),
  rule('arguments: presence', 'has(args.force)'),
  rule('arguments: presence with a comparison', 'has(args.project) && args.project == "demo"'),
  rule('arguments: fields within fields', 'args.target.env == "dev"'),
  rule('arguments: lists', '"a" in args.tags'),
  rule('arguments: names with a dot', 'args["a.b"] == "c"'),
  rule('principal: subject, issuer, kind', 'principal.subject == "a" && principal.kind == "jwt"'),
  rule('principal: groups', '"ops" in principal.groups'),
  rule('principal: claims', 'principal.claims.team == "a"'),
  rule('principal: presence of claims', 'has(principal.claims.team)'),
  rule('tenant, backend, request', 'tenant.name == "acme" && request.host == "localhost"'),
  rule('HTTP: method, path, header fields', 'http.method == "GET" && http.path == "/a" && "x-a" in http.headers'),
  rule('A2A: operation, version', 'a2a.method == "GetTask" && a2a.version == "1.0"'),
  rule('comparison of two fields', 'args.user == principal.subject'),
  rule('loops: exists, all', 'args.tags.exists(tag, tag == "a")'),
  rule('session', 'session.id != ""'),
  rule('era and version of MCP', 'mcp.era == "modern"'),
  rule('time', 'now > timestamp("2026-01-01T00:00:00Z")'),
  { name: 'calls are decided before they go upstream', probe: { kind: 'behaviour', id: 'call-decisions' } },
  { name: 'lists show only what may be called', probe: { kind: 'behaviour', id: 'list-filtering' } },
  { name: 'strict JSON: no repeated keys, no text behind', probe: { kind: 'behaviour', id: 'strict-json' } },
  { name: 'Host and Origin are checked', probe: { kind: 'behaviour', id: 'host-and-origin' } },
  { name: 'credentials of callers stay here', probe: { kind: 'behaviour', id: 'credential-stripping' } },
  { name: 'tokens: age of 24 h at most, four algorithms', probe: { kind: 'behaviour', id: 'token-checks' } },
  { name: 'sessions are bound to their caller', probe: { kind: 'behaviour', id: 'session-binding' } },
  { name: 'open streams are judged again after a change', probe: { kind: 'behaviour', id: 'stream-recheck' } },
  { name: 'one outcome event for each request', probe: { kind: 'behaviour', id: 'outcome-events' } },
  { name: 'refusals are JSON-RPC errors', probe: { kind: 'behaviour', id: 'json-rpc-errors' } },
  { name: 'answers of clients to servers', probe: { kind: 'behaviour', id: 'client-responses' } },
  { name: 'changes without losing calls', probe: { kind: 'behaviour', id: 'hot-swap' } },
];

function forwarded(name: string, route: object): Feature {
  return { name: `HTTP: ${name}`, probe: { kind: 'route', protocol: 'http', route } };
}

function backend(name: string, spec: object): Feature {
  return { name: `backends: ${name}`, probe: { kind: 'route', protocol: 'http', backend: spec } };
}

function limit(name: string, spec: object): Feature {
  return { name: `limits ${name}`, probe: { kind: 'route', limits: { callsPerMinute: 60, ...spec } } };
}

function call(name: string, limits: object): Feature {
  return { name: `limits of calls: ${name}`, probe: { kind: 'route', protocol: 'http', limits } };
}

function rule(name: string, when: string): Feature {
  return { name: `rules: ${name}`, probe: { kind: 'rule', when } };
}

function jwt(jwks: object): object {
  return { issuer: 'https://idp.example', audiences: ['signalbox'], jwks };
}
