import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compileAsAgentgateway, evaluateAsAgentgateway, Timestamp } from '../../testing/agentgateway-cel.ts';
import {
  anyCall,
  anyRules,
  type Call,
  decideAs,
  decideHttp,
  httpRouteWith,
  issuer,
  onceAllowed,
  routeWith,
} from '../conditions/arbitrary-rules.ts';
import { type Enforcement, enforce, enforceHttp } from './rules.ts';

const numRuns = 100;
const timeoutMs = 60_000;
const claim = 'principal.claims';
const rules = anyRules([`${claim}.team`, `${claim}.groups`, `${claim}.o.n`, `${claim}["x"]`, 'args.x']);

describe('for any rules and any call', { timeout: timeoutMs }, () => {
  it('agentgateway allows nothing that our proxy denies', () => {
    fc.assert(
      fc.property(rules, fc.array(anyCall, { minLength: 1, maxLength: 8 }), (ofRoute, calls) => {
        const route = routeWith(ofRoute);
        const allows = agentgatewayWith(enforce(route));
        expect(calls.filter((one) => allows(one) && !decideAs(route, one))).toEqual([]);
      }),
      { numRuns, examples: [onceAllowed] },
    );
  });

  it('agentgateway allows all that our proxy allows, when nothing is reported and no claim is odd', () => {
    let compared = 0;
    fc.assert(
      fc.property(rules, fc.array(anyCall, { minLength: 1, maxLength: 8 }), (ofRoute, calls) => {
        const route = routeWith(ofRoute);
        const enforcement = enforce(route);
        if (enforcement.gaps.size > 0) return;
        const allows = agentgatewayWith(enforcement);
        for (const one of calls.filter(isPlain)) {
          compared += 1;
          expect([one, allows(one)]).toEqual([one, decideAs(route, one)]);
        }
      }),
      { numRuns },
    );
    expect(compared).toBeGreaterThan(20);
  });
});

describe('for any rules about HTTP and any request', { timeout: timeoutMs }, () => {
  const quoted = fc.constantFrom('GET', 'POST', '/acme/r', '/acme/r/a', 'a').map((one) => JSON.stringify(one));
  const field = fc.constantFrom('http.method', 'http.path', 'request.path', 'principal.claims.team', 'tenant.name');
  const test = fc.constantFrom('startsWith', 'endsWith', 'contains', 'matches');
  const term = fc.oneof(
    fc.tuple(field, fc.constantFrom('==', '!='), quoted).map((parts) => parts.join(' ')),
    fc.tuple(field, test, quoted).map(([of, how, text]) => `${of}.${how}(${text})`),
    fc.constantFrom('"x-a" in http.headers', 'has(principal.claims.team)', 'true'),
  );
  const joined = fc.tuple(term, fc.constantFrom('&&', '||', '&& !'), term).map(([a, how, b]) => `${a} ${how}(${b})`);
  const effect = fc.constantFrom('ALLOW', 'DENY');
  const httpRules = fc.array(fc.record({ effect, when: fc.oneof(term, joined) }), { minLength: 1, maxLength: 4 });
  const anyClaims = fc.option(fc.record({ sub: fc.constant('a'), team: fc.constantFrom('a', 5) }), { nil: undefined });
  const paths = ['/acme/r', '/acme/r/a', '/acme/r/../a', '/acme/r//a', '/acme/r/%2e', '/acme/r/%zz'];
  const requests = ['GET', 'POST', 'TRACE'].flatMap((method) => paths.map((path) => ({ method, path })));

  it('agentgateway allows nothing that our proxy denies, and no path that could mean another one', () => {
    let allowed = 0;
    fc.assert(
      fc.property(httpRules, anyClaims, (ofRoute, claims) => {
        const route = httpRouteWith(ofRoute);
        const allow = enforceHttp(route).allow.map(compileAsAgentgateway);
        for (const request of requests) {
          const jwt = claims ? { ...claims, iss: issuer } : null;
          const variables = { jwt, apiKey: null, mcp: null, request: { ...request, headers: {} } };
          if (!allow.some((allows) => allows(variables))) continue;
          allowed += 1;
          expect([request, decideHttp(route, { ...request, claims })]).toEqual([request, true]);
          expect([request.method, request.path]).toEqual([
            expect.not.stringMatching('TRACE'),
            expect.stringMatching(/r(\/a)?$/),
          ]);
          expect(request.path).not.toMatch(/\.\.|\/\//);
        }
      }),
      { numRuns },
    );
    expect(allowed).toBeGreaterThan(20);
  });

  it('a text that our proxy refuses to match is denied, for a pattern and for its contrary', () => {
    const long = `/acme/r/${'a'.repeat(70_000)}`;
    for (const when of ['http.path.matches("a")', '!http.path.matches("b")']) {
      const { allow } = enforceHttp(httpRouteWith([{ effect: 'ALLOW', when }]));
      const isAllowed = (path: string): boolean =>
        allow.some((one) => evaluateAsAgentgateway(one, { jwt: null, request: { method: 'GET', path, headers: {} } }));
      expect([isAllowed('/acme/r/a'), isAllowed(long)]).toEqual([true, false]);
    }
  });
});

describe('a request at agentgateway', () => {
  const { admit, allow } = enforce(routeWith([{ effect: 'ALLOW', when: 'true' }]));
  const nowMs = Date.parse('2026-06-01T00:00:00Z');
  const now = nowMs / 1_000;
  const token = { iss: issuer, sub: 'a', iat: now };
  const comesIn = (jwt: object | null, headers: Readonly<Record<string, string>> = {}): boolean =>
    admit.some((one) =>
      evaluateAsAgentgateway(one, { jwt, apiKey: null, request: { headers, startTime: new Timestamp(nowMs) } }),
    );

  it.each([
    ['a token', token, {}, true],
    ['a token of yesterday', { ...token, iat: now - 90_000 }, {}, false],
    ['a token of tomorrow', { ...token, iat: now + 90_000 }, {}, false],
    ['a token that is not valid yet', { ...token, nbf: now + 90_000 }, {}, false],
    ['a token that is valid already', { ...token, nbf: now - 1 }, {}, true],
    ['a token without subject', { ...token, sub: '' }, {}, false],
    ['a token without a time', { iss: issuer, sub: 'a' }, {}, false],
    ['a token of somebody else', { ...token, iss: 'https://else.example' }, {}, false],
    ['nothing', null, {}, true],
    ['a credential of another kind', null, { authorization: 'Basic bm9ib2R5Og==' }, false],
  ] as const)('with %s', (_name, jwt, headers, expected) => {
    expect(comesIn(jwt, headers)).toBe(expected);
  });

  it('is denied when it is about what no rule can name, such as a task', () => {
    const about = (mcp: object) => allow.some((one) => evaluateAsAgentgateway(one, { mcp, jwt: null }));
    expect(about({ tool: { target: 't', name: 'a' }, prompt: null, resource: null, task: null })).toBe(true);
    expect(about({ tool: null, prompt: null, resource: null, task: { target: 't', name: 'a' } })).toBe(false);
  });
});

/** What agentgateway makes of calls: rules see the name of the tool and the claims, and never the arguments. */
function agentgatewayWith({ allow }: Enforcement): (call: Call) => boolean {
  const conditions = allow.map(compileAsAgentgateway);
  return ({ name, claims }) => {
    const variables = {
      mcp: { tool: { target: 'b', name }, prompt: null, resource: null, task: null },
      jwt: claims ? { ...claims, iss: issuer } : null,
      apiKey: null,
      request: { headers: {} },
    };
    return conditions.some((allows) => allows(variables));
  };
}

/** Without what it is stricter about: claims that are a map where a rule asks for a member, or hold one. */
function isPlain({ claims }: Call): boolean {
  return !Object.values(claims ?? {}).some(
    (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
  );
}
