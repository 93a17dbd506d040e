import type { ForwardRouteOptions } from '@signalbox/test-harness';

/** HTTP routes by name: the rules, and what is special about them. */
export const httpRoutes: Readonly<
  Record<string, Pick<ForwardRouteOptions, 'rules' | 'route'> & { readonly anonymous?: true; readonly base?: string }>
> = {
  methods: { anonymous: true, rules: ['http.method in ["GET", "HEAD"]'], base: '/v1' },
  paths: {
    anonymous: true,
    rules: [
      { effect: 'DENY', when: 'http.path.startsWith("/acme/paths/admin")' },
      { effect: 'ALLOW', when: 'http.path.matches("^/acme/paths/[a-z]+/[0-9]+$")' },
      { effect: 'ALLOW', when: 'http.path == "/acme/paths" || http.path.endsWith("/open")' },
    ],
  },
  headers: {
    anonymous: true,
    rules: [
      { effect: 'DENY', when: '"x-block" in http.headers' },
      { effect: 'ALLOW', when: 'http.headers["x-team"] == "a"' },
    ],
  },
  blocked: {
    anonymous: true,
    rules: [
      { effect: 'DENY', when: 'http.headers["x-team"] == "b"' },
      { effect: 'ALLOW', when: 'true' },
    ],
  },
  optional: {
    anonymous: true,
    rules: [
      { effect: 'DENY', when: 'has(http.headers.team) && http.headers.team.startsWith("x")' },
      { effect: 'ALLOW', when: 'http.method == "GET"' },
    ],
  },
  who: {
    rules: [
      '"ops" in principal.groups && http.method != "DELETE"',
      'principal.claims.team == "a" && http.path.startsWith("/acme/who/a/")',
    ],
  },
  other: {
    anonymous: true,
    rules: [
      { effect: 'DENY', when: 'mcp.method == "tools/call"' },
      { effect: 'DENY', when: 'tool.name == "x"' },
      { effect: 'ALLOW', when: 'request.path.startsWith("/acme/other/") && request.host == "127.0.0.1"' },
    ],
  },
  nothing: { anonymous: true, rules: ['tool.name == "x"'] },
};

type HttpCase = readonly [
  route: keyof typeof httpRoutes,
  caller: 'nobody' | 'ops' | 'team' | 'garbage',
  method: string,
  rest: string,
  headers: Readonly<Record<string, string>>,
  verdict: 'allow' | 'deny',
];

export const httpCases: readonly HttpCase[] = [
  ['methods', 'nobody', 'GET', '/17?full=1', {}, 'allow'],
  ['methods', 'nobody', 'HEAD', '/17', {}, 'allow'],
  ['methods', 'nobody', 'POST', '/17', {}, 'deny'],
  ['methods', 'nobody', 'DELETE', '/17', {}, 'deny'],
  ['methods', 'nobody', 'OPTIONS', '', {}, 'deny'],
  ['methods', 'nobody', 'GET', '', {}, 'allow'],
  ['methods', 'nobody', 'GET', '/', {}, 'allow'],
  ['methods', 'garbage', 'GET', '/17', {}, 'deny'],
  ['paths', 'nobody', 'GET', '', {}, 'allow'],
  ['paths', 'nobody', 'GET', '?x=/open', {}, 'allow'],
  ['paths', 'nobody', 'GET', '/?x=/open', {}, 'deny'],
  ['paths', 'nobody', 'GET', '/items/17', {}, 'allow'],
  ['paths', 'nobody', 'GET', '/items/17?x=1', {}, 'allow'],
  ['paths', 'nobody', 'GET', '/items/x', {}, 'deny'],
  ['paths', 'nobody', 'PUT', '/a/b/open', {}, 'allow'],
  ['paths', 'nobody', 'GET', '/admin/open', {}, 'deny'],
  ['paths', 'nobody', 'GET', '/%61dmin/open', {}, 'deny'],
  ['paths', 'nobody', 'GET', '/%41dmin/open', {}, 'deny'],
  ['paths', 'nobody', 'GET', '//admin/open', {}, 'deny'],
  ['paths', 'nobody', 'GET', '/x/../admin/open', {}, 'deny'],
  ['paths', 'nobody', 'GET', '/x/%2e%2e/admin/open', {}, 'deny'],
  ['paths', 'nobody', 'GET', '/x/./open', {}, 'deny'],
  ['paths', 'nobody', 'GET', '/x%2fadmin/open', {}, 'deny'],
  ['paths', 'nobody', 'GET', '/x%5Cadmin/open', {}, 'deny'],
  ['paths', 'nobody', 'GET', '/x%00/open', {}, 'deny'],
  ['paths', 'nobody', 'GET', '/%c3%a9/open', {}, 'deny'],
  ['paths', 'nobody', 'GET', '/%C3%A9/open', {}, 'allow'],
  ['paths', 'nobody', 'GET', '/a%20b/open', {}, 'allow'],
  ['paths', 'nobody', 'GET', '/a%2/open', {}, 'deny'],
  ['paths', 'nobody', 'GET', '/a%zz/open', {}, 'deny'],
  ['paths', 'nobody', 'GET', "/a;b=1,c!$&'()*+@:~/open", {}, 'allow'],
  ['headers', 'nobody', 'GET', '/', { 'x-team': 'a' }, 'allow'],
  ['headers', 'nobody', 'GET', '/', { 'X-TEAM': 'a' }, 'allow'],
  ['headers', 'nobody', 'GET', '/', { 'x-team': 'A' }, 'deny'],
  ['headers', 'nobody', 'GET', '/', { 'x-team': 'a', 'x-block': '' }, 'deny'],
  ['headers', 'nobody', 'GET', '/', { 'x-team': 'a', 'x-block': '1' }, 'deny'],
  ['headers', 'nobody', 'GET', '/', {}, 'deny'],
  ['blocked', 'nobody', 'GET', '/', { 'x-team': 'a' }, 'allow'],
  ['blocked', 'nobody', 'GET', '/', { 'x-team': 'b' }, 'deny'],
  ['blocked', 'nobody', 'GET', '/', {}, 'deny'],
  ['optional', 'nobody', 'GET', '/', {}, 'allow'],
  ['optional', 'nobody', 'GET', '/', { team: 'y' }, 'allow'],
  ['optional', 'nobody', 'GET', '/', { team: 'xy' }, 'deny'],
  ['optional', 'nobody', 'POST', '/', { team: 'y' }, 'deny'],
  ['who', 'ops', 'PUT', '/x', {}, 'allow'],
  ['who', 'ops', 'DELETE', '/x', {}, 'deny'],
  ['who', 'team', 'GET', '/a/x', {}, 'allow'],
  ['who', 'team', 'GET', '/b/x', {}, 'deny'],
  ['who', 'nobody', 'GET', '/a/x', {}, 'deny'],
  ['who', 'garbage', 'GET', '/a/x', {}, 'deny'],
  ['other', 'nobody', 'GET', '/x', {}, 'allow'],
  ['other', 'nobody', 'POST', '/x', {}, 'allow'],
  ['other', 'nobody', 'GET', '', {}, 'deny'],
  ['nothing', 'nobody', 'GET', '/x', {}, 'deny'],
];
