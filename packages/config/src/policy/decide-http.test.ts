import { describe, expect, it } from 'vitest';
import type { DecisionInput, Subject } from './authorization.ts';
import { compileAuthorization, type RuleSource } from './compile-rules.ts';
import { decide, explain } from './decide.ts';

const input: Omit<DecisionInput, 'subject'> = {
  principal: { id: 'a', kind: 'api-key', subject: 'alice', issuer: '', groups: [], claims: new Map() },
  ...{ tenant: 'acme', backend: 'orders', mcp: null, session: '', nowMs: 0 },
  request: { host: 'localhost', path: '/acme/orders/1' },
};
const get: Subject = { kind: 'http', method: 'GET', path: '/acme/orders/1', headers: new Map([['x-team', 'a']]) };
const send: Subject = { kind: 'a2a', method: 'SendMessage', version: '0.3' };

const allow = (when: string): RuleSource => ({ effect: 'allow', when });
const deny = (when: string): RuleSource => ({ effect: 'deny', when });

function allowed(rules: readonly RuleSource[], subject: Subject): boolean {
  return decide(compileAuthorization(rules), { ...input, subject }).allowed;
}

describe('rules about HTTP requests', () => {
  it.each([
    ['http.method == "GET"', true],
    ['http.method in ["PUT", "DELETE"]', false],
    ['http.path == "/acme/orders/1"', true],
    ['http.path in ["/acme/orders/2"]', false],
    ['http.path.startsWith("/acme/orders/") && http.method == "GET"', true],
    ['http.path.matches("^/acme/orders/[0-9]+$")', true],
    ['http.headers["x-team"] == "a"', true],
    ['http.headers["x-other"] == "a"', false],
    ['"x-team" in http.headers', true],
    ['"x-other" in http.headers', false],
    ['http.headers.exists(name, name.startsWith("x-"))', true],
    ['request.path == http.path && backend.name == "orders"', true],
    ['principal.subject == "alice"', true],
  ])('read method, path and headers: %s', (when, expected) => {
    expect(allowed([allow(when)], get)).toBe(expected);
  });

  it('say nothing about anything else, and other rules nothing about them', () => {
    const rules = [deny('tool.name == "x"'), deny('a2a.method == "GetTask"'), deny('mcp.method == "x"'), allow('true')];
    expect(allowed(rules, get)).toBe(true);
    expect(allowed([allow('http.method == "GET"')], send)).toBe(false);
    expect(allowed([allow('mcp.method != ""')], get)).toBe(false);
  });

  it('deny where a header that they read is missing, also to deny', () => {
    expect(allowed([deny('http.headers["x-b"] == "a"'), allow('true')], get)).toBe(false);
  });

  it('are explained like all', () => {
    const rules = [deny('mcp.era == "legacy"'), deny('tool.name == "x"'), allow('http.path == "/acme/orders/1"')];
    const { decision, steps } = explain(compileAuthorization(rules), { ...input, subject: get });
    expect(decision).toMatchObject({ allowed: true, rule: 'policy/inline/2' });
    expect(steps.map(({ outcome, detail }) => [outcome, detail])).toEqual([
      ['not about this', 'is about MCP'],
      ['not about this', 'is about tools'],
      ['match', ''],
    ]);
  });

  it('cannot read what only other requests have', () => {
    expect(() => compileAuthorization([allow('http.method == "GET" && tool.name == "x"')])).toThrow('reads both');
    expect(() => compileAuthorization([allow('http.query == "x"')])).toThrow('http has no field query');
  });
});

describe('rules about A2A requests', () => {
  it.each([
    ['a2a.method == "SendMessage"', true],
    ['a2a.method.startsWith("Get")', false],
    ['a2a.version == "0.3" && a2a.method in ["SendMessage", "GetTask"]', true],
  ])('read operation and version: %s', (when, expected) => {
    expect(allowed([allow(when)], send)).toBe(expected);
  });
});
