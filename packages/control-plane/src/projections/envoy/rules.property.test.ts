import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Formula, Match, TextMatch } from '../conditions/formula.ts';
import {
  anyCall,
  anyRules,
  type Call,
  decideAs,
  issuer,
  onceAllowed,
  routeWith,
  type WrittenRule,
} from '../conditions/arbitrary-rules.ts';
import { enforce } from './rules.ts';

const rules = anyRules(['args.x', 'args.y', 'args.o.n', 'args["x"]', 'principal.claims.team', 'principal.claims.o.n']);

const numRuns = 60;
const timeoutMs = 60_000;

describe('for any rules and any call', { timeout: timeoutMs }, () => {
  it('Envoy allows nothing that our proxy denies', () => {
    fc.assert(
      fc.property(rules, fc.array(anyCall, { minLength: 1, maxLength: 8 }), (ofRoute, calls) => {
        const route = routeWith(ofRoute);
        const { allow } = enforce(route);
        expect(calls.filter((one) => allows(allow, one) && !decideAs(route, one))).toEqual([]);
      }),
      { numRuns, examples: [onceAllowed] },
    );
  });

  it('Envoy allows all that our proxy allows, when nothing is reported and no argument is a list', () => {
    let compared = 0;
    fc.assert(
      fc.property(rules, fc.array(anyCall, { minLength: 1, maxLength: 8 }), (ofRoute, calls) => {
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

describe('for any rules and any call of several members', { timeout: timeoutMs }, () => {
  const fields = ['args.x', 'args.o.n', 'principal.claims.team', 'backend.name'] as const;
  const ofMembers = fc
    .tuple(fc.constantFrom('a__', 'ab__', '', 'c__', 'a_', '__'), anyCall)
    .map(([prefix, one]): Call => ({ ...one, name: prefix + one.name }));
  const members = [
    { backend: 'b', prefix: 'a' },
    { backend: 'c', prefix: 'ab' },
  ];

  const ofOne = { args: {}, claims: undefined };
  const ofSecond: [WrittenRule[], Call[]] = [
    [
      { effect: 'DENY', when: 'tool.name.endsWith("b")' },
      { effect: 'ALLOW', when: 'backend.name == "c"' },
    ],
    ['a__a', 'ab__a', 'ab__b', 'ab__', 'a'].map((name) => ({ ...ofOne, name })),
  ];

  it('Envoy allows what our proxy allows, and nothing else, when nothing is reported and no argument is a list', () => {
    let allowed = 0;
    fc.assert(
      fc.property(anyRules([...fields]), fc.array(ofMembers, { minLength: 1, maxLength: 8 }), (ofRoute, calls) => {
        const route = routeWith(ofRoute, members);
        const { allow, gaps } = enforce(route);
        expect(calls.filter((one) => allows(allow, one) && !decideAs(route, one))).toEqual([]);
        for (const one of gaps.size > 0 ? [] : calls.filter(isPlain)) {
          if (decideAs(route, one)) allowed += 1;
          expect([one, allows(allow, one)]).toEqual([one, decideAs(route, one)]);
        }
      }),
      { numRuns, examples: [ofSecond] },
    );
    expect(allowed).toBeGreaterThan(0);
  });
});

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
    case 'search':
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
      return new RegExp(`^(?:${wanted})$`, 's').test(found);
    case 'search':
      return new RegExp(wanted).test(found);
  }
}
