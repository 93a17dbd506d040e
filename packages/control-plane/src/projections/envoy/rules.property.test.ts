import {
  argsFromValue,
  compileOperator,
  compileTenant,
  decide,
  decodeDocument,
  makeSnapshot,
  type RouteEntry,
} from '@signalbox/config';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Formula, Match, TextMatch } from './formula.ts';
import { enforce } from './rules.ts';

const numRuns = 60;
const timeoutMs = 60_000;

describe('for any rules and any call', { timeout: timeoutMs }, () => {
  it('Envoy allows nothing that our proxy denies', () => {
    fc.assert(
      fc.property(rules, fc.array(call, { minLength: 1, maxLength: 8 }), (ofRoute, calls) => {
        const route = routeWith(ofRoute);
        const { allow } = enforce(route);
        expect(calls.filter((one) => allows(allow, one) && !decideAs(route, one))).toEqual([]);
      }),
      { numRuns },
    );
  });

  it('Envoy allows all that our proxy allows, when nothing is reported and no argument is a list', () => {
    let compared = 0;
    fc.assert(
      fc.property(rules, fc.array(call, { minLength: 1, maxLength: 8 }), (ofRoute, calls) => {
        const route = routeWith(ofRoute);
        const { allow, gaps } = enforce(route);
        if (gaps.size > 0) return;
        for (const one of calls.filter(isPlain)) {
          compared += 1;
          expect([one, allows(allow, one)]).toEqual([one, decideAs(route, one)]);
        }
      }),
      { numRuns },
    );
    expect(compared).toBeGreaterThan(0);
  });
});

interface Call {
  readonly name: string;
  readonly args: Readonly<Record<string, unknown>>;
  readonly claims: Readonly<Record<string, unknown>> | undefined;
}

const issuer = 'https://idp.example';
const text = fc.constantFrom('', 'a', 'ab', 'b', '5');
const scalar = fc.oneof(text, fc.constantFrom(0, 5, 5.5, -1), fc.boolean(), fc.constant(null));
const anything = fc.oneof(scalar, fc.array(scalar, { maxLength: 2 }), fc.record({ n: scalar }, { requiredKeys: [] }));
const args = fc.record({ x: anything, y: anything, o: anything }, { requiredKeys: [] });
const claims = fc.record(
  { sub: fc.constantFrom('a', 'ab'), groups: anything, team: anything },
  { requiredKeys: ['sub'] },
);
const call: fc.Arbitrary<Call> = fc.record({ name: text, args, claims: fc.option(claims, { nil: undefined }) });

const quoted = text.map((one) => JSON.stringify(one));
const literal = fc.oneof(quoted, fc.constantFrom('5', '5.5', '0', '-1', 'true', 'false', 'null'));
const number = fc.constantFrom('5', '5.5', '0', '-1');
const open = fc.constantFrom('args.x', 'args.y', 'args.o.n', 'args["x"]', 'principal.claims.team');
const named = fc.constantFrom('tool.name', 'principal.subject', 'principal.kind', 'principal.issuer', 'tenant.name');
const term = fc.oneof(
  fc.tuple(fc.oneof(open, named), fc.constantFrom('==', '!='), literal).map((parts) => parts.join(' ')),
  fc.tuple(open, fc.constantFrom('<', '<=', '>', '>='), number).map((parts) => parts.join(' ')),
  fc
    .tuple(fc.oneof(open, named), fc.constantFrom('startsWith', 'endsWith', 'contains', 'matches'), quoted)
    .map(([field, test, argument]) => `${field}.${test}(${argument})`),
  fc.tuple(fc.oneof(open, named), quoted, quoted).map(([field, a, b]) => `${field} in [${a}, ${b}]`),
  fc.tuple(quoted, fc.constantFrom('principal.groups', 'principal.claims.team')).map((parts) => parts.join(' in ')),
  fc.constantFrom('args.x', 'args.y', 'args.o.n', 'args.o', 'principal.claims.team').map((field) => `has(${field})`),
  fc.constantFrom('args.x', 'args.y', 'true', 'false', 'size(args.x) > 1'),
);
const { expression } = fc.letrec<{ expression: string }>((tie) => ({
  expression: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    term,
    fc.tuple(tie('expression'), fc.constantFrom('&&', '||'), tie('expression')).map((parts) => `(${parts.join(' ')})`),
    tie('expression').map((inner) => `!(${inner})`),
    fc.tuple(tie('expression'), tie('expression'), tie('expression')).map(([a, b, c]) => `(${a} ? ${b} : ${c})`),
  ),
}));
const rules = fc.array(fc.record({ effect: fc.constantFrom('ALLOW', 'DENY'), when: expression }), {
  minLength: 1,
  maxLength: 4,
});

function routeWith(authorization: readonly { readonly effect: string; readonly when: string }[]): RouteEntry {
  const scope = (documents: Parameters<typeof decodeDocument>[0][]) =>
    documents.flatMap((document) => decodeDocument(document).resource?.stored ?? []);
  const operator = compileOperator(
    makeSnapshot('operator', 1n, [
      ...scope([
        { kind: 'Gateway', tenant: '', name: 'edge', spec: { listeners: [{ name: 'http', port: 80 }] } },
        { kind: 'Tenant', tenant: '', name: 'acme', spec: {} },
      ]),
    ]),
  ).table;
  if (!operator) throw new Error('the operator does not compile');
  const of = (kind: string, name: string, spec: object) => ({ kind, tenant: 'acme', name, spec: spec as never });
  // Rules that our proxy refuses to compile are left out.
  const kept = authorization.filter((rule) => scope([of('Policy', 'p', policySpec([rule]))]).length > 0);
  const { table, problems } = compileTenant(
    makeSnapshot(
      'acme',
      1n,
      scope([
        of('Backend', 'b', { mcp: { url: 'http://127.0.0.1/mcp' } }),
        of('VirtualServer', 'v', { members: [{ backend: 'b' }] }),
        of('Route', 'r', { gateway: 'edge', match: { path: '/acme/r' }, mcp: { virtualServer: 'v' } }),
        of('Policy', 'p', policySpec(kept)),
      ]),
    ),
    operator,
  );
  const route = table?.routes.get('r');
  if (route?.kind !== 'mcp') throw new Error(problems.map(({ message }) => message).join('; '));
  return route;
}

function policySpec(authorization: readonly object[]): object {
  const jwks = { uri: `${issuer}/keys` };
  const authentication = { jwt: [{ issuer, audiences: ['a'], jwks }], anonymous: { subject: 'ab' } };
  return { target: { tenant: {} }, authentication, authorization };
}

function decideAs(route: RouteEntry, { name, args: given, claims: of }: Call): boolean {
  const groups = of?.['groups'];
  const principal = of
    ? {
        ...{ id: 'x', kind: 'jwt' as const, subject: String(of['sub']), issuer },
        groups: typeof groups === 'string' ? [groups] : Array.isArray(groups) ? groups.filter(isText) : [],
        claims: argsFromValue(of) ?? new Map(),
      }
    : { id: 'x', kind: 'anonymous' as const, subject: 'ab', issuer: '', groups: [], claims: new Map() };
  return decide(route.authorization, {
    ...{ principal, tenant: 'acme', backend: 'b', session: '', nowMs: 0 },
    subject: { kind: 'tool', name, args: argsFromValue(given) ?? new Map() },
    mcp: { method: 'tools/call', era: 'modern', version: '2026-07-28' },
    request: { host: 'localhost', path: '/acme/r/mcp' },
  }).allowed;
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}

/** Without what Envoy is documented to be stricter about: lists in arguments, and membership in an empty list or a map. */
function isPlain({ args: given, claims: of }: Call): boolean {
  const team = of?.['team'];
  const isMap = typeof team === 'object' && team !== null && !Array.isArray(team);
  return !holdsList(given) && !isMap && !(Array.isArray(team) && team.length === 0);
}

function holdsList(value: unknown): boolean {
  if (Array.isArray(value)) return true;
  return typeof value === 'object' && value !== null && Object.values(value).some(holdsList);
}

/** What Envoy's filters make of the call: lists of a message are not shown, claims are. */
function allows(allow: ReadonlyMap<string, Formula>, { name, args: given, claims: of }: Call): boolean {
  const metadata = {
    mcp: { method: 'tools/call', params: { name, arguments: withoutLists(given) } },
    jwt: of ? { jwt: { ...of, iss: issuer, iat: 1 } } : {},
  };
  return [...allow.values()].some((formula) => holds(formula, metadata));
}

function withoutLists(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).filter(([, entry]) => !Array.isArray(entry));
  return Object.fromEntries(entries.map(([key, entry]) => [key, withoutLists(entry)]));
}

function holds(formula: Formula, metadata: Readonly<Record<'mcp' | 'jwt', unknown>>): boolean {
  switch (formula.kind) {
    case 'always':
      return true;
    case 'never':
      return false;
    case 'all':
      return formula.terms.every((term_) => holds(term_, metadata));
    case 'any':
      return formula.terms.some((term_) => holds(term_, metadata));
    case 'not':
      return !holds(formula.term, metadata);
    case 'header':
      return formula.name === ':method' && formula.match !== 'present' && formula.match.text === 'POST';
    case 'path':
      return false;
    case 'value': {
      const found = formula.path.reduce<unknown>(
        (at, key) =>
          typeof at === 'object' && at !== null && !Array.isArray(at) && Object.hasOwn(at, key)
            ? (at as Record<string, unknown>)[key]
            : undefined,
        metadata[formula.filter],
      );
      return found !== undefined && matches(formula.match, found);
    }
  }
}

function matches(match: Match, found: unknown): boolean {
  switch (match.is) {
    case 'present':
      return true;
    case 'null':
      return found === null;
    case 'any-text':
      return typeof found === 'string';
    case 'any-number':
      return typeof found === 'number';
    case 'list':
      return Array.isArray(found) && found.length > 0;
    case 'list-with':
      return Array.isArray(found) && found.includes(match.text);
    case 'number':
      return found === match.value;
    case 'range':
      return typeof found === 'number' && found >= match.start && found < match.end;
    case 'flag':
      return found === match.value;
    case 'exact':
    case 'prefix':
    case 'suffix':
    case 'contains':
    case 'regex':
      return typeof found === 'string' && matchesText(match, found);
  }
}

function matchesText({ is, text: wanted }: TextMatch, found: string): boolean {
  switch (is) {
    case 'exact':
      return found === wanted;
    case 'prefix':
      return found.startsWith(wanted);
    case 'suffix':
      return found.endsWith(wanted);
    case 'contains':
      return found.includes(wanted);
    case 'regex':
      return new RegExp(`^(?:${wanted.replaceAll('(?s:.*)', '.*')})$`, 's').test(found);
  }
}
