import { celEnv, parse, plan } from '@bufbuild/cel';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { argsFromValue } from './args.ts';
import type { Principal } from './authentication.ts';
import type { DecisionInput, McpSubject } from './authorization.ts';
import { compileAuthorization, type RuleSource } from './compile-rules.ts';
import { decide, explain, visibleTools } from './decide.ts';

/** Milliseconds for a property with many runs on a loaded machine. */
const slow = 30_000;

describe('decide', () => {
  it('takes the first rule that matches', () => {
    const rules = [deny('tool.name == "b"'), allow('tool.name.startsWith("b")'), deny('true')];
    expect(decideTool(rules, 'b')).toEqual({ allowed: false, rule: 'policy/inline/0', reason: 'matched' });
    expect(decideTool(rules, 'bc')).toEqual({ allowed: true, rule: 'policy/inline/1', reason: 'matched' });
    expect(decideTool(rules, 'c')).toEqual({ allowed: false, rule: 'policy/inline/2', reason: 'matched' });
  });

  it('denies when no rule matches', () => {
    expect(decideTool([], 'a')).toEqual({ allowed: false, rule: '', reason: 'no rule matched' });
  });

  it('denies when an expression cannot be evaluated, in an ALLOW and in a DENY rule, and names the rule', () => {
    for (const rule of [allow('args.missing == 1'), deny('args.missing == 1')]) {
      const decision = decideTool([{ ...rule, name: 'odd' }, allow('true')], 'a');
      expect(decision).toMatchObject({ allowed: false, rule: 'policy/inline/odd' });
      expect(decision.reason).toBe('policy/inline/odd cannot be evaluated: field not found: missing');
    }
  });

  it('denies when an expression gives neither true nor false', () => {
    expect(decideTool([allow('args.x')], 'a', { x: 'yes' })).toMatchObject({
      allowed: false,
      reason: 'policy/inline/0 cannot be evaluated: gives a string, not true or false',
    });
    expect(decideTool([allow('args.x')], 'a', { x: true }).allowed).toBe(true);
  });

  it('reads only rules about the kind of the subject, or about any', () => {
    const rules = [deny('tool.name != "x"'), deny('prompt.name != "x"'), allow('resource.uri != "x"'), allow('true')];
    expect(decideSubject(rules, { kind: 'resource', uri: 'file:a' }).rule).toBe('policy/inline/2');
    expect(decideSubject(rules, { kind: 'prompt', name: 'a' }).rule).toBe('policy/inline/1');
    expect(decideSubject(rules.slice(2), { kind: 'prompt', name: 'a' }).rule).toBe('policy/inline/1');
  });

  it('shows rules the caller, the tenant, the request and the time', () => {
    const all = [
      'principal.subject == "alice" && principal.kind == "jwt" && principal.issuer == "https://idp.example"',
      '"dev" in principal.groups && principal.claims.level == 3',
      'tenant.name == "acme" && backend.name == "weather" && session.id == "s1"',
      'mcp.method == "tools/call" && mcp.era == "modern" && mcp.version == "2026-07-28"',
      'request.host == "localhost" && request.path == "/acme/mcp"',
      'now == timestamp("2026-11-21T00:00:00Z") && now.getFullYear() == 2026',
      'tool.name == "a" && args.x == 1 && args.list[1] == "b" && args.deep.y == 2.5',
    ];
    const args = { x: 1, list: ['a', 'b'], deep: { y: 2.5 } };
    for (const when of all) expect([when, decideTool([allow(when)], 'a', args).allowed]).toEqual([when, true]);
  });

  it('keeps whole numbers apart that a double cannot', () => {
    const rules = [allow('args.id == 9007199254740993')];
    const call = (id: bigint): boolean =>
      decideSubject(rules, { kind: 'tool', name: 'a', args: new Map([['id', id]]) }).allowed;
    expect([call(9_007_199_254_740_993n), call(9_007_199_254_740_992n)]).toEqual([true, false]);
  });

  it('bounds what a loop runs over', () => {
    const rules = [allow('args.list.all(x, x == 1)')];
    const list = (length: number): unknown => Array.from({ length }, () => 1);
    expect(decideTool(rules, 'a', { list: list(5_000) }).allowed).toBe(true);
    expect(decideTool(rules, 'a', { list: list(5_001) })).toMatchObject({
      allowed: false,
      reason: expect.stringContaining('at most 5000 entries'),
    });
    const nested = [allow('args.list.all(x, args.list.all(y, x == y))')];
    expect(decideTool(nested, 'a', { list: list(100) }).allowed).toBe(true);
    expect(decideTool(nested, 'a', { list: list(101) }).reason).toContain('at most 100 entries');
  });

  it('bounds the text that a pattern is matched against', () => {
    const rules = [allow('args.text.matches("^(a+)+$")')];
    expect(decideTool(rules, 'a', { text: 'a'.repeat(1000) }).allowed).toBe(true);
    expect(decideTool(rules, 'a', { text: 'a'.repeat(65_537) }).reason).toContain('too long');
  });
});

describe('listing tools', () => {
  it('lists a tool that some arguments would allow', () => {
    const rules = [allow('tool.name == "deploy" && args.project != "PROD"'), allow('args.force')];
    expect(list([rules[0] as RuleSource], ['deploy', 'other'])).toEqual([true, false]);
    expect(list([rules[1] as RuleSource], ['deploy', 'other'])).toEqual([true, true]);
  });

  it('does not hide a tool that only some arguments forbid, and hides one that is always forbidden', () => {
    const rules = [deny('tool.name == "a" && args.x == 1'), deny('tool.name == "b"'), allow('true')];
    expect(list(rules, ['a', 'b'])).toEqual([true, false]);
  });

  it('asks about a call, whatever method the request has', () => {
    const rules = [allow('mcp.method == "tools/call"')];
    expect(
      visibleTools(compileAuthorization(rules), { ...input, mcp: { ...mcp, method: 'tools/list' } }, ['a']),
    ).toEqual([true]);
  });

  it('passes over an error in a rule whose arguments could make it false', () => {
    const rules = [allow('principal.claims.missing == 1 && args.x == 1'), allow('tool.name == "a"')];
    expect(decideTool(rules, 'a', { x: 2 }).allowed).toBe(true);
    expect(list(rules, ['a'])).toEqual([true]);
  });
});

describe('explain', () => {
  it('says what happened to every rule', () => {
    const rules = [
      allow('prompt.name == "a"'),
      deny('tool.name == "b"'),
      allow('tool.name == "a" && args.x == 1'),
      allow('true'),
    ];
    const { decision, steps } = explain(compileAuthorization(rules), toolInput('a', { x: 1 }));
    expect(decision.rule).toBe('policy/inline/2');
    expect(steps.map((step) => step.outcome)).toEqual(['not about this', 'no match', 'match', 'not reached']);
    expect(steps[0]).toEqual({
      rule: 'policy/inline/0',
      effect: 'allow',
      when: 'prompt.name == "a"',
      outcome: 'not about this',
      detail: 'is about prompts',
    });
  });

  it('gives the reason of an error', () => {
    const { steps } = explain(compileAuthorization([deny('args.x > 1')]), toolInput('a', { x: 'text' }));
    expect(steps[0]).toMatchObject({ outcome: 'error', detail: expect.stringContaining('no matching overload') });
  });
});

describe('for any rules and any input', () => {
  it(
    'the decision is that of plain CEL, rule by rule',
    () => {
      fc.assert(
        fc.property(anyRules, anyInput, (rules, given) => {
          expect(decide(compileAuthorization(rules), given)).toMatchObject(plainDecision(rules, given));
        }),
        { numRuns: 100 },
      );
    },
    slow,
  );

  it(
    'explaining gives the same decision',
    () => {
      fc.assert(
        fc.property(anyRules, anyInput, (rules, given) => {
          const table = compileAuthorization(rules);
          expect(explain(table, given).decision).toEqual(decide(table, given));
        }),
        { numRuns: 60 },
      );
    },
    slow,
  );

  it(
    'a tool that can be called is listed',
    () => {
      fc.assert(
        fc.property(anyRules, anyInput, (rules, given) => {
          fc.pre(given.subject.kind === 'tool');
          const table = compileAuthorization(rules);
          const [listed] = visibleTools(table, given, [subjectName(given.subject)]);
          expect(listed === true || !decide(table, given).allowed).toBe(true);
        }),
        { numRuns: 150 },
      );
    },
    slow,
  );
});

function allow(when: string): RuleSource {
  return { effect: 'allow', when };
}

function deny(when: string): RuleSource {
  return { effect: 'deny', when };
}

const principal: Principal = {
  id: 'jwt:https://idp.example:alice',
  kind: 'jwt',
  subject: 'alice',
  issuer: 'https://idp.example',
  groups: ['dev'],
  claims: new Map<string, unknown>([['level', 3n]]),
};

const mcp = { method: 'tools/call', era: 'modern', version: '2026-07-28' } as const;
const input: Omit<DecisionInput, 'subject'> = {
  principal,
  tenant: 'acme',
  backend: 'weather',
  mcp,
  request: { host: 'localhost', path: '/acme/mcp' },
  session: 's1',
  nowMs: Date.parse('2026-11-21T00:00:00Z'),
};

function toolInput(name: string, args: object): DecisionInput {
  return { ...input, subject: { kind: 'tool', name, args: argsFromValue(args) as ReadonlyMap<string, unknown> } };
}

function decideTool(rules: readonly RuleSource[], name: string, args: object = {}): ReturnType<typeof decide> {
  return decide(compileAuthorization(rules), toolInput(name, args));
}

function decideSubject(rules: readonly RuleSource[], subject: McpSubject): ReturnType<typeof decide> {
  return decide(compileAuthorization(rules), { ...input, subject });
}

function list(rules: readonly RuleSource[], names: readonly string[]): boolean[] {
  return visibleTools(compileAuthorization(rules), input, names);
}

function subjectName(subject: McpSubject): string {
  return subject.kind === 'resource' ? subject.uri : subject.name;
}

const plainEnvironment = celEnv();

/** The decision by the interpreter alone: no guards, no index, plain objects as variables. */
function plainDecision(rules: readonly RuleSource[], given: DecisionInput): { allowed: boolean; rule: string } {
  const subject = given.subject as McpSubject;
  const about = (when: string): string =>
    /\b(?:tool|args)\b/.test(when)
      ? 'tool'
      : when.includes('prompt.')
        ? 'prompt'
        : when.includes('resource.')
          ? 'resource'
          : '';
  for (const [at, { effect, when }] of rules.entries()) {
    if (about(when) !== '' && about(when) !== subject.kind) continue;
    const variables = {
      principal: { ...given.principal, groups: [...given.principal.groups] },
      tenant: { name: given.tenant },
      backend: { name: given.backend },
      session: { id: given.session },
      mcp: given.mcp,
      request: given.request,
      [subject.kind]: subject.kind === 'resource' ? { uri: subject.uri } : { name: subject.name },
      ...(subject.kind === 'tool' ? { args: subject.args } : {}),
    };
    const result = plan(plainEnvironment, parse(when))(variables as never);
    if (result === false) continue;
    return { allowed: result === true && effect === 'allow', rule: `policy/inline/${at}` };
  }
  return { allowed: false, rule: '' };
}

const anyName = fc.constantFrom('a', 'b', 'ab', 'abc', '');
const guardFor = (variable: string): fc.Arbitrary<string> =>
  fc.oneof(
    anyName.map((name) => `${variable} == "${name}"`),
    anyName.map((name) => `"${name}" == ${variable}`),
    fc.array(anyName, { maxLength: 3 }).map((names) => `${variable} in ${JSON.stringify(names)}`),
    anyName.map((name) => `${variable}.startsWith("${name}")`),
    anyName.map((name) => `${variable} != "${name}"`),
  );
const anywhere = fc.constantFrom(
  'true',
  'false',
  '"dev" in principal.groups',
  'principal.groups.exists(g, g == "ops")',
  'principal.claims.level == 3',
  'principal.claims.level > 3',
  'has(principal.claims.level)',
  'principal.subject == "alice"',
  '"bob" != principal["subject"]',
  'principal.kind in ["api-key", "jwt"]',
  'principal.issuer.endsWith(".example")',
  'principal.claims["team"] == "rail"',
  'principal.claims.team.contains("ai")',
  'tenant.name == "acme" && backend.name == "weather"',
  'mcp.era == "modern" || mcp.version == "x" || session.id == ""',
  'request.host.startsWith("local") && request.path != "/"',
);
const aboutArgs = fc.constantFrom(
  'args.x == 1',
  'args.x > 1',
  'has(args.x)',
  'args.x == "text"',
  'args.list.exists(e, e == 1)',
  'args["x"] in [1, 2]',
  'args.x != "text"',
  'args.x == true',
  'args["x"].startsWith("te")',
  'args.x in ["text", "other"]',
  'has(args.deep.y)',
  'args.deep.y == 1',
  'args.deep["y"] == "text"',
  '1 in args.list',
  '"x" in args',
  'args.x == null',
);

/** Expressions over the given terms. */
function expressionOf(terms: fc.Arbitrary<string>): fc.Arbitrary<string> {
  return fc.letrec<{ expression: string }>((tie) => ({
    expression: fc.oneof(
      { maxDepth: 3, depthSize: 'small' },
      terms,
      fc.tuple(tie('expression'), tie('expression')).map(([a, b]) => `${a} && ${b}`),
      fc.tuple(tie('expression'), tie('expression')).map(([a, b]) => `(${a} || ${b})`),
      tie('expression').map((a) => `!(${a})`),
    ),
  })).expression;
}

const anyExpression = fc.oneof(
  expressionOf(fc.oneof(guardFor('tool.name'), aboutArgs, anywhere)),
  expressionOf(fc.oneof(guardFor('tool.name'), aboutArgs)),
  expressionOf(fc.oneof(guardFor('prompt.name'), anywhere)),
  expressionOf(fc.oneof(guardFor('resource.uri'), anywhere)),
  expressionOf(anywhere),
);
const anyRules = fc.array(
  fc.record({ effect: fc.constantFrom('allow' as const, 'deny' as const), when: anyExpression }),
  { maxLength: 6 },
);
const anyArgs = fc
  .record(
    {
      x: fc.constantFrom(0, 1, 2, 1.5, 'text', null, true),
      list: fc.constantFrom([], [1], ['a', 1]),
      deep: fc.constantFrom({}, { y: 1 }, { y: 'text' }, { y: null }, 5),
    },
    { requiredKeys: [] },
  )
  .map((args) => argsFromValue(args) as ReadonlyMap<string, unknown>);
const anySubject: fc.Arbitrary<McpSubject> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('tool' as const), name: anyName, args: anyArgs }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('prompt' as const), name: anyName }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('resource' as const), uri: anyName }) },
);
const anyInput: fc.Arbitrary<DecisionInput> = fc
  .record({
    subject: anySubject,
    groups: fc.constantFrom([], ['dev'], ['ops', 'dev']),
    claims: fc.constantFrom(
      new Map(),
      new Map<string, unknown>([['level', 3n]]),
      new Map<string, unknown>([
        ['level', 4],
        ['team', 'rail'],
      ]),
    ),
  })
  .map(({ subject, groups, claims }) => ({ ...input, subject, principal: { ...principal, groups, claims } }));
