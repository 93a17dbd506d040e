import { a2aOperations, decide, type RouteEntry, type Subject } from '@signalbox/config';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Formula, Match, TextMatch } from '../conditions/formula.ts';
import { sampleRoute } from '../sample-route.ts';
import { enforce } from './rules.ts';

/** A request as it comes, and what our proxy makes of it: undefined for one that it refuses by itself. */
interface Sent {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Method of the JSON-RPC message; empty without one. */
  readonly operation: string;
  readonly subject: Subject | undefined;
}

interface WrittenRule {
  readonly effect: string;
  readonly when: string;
}

const numRuns = 80;

const quoted = fc.constantFrom('""', '"a"', '"ab"', '"GET"', '"/acme/sample/a"', '"/acme/"', '"GetTask"', '"1.0"');

/** One to four rules over these fields. */
function anyRules(fields: readonly string[], terms: readonly string[]): fc.Arbitrary<readonly WrittenRule[]> {
  const field = fc.constantFrom(...fields);
  const term = fc.oneof(
    fc.tuple(field, fc.constantFrom('==', '!='), quoted).map((parts) => parts.join(' ')),
    fc
      .tuple(field, fc.constantFrom('startsWith', 'endsWith', 'contains'), quoted)
      .map(([a, b, c]) => `${a}.${b}(${c})`),
    fc.tuple(field, quoted, quoted).map(([a, b, c]) => `${a} in [${b}, ${c}]`),
    fc.constantFrom('true', 'false', ...terms),
  );
  const { expression } = fc.letrec<{ expression: string }>((tie) => ({
    expression: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      term,
      fc
        .tuple(tie('expression'), fc.constantFrom('&&', '||'), tie('expression'))
        .map((parts) => `(${parts.join(' ')})`),
      tie('expression').map((inner) => `!(${inner})`),
      fc.tuple(tie('expression'), tie('expression'), tie('expression')).map(([a, b, c]) => `(${a} ? ${b} : ${c})`),
    ),
  }));
  return fc.array(fc.record({ effect: fc.constantFrom('ALLOW', 'DENY'), when: expression }), {
    minLength: 1,
    maxLength: 4,
  });
}

function routeWith(protocol: 'http' | 'a2a', rules: readonly WrittenRule[]): RouteEntry {
  const of = (authorization: readonly WrittenRule[]): RouteEntry =>
    sampleRoute({ protocol, authentication: { anonymous: { subject: 'ab' } }, authorization });
  // Rules that our proxy refuses to compile are left out.
  const kept = rules.filter((rule) => {
    try {
      return of([rule]) !== undefined;
    } catch {
      return false;
    }
  });
  return of(kept);
}

function ourDecision(route: RouteEntry, { subject, path }: Sent): boolean {
  if (!subject) return false;
  return decide(route.authorization, {
    principal: { id: 'x', kind: 'anonymous', subject: 'ab', issuer: '', groups: [], claims: new Map() },
    ...{ tenant: 'acme', backend: 'sample', subject, mcp: null, session: '', nowMs: 0 },
    request: { host: 'localhost', path: path.split('?')[0] ?? '' },
  }).allowed;
}

function holds(formula: Formula, sent: Sent): boolean {
  switch (formula.kind) {
    case 'always':
      return true;
    case 'never':
      return false;
    case 'all':
      return formula.terms.every((one) => holds(one, sent));
    case 'any':
      return formula.terms.some((one) => holds(one, sent));
    case 'not':
      return !holds(formula.term, sent);
    case 'path':
      return matches(formula.match, sent.path.split('?')[0] ?? '');
    case 'header': {
      const found = { ...sent.headers, ':method': sent.method, ':path': sent.path }[formula.name];
      return found !== undefined && (formula.match === 'present' || matches(formula.match, found));
    }
    case 'value':
      return ofMessage(formula.path.join('.'), formula.match, sent);
  }
}

/** There is no token, and a message without push notifications. */
function ofMessage(path: string, match: Match, { operation }: Sent): boolean {
  if (operation === '') return false;
  if (path === 'method') return match.is === 'present' || ('text' in match && matches(match as TextMatch, operation));
  return path === 'id' && match.is === 'any-number';
}

function matches({ is, text, ignoreCase = false }: TextMatch, found: string): boolean {
  const [given, wanted] = ignoreCase ? [found.toLowerCase(), text.toLowerCase()] : [found, text];
  switch (is) {
    case 'exact':
      return given === wanted;
    case 'prefix':
      return given.startsWith(wanted);
    case 'suffix':
      return given.endsWith(wanted);
    case 'contains':
      return given.includes(wanted);
    case 'regex':
      return new RegExp(`^(?:${text})$`).test(found);
    case 'search':
      return new RegExp(text).test(found);
  }
}

function compare(route: RouteEntry, requests: readonly Sent[]): number {
  const { allow, gaps } = enforce(route);
  for (const sent of requests) {
    const envoys = [...allow.values()].some((formula) => holds(formula, sent));
    const ours = ourDecision(route, sent);
    // Envoy may only be stricter where it has said so.
    const wanted = gaps.size === 0 ? ours : ours && envoys;
    expect([sent, envoys]).toEqual([sent, wanted]);
  }
  return gaps.size === 0 ? requests.length : 0;
}

const served = ['GET', 'POST', 'DELETE'];
const plainPaths = ['/acme/sample', '/acme/sample/a', '/acme/sample/a%20b', '/acme/sample/GET'];
const oddPaths = ['/acme/sample//a', '/acme/sample/%61', '/acme/sample/../a', '/acme/sample/%c3', '/acme/sample/a%2Fb'];

const httpRequest: fc.Arbitrary<Sent> = fc
  .record({
    method: fc.constantFrom(...served, 'TRACE'),
    path: fc.constantFrom(...plainPaths, ...plainPaths, ...oddPaths),
    query: fc.constantFrom('', '?/acme/sample/a'),
    headers: fc.record(
      { 'x-a': fc.constantFrom('', 'a', 'ab'), team: fc.constantFrom('a', 'b') },
      { requiredKeys: [] },
    ),
  })
  .map(({ method, path, query, headers }) => {
    const refused = !served.includes(method) || oddPaths.includes(path);
    const subject: Subject = { kind: 'http', method, path, headers: new Map(Object.entries(headers)) };
    return { method, path: path + query, headers, operation: '', subject: refused ? undefined : subject };
  });

const names = a2aOperations.flatMap(({ name, older }) => [name, ...(older === undefined ? [] : [older])]);

const a2aRequest: fc.Arbitrary<Sent> = fc
  .record({
    operation: fc.constantFrom(...names, 'nothing'),
    version: fc.constantFrom(undefined, '', '1.0', '1.0.2', '0.3', '2.0'),
  })
  .map(({ operation, version }) => {
    const headers: Record<string, string> = version === undefined ? {} : { 'a2a-version': version };
    const spoken = version === undefined || version === '' ? '0.3' : version.slice(0, 3);
    const known = a2aOperations.find(({ name, older }) => (spoken === '1.0' ? name : older) === operation);
    const subject: Subject | undefined =
      spoken !== '2.0' && known?.carried === 'yes' ? { kind: 'a2a', method: known.name, version: spoken } : undefined;
    return { method: 'POST', path: '/acme/sample', headers, operation, subject };
  });

describe('for any rules and any request, Envoy decides as our proxy does, or more strictly where it says so', () => {
  it.each([
    [
      'http',
      anyRules(
        ['http.method', 'http.path', 'http.headers["x-a"]', 'http.headers.team', 'request.path', 'principal.subject'],
        ['"x-a" in http.headers', 'has(http.headers.team)', '"cookie" in http.headers', 'mcp.method == "a"'],
      ),
      httpRequest,
    ],
    ['a2a', anyRules(['a2a.method', 'a2a.version', 'request.path', 'principal.kind'], ['mcp.era == "a"']), a2aRequest],
  ] as const)('%s', { timeout: 60_000 }, (protocol, rules, request) => {
    let compared = 0;
    fc.assert(
      fc.property(rules, fc.array(request, { minLength: 1, maxLength: 8 }), (ofRoute, requests) => {
        compared += compare(routeWith(protocol, ofRoute), requests);
      }),
      { numRuns },
    );
    expect(compared).toBeGreaterThan(numRuns);
  });
});
