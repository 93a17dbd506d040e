import type { RuleSpec } from '@signalbox/test-harness';

/** Routes by name: who may come in, and the rules. Every one also accepts the tokens of the issuer. */
export const routes: Readonly<Record<string, { readonly anonymous?: true; readonly rules: readonly RuleSpec[] }>> = {
  names: {
    anonymous: true,
    rules: ['tool.name in ["read", "list"]', 'prompt.name.startsWith("public-")', 'resource.uri == "docs:index"'],
  },
  order: {
    anonymous: true,
    rules: [
      { effect: 'DENY', when: 'tool.name == "hidden"' },
      { effect: 'ALLOW', when: 'tool.name.startsWith("h")' },
      { effect: 'DENY', when: 'tool.name.endsWith("_all")' },
      { effect: 'ALLOW', when: 'tool.name.contains("drop")' },
    ],
  },
  project: { anonymous: true, rules: ['tool.name == "deploy" && args.project == "demo"'] },
  notprod: { anonymous: true, rules: ['tool.name == "deploy" && args.project != "prod"'] },
  secret: {
    anonymous: true,
    rules: [
      { effect: 'DENY', when: 'has(args.project) && args.project == "secret"' },
      { effect: 'ALLOW', when: 'tool.name == "read"' },
    ],
  },
  unguarded: {
    anonymous: true,
    rules: [
      { effect: 'DENY', when: 'args.project == "secret"' },
      { effect: 'ALLOW', when: 'tool.name == "read"' },
    ],
  },
  numbers: {
    anonymous: true,
    rules: ['tool.name == "pay" && args.amount <= 100', 'tool.name == "tip" && double(args.amount) > 0.5'],
  },
  types: {
    anonymous: true,
    rules: [
      'tool.name == "flag" && args.dry',
      'tool.name == "null" && args.x == null',
      'tool.name == "five" && args.x == 5',
    ],
  },
  paths: {
    anonymous: true,
    rules: [
      'tool.name == "open" && args.path.matches("^/tmp/[a-z]+$")',
      'tool.name == "in" && args.env in ["dev", "test"]',
    ],
  },
  nested: { anonymous: true, rules: ['args.target.env == "dev" && tool.name != "wipe"'] },
  either: { anonymous: true, rules: ['tool.name == "run" && (args.force == false || args.user == "root")'] },
  claims: {
    rules: [
      { effect: 'DENY', when: 'principal.subject == "mallory"' },
      { effect: 'ALLOW', when: '"ops" in principal.groups' },
      { effect: 'ALLOW', when: 'principal.claims.team == "a" && tool.name == "read"' },
      { effect: 'ALLOW', when: 'has(principal.claims.level) && principal.claims.level >= 3 && tool.name == "list"' },
    ],
  },
  kinds: {
    anonymous: true,
    rules: [
      { effect: 'ALLOW', when: 'principal.kind == "jwt" && tool.name == "write"' },
      { effect: 'ALLOW', when: 'tool.name == "read"' },
    ],
  },
  constants: {
    anonymous: true,
    rules: [
      'tenant.name == "acme" && request.path.startsWith("/acme/") && backend.name == "constants" && tool.name == "read"',
    ],
  },
};

/** Tokens that callers present; `nobody` presents none. */
export const callers = {
  ops: { groups: ['dev', 'ops'] },
  single: { groups: 'ops' },
  mallory: { groups: ['ops'] },
  team: { team: 'a' },
  other: { team: 'b', level: 2 },
  senior: { team: 'b', level: 3 },
} as const;

export type CallerName = keyof typeof callers | 'nobody' | 'expired' | 'stranger' | 'garbage' | 'basic';

/** What a caller wants of a route, and whether it may: at both data planes. */
export type Case = readonly [
  route: string,
  caller: CallerName,
  method: string,
  params: Readonly<Record<string, unknown>>,
  verdict: 'allow' | 'deny',
];

type CallRest = readonly [args?: Readonly<Record<string, unknown>>, caller?: CallerName];

const call = (
  route: string,
  verdict: 'allow' | 'deny',
  name: unknown,
  ...[args, caller = 'nobody']: CallRest
): Case => [
  ...([route, caller, 'tools/call'] as const),
  { name, ...(args === undefined ? {} : { arguments: args }) },
  verdict,
];

export const cases: readonly Case[] = [
  call('names', 'allow', 'read'),
  call('names', 'allow', 'list', {}),
  call('names', 'deny', 'write'),
  call('names', 'deny', 'READ'),
  call('names', 'deny', 'read '),
  call('names', 'deny', ''),
  call('names', 'deny', 7),
  call('names', 'deny', ['read']),
  call('names', 'deny', { name: 'read' }),
  ['names', 'nobody', 'prompts/get', { name: 'public-hello' }, 'allow'],
  ['names', 'nobody', 'prompts/get', { name: 'read' }, 'deny'],
  ['names', 'nobody', 'resources/read', { uri: 'docs:index' }, 'allow'],
  ['names', 'nobody', 'resources/read', { uri: 'docs:index2' }, 'deny'],
  ['names', 'nobody', 'resources/read', { uri: 'docs:secret', name: 'read' }, 'deny'],
  ['names', 'nobody', 'prompts/list', {}, 'allow'],
  ['names', 'nobody', 'resources/list', {}, 'allow'],
  ['names', 'nobody', 'tools/destroy', { name: 'read' }, 'deny'],
  ['names', 'nobody', 'tools/callx', { name: 'read' }, 'deny'],
  call('order', 'deny', 'hidden'),
  call('order', 'allow', 'help'),
  call('order', 'allow', 'h_all'),
  call('order', 'deny', 'drop_all'),
  call('order', 'allow', 'drop_one'),
  call('order', 'deny', 'list'),
  call('project', 'allow', 'deploy', { project: 'demo' }),
  call('project', 'deny', 'deploy', { project: 'prod' }),
  call('project', 'deny', 'deploy', { project: 'demo2' }),
  call('project', 'deny', 'deploy', {}),
  call('project', 'deny', 'deploy'),
  call('project', 'deny', 'deploy', { project: null }),
  call('project', 'deny', 'deploy', { project: ['demo'] }),
  call('project', 'deny', 'deploy', { project: { project: 'demo' } }),
  call('project', 'deny', 'deploy', { nested: { project: 'demo' } }),
  call('project', 'deny', 'deploy', { 'x.project': 'demo' }),
  call('project', 'deny', 'read', { project: 'demo' }),
  call('notprod', 'allow', 'deploy', { project: 'demo' }),
  call('notprod', 'allow', 'deploy', { project: 5 }),
  call('notprod', 'allow', 'deploy', { project: null }),
  call('notprod', 'deny', 'deploy', { project: 'prod' }),
  call('notprod', 'deny', 'deploy', {}),
  call('secret', 'deny', 'read', { project: 'secret' }),
  call('secret', 'allow', 'read', { project: 'open' }),
  call('secret', 'allow', 'read', { project: ['secret'] }),
  call('secret', 'allow', 'read', {}),
  call('secret', 'allow', 'read'),
  call('secret', 'allow', 'read', { project: null }),
  call('secret', 'deny', 'write', {}),
  call('unguarded', 'deny', 'read', { project: 'secret' }),
  call('unguarded', 'allow', 'read', { project: 'open' }),
  call('unguarded', 'deny', 'read', {}),
  call('numbers', 'allow', 'pay', { amount: 100 }),
  call('numbers', 'allow', 'pay', { amount: -1 }),
  call('numbers', 'allow', 'pay', { amount: 99.5 }),
  call('numbers', 'deny', 'pay', { amount: 100.5 }),
  call('numbers', 'deny', 'pay', { amount: 101 }),
  call('numbers', 'deny', 'pay', { amount: '5' }),
  call('numbers', 'deny', 'pay', {}),
  call('numbers', 'allow', 'tip', { amount: 0.75 }),
  call('numbers', 'deny', 'tip', { amount: 0.5 }),
  call('types', 'allow', 'flag', { dry: true }),
  call('types', 'deny', 'flag', { dry: false }),
  call('types', 'deny', 'flag', { dry: 'true' }),
  call('types', 'deny', 'flag', { dry: 1 }),
  call('types', 'allow', 'null', { x: null }),
  call('types', 'deny', 'null', {}),
  call('types', 'deny', 'null', { x: 0 }),
  call('types', 'allow', 'five', { x: 5 }),
  call('types', 'deny', 'five', { x: '5' }),
  call('types', 'deny', 'five', { x: 5.5 }),
  call('paths', 'allow', 'open', { path: '/tmp/abc' }),
  call('paths', 'deny', 'open', { path: '/tmp/abc/../etc' }),
  call('paths', 'deny', 'open', { path: 'x/tmp/abc' }),
  call('paths', 'deny', 'open', { path: '/tmp/abc\n' }),
  call('paths', 'allow', 'in', { env: 'test' }),
  call('paths', 'deny', 'in', { env: 'prod' }),
  call('nested', 'allow', 'go', { target: { env: 'dev' } }),
  call('nested', 'deny', 'go', { target: { env: 'prod' } }),
  call('nested', 'deny', 'wipe', { target: { env: 'dev' } }),
  call('nested', 'deny', 'go', { target: 'dev' }),
  call('nested', 'deny', 'go', { 'target.env': 'dev' }),
  call('either', 'allow', 'run', { force: false }),
  call('either', 'allow', 'run', { user: 'root' }),
  call('either', 'allow', 'run', { force: true, user: 'root' }),
  call('either', 'deny', 'run', { force: true, user: 'me' }),
  call('either', 'deny', 'run', {}),
  call('claims', 'allow', 'anything', {}, 'ops'),
  call('claims', 'allow', 'anything', {}, 'single'),
  call('claims', 'deny', 'anything', {}, 'mallory'),
  call('claims', 'allow', 'read', {}, 'team'),
  call('claims', 'deny', 'write', {}, 'team'),
  call('claims', 'deny', 'read', {}, 'other'),
  call('claims', 'deny', 'read', {}, 'nobody'),
  call('claims', 'deny', 'read', {}, 'expired'),
  call('claims', 'deny', 'read', {}, 'stranger'),
  call('claims', 'deny', 'read', {}, 'garbage'),
  call('claims', 'deny', 'read', {}, 'basic'),
  ['claims', 'nobody', 'tools/list', {}, 'deny'],
  ['claims', 'team', 'tools/list', {}, 'allow'],
  call('kinds', 'allow', 'write', {}, 'team'),
  call('kinds', 'deny', 'write', {}, 'nobody'),
  call('kinds', 'allow', 'read', {}, 'nobody'),
  call('kinds', 'deny', 'read', {}, 'garbage'),
  call('kinds', 'deny', 'read', {}, 'basic'),
  call('kinds', 'deny', 'read', {}, 'expired'),
  call('constants', 'allow', 'read'),
  call('constants', 'deny', 'write'),
];
