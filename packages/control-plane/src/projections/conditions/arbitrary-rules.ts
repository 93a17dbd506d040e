import {
  argsFromValue,
  compileOperator,
  compileTenant,
  decide,
  decodeDocument,
  makeSnapshot,
  type McpRouteEntry,
} from '@signalbox/config';
import fc from 'fast-check';
import { sampleKeySet } from '../sample-route.ts';

/** A call of a tool. */
export interface Call {
  readonly name: string;
  readonly args: Readonly<Record<string, unknown>>;
  readonly claims: Readonly<Record<string, unknown>> | undefined;
}

export const issuer = 'https://idp.example';
const text = fc.constantFrom('', 'a', 'ab', 'b', '5');
const scalar = fc.oneof(text, fc.constantFrom(0, 5, 5.5, -1), fc.boolean(), fc.constant(null));
const anything = fc.oneof(scalar, fc.array(scalar, { maxLength: 2 }), fc.record({ n: scalar }, { requiredKeys: [] }));
const args = fc.record({ x: anything, y: anything, o: anything }, { requiredKeys: [] });
const claims = fc.record(
  { sub: fc.constantFrom('a', 'ab'), groups: anything, team: anything },
  { requiredKeys: ['sub'] },
);
export const anyCall: fc.Arbitrary<Call> = fc.record({
  name: text,
  args,
  claims: fc.option(claims, { nil: undefined }),
});

const quoted = text.map((one) => JSON.stringify(one));
const literal = fc.oneof(quoted, fc.constantFrom('5', '5.5', '0', '-1', 'true', 'false', 'null'));
const number = fc.constantFrom('5', '5.5', '0', '-1');
const named = fc.constantFrom('tool.name', 'principal.subject', 'principal.kind', 'principal.issuer', 'tenant.name');
/** A rule as somebody writes it. */
export interface WrittenRule {
  readonly effect: string;
  readonly when: string;
}

/** Callers without claims have none within a claim either: to ask for one is an error, not false. */
export const onceAllowed: [readonly WrittenRule[], readonly Call[]] = [
  [
    { effect: 'DENY', when: 'has(principal.claims.o.n)' },
    { effect: 'ALLOW', when: 'true' },
  ],
  [{ name: 'a', args: {}, claims: undefined }],
];

/** One to four rules. @param fields that may be missing, and are read often */
export function anyRules(fields: readonly [string, ...string[]]): fc.Arbitrary<readonly WrittenRule[]> {
  const open = fc.constantFrom(...fields);
  const term = fc.oneof(
    fc.tuple(fc.oneof(open, named), fc.constantFrom('==', '!='), literal).map((parts) => parts.join(' ')),
    fc.tuple(open, fc.constantFrom('<', '<=', '>', '>='), number).map((parts) => parts.join(' ')),
    fc
      .tuple(fc.oneof(open, named), fc.constantFrom('startsWith', 'endsWith', 'contains', 'matches'), quoted)
      .map(([field, test, argument]) => `${field}.${test}(${argument})`),
    fc.tuple(fc.oneof(open, named), quoted, quoted).map(([field, a, b]) => `${field} in [${a}, ${b}]`),
    fc.tuple(quoted, fc.constantFrom('principal.groups', 'principal.claims.team')).map((parts) => parts.join(' in ')),
    open.map((field) => `has(${field.replace(/\["(\w)"\]$/, '.$1')})`),
    open,
    fc.constantFrom('true', 'false', 'size(args.x) > 1'),
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

/** A route with these rules, for callers with a token and for others. */
export function routeWith(authorization: readonly WrittenRule[]): McpRouteEntry {
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
  const jwks = { inline: sampleKeySet };
  const authentication = { jwt: [{ issuer, audiences: ['a'], jwks }], anonymous: { subject: 'ab' } };
  return { target: { tenant: {} }, authentication, authorization };
}

/** What our proxy decides. */
export function decideAs(route: McpRouteEntry, { name, args: given, claims: of }: Call): boolean {
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
