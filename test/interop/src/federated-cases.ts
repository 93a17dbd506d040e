import type { RuleSpec } from '@signalbox/test-harness';

/** Routes by name, each to members `one` and `two`: who may come in, and the rules. */
export const federatedRoutes: Readonly<
  Record<string, { readonly anonymous?: true; readonly rules: readonly RuleSpec[] }>
> = {
  plain: { anonymous: true, rules: ['true'] },
  names: {
    anonymous: true,
    rules: [
      { effect: 'DENY', when: 'tool.name.endsWith("__hold")' },
      { effect: 'ALLOW', when: 'tool.name in ["one__search", "two__search", "search", "three__search"]' },
      { effect: 'ALLOW', when: 'tool.name.startsWith("one__e") && args.text == "hi"' },
      { effect: 'ALLOW', when: 'prompt.name == "two__greeting"' },
      { effect: 'ALLOW', when: 'resource.uri.startsWith("one+test://")' },
    ],
  },
  backends: { anonymous: true, rules: ['backend.name == "two" && tool.name.contains("search")'] },
  tokens: { rules: ['"ops" in principal.groups'] },
};

/** Which route, which method with which parameters, and what both data planes make of it for a caller. */
export type FederatedCase = readonly [
  route: string,
  method: string,
  params: Readonly<Record<string, unknown>>,
  verdict: 'allow' | 'deny',
  caller: 'ops' | 'team' | 'nobody',
];

const call = (
  route: string,
  verdict: 'allow' | 'deny',
  name: string,
  args?: Record<string, unknown>,
): FederatedCase => [route, 'tools/call', { name, ...(args && { arguments: args }) }, verdict, 'nobody'];

export const federatedCases: readonly FederatedCase[] = [
  call('plain', 'allow', 'one__search'),
  call('plain', 'allow', 'two__search'),
  call('plain', 'allow', 'two__nothing'),
  call('plain', 'deny', 'search'),
  call('plain', 'deny', 'three__search'),
  call('plain', 'deny', 'One__search'),
  call('plain', 'deny', 'one_search'),
  call('plain', 'deny', '__search'),
  call('plain', 'deny', ''),
  call('plain', 'allow', 'one____search'),
  call('plain', 'allow', `one__${'x'.repeat(59)}`),
  call('plain', 'deny', `one__${'x'.repeat(60)}`),
  ['plain', 'prompts/get', { name: 'one__greeting' }, 'allow', 'nobody'],
  ['plain', 'prompts/get', { name: 'greeting' }, 'deny', 'nobody'],
  ['plain', 'resources/read', { uri: 'one+test://readme' }, 'allow', 'nobody'],
  ['plain', 'resources/read', { uri: 'two+test://readme' }, 'allow', 'nobody'],
  ['plain', 'resources/read', { uri: 'test://readme' }, 'deny', 'nobody'],
  ['plain', 'resources/read', { uri: 'three+test://readme' }, 'deny', 'nobody'],
  ['plain', 'resources/read', { uri: 'one+ui://panel' }, 'deny', 'nobody'],
  ['plain', 'resources/read', { uri: 'one+skill://x' }, 'deny', 'nobody'],
  ['plain', 'resources/read', { uri: 'one+a+b://c' }, 'allow', 'nobody'],
  ['plain', 'resources/subscribe', { uri: 'one+test://readme' }, 'allow', 'nobody'],
  ['plain', 'tools/list', {}, 'allow', 'nobody'],
  ['plain', 'prompts/list', {}, 'allow', 'nobody'],
  ['plain', 'resources/list', {}, 'allow', 'nobody'],
  ['plain', 'resources/templates/list', {}, 'allow', 'nobody'],
  ['plain', 'tools/destroy', { name: 'one__search' }, 'deny', 'nobody'],
  call('names', 'allow', 'one__search'),
  call('names', 'allow', 'two__search'),
  call('names', 'deny', 'search'),
  call('names', 'deny', 'three__search'),
  call('names', 'deny', 'one__hold'),
  call('names', 'allow', 'one__echo', { text: 'hi' }),
  call('names', 'deny', 'one__echo', { text: 'ho' }),
  call('names', 'deny', 'one__echo'),
  call('names', 'deny', 'two__echo', { text: 'hi' }),
  ['names', 'prompts/get', { name: 'two__greeting' }, 'allow', 'nobody'],
  ['names', 'prompts/get', { name: 'one__greeting' }, 'deny', 'nobody'],
  ['names', 'resources/read', { uri: 'one+test://readme' }, 'allow', 'nobody'],
  ['names', 'resources/read', { uri: 'two+test://readme' }, 'deny', 'nobody'],
  call('backends', 'allow', 'two__search'),
  call('backends', 'deny', 'one__search'),
  call('backends', 'deny', 'two__echo'),
  ['tokens', 'tools/call', { name: 'one__search' }, 'allow', 'ops'],
  ['tokens', 'tools/call', { name: 'one__search' }, 'deny', 'team'],
];
