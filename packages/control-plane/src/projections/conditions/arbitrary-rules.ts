import {
  argsFromValue,
  compileOperator,
  compileTenant,
  decide,
  decodeDocument,
  makeSnapshot,
  type McpRouteEntry,
  type Principal,
  resolveName,
  type RouteEntry,
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

/** A route of MCP with these rules, for callers with a token and for others. @param members of its virtual server */
export function routeWith(
  authorization: readonly WrittenRule[],
  members: readonly object[] = [{ backend: 'b' }],
): McpRouteEntry {
  const route = compiled(authorization, [
    ['Backend', 'b', { mcp: { url: 'http://127.0.0.1/mcp' } }],
    ['Backend', 'c', { mcp: { url: 'http://127.0.0.2/mcp' } }],
    ['VirtualServer', 'v', { members }],
    ['Route', 'r', { gateway: 'edge', match: { path: '/acme/r' }, mcp: { virtualServer: 'v' } }],
  ]);
  if (route.kind !== 'mcp') throw new Error('it is of MCP');
  return route;
}

/** The same of HTTP. */
export function httpRouteWith(authorization: readonly WrittenRule[]): RouteEntry {
  return compiled(authorization, [
    ['Backend', 'b', { http: { url: 'http://127.0.0.1/' } }],
    ['Route', 'r', { gateway: 'edge', match: { path: '/acme/r' }, http: { backend: 'b' } }],
  ]);
}

type Written = readonly [kind: string, name: string, spec: object];

function compiled(authorization: readonly WrittenRule[], resources: readonly Written[]): RouteEntry {
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
  const of = ([kind, name, spec]: Written) => ({ kind, tenant: 'acme', name, spec: spec as never });
  // Rules that our proxy refuses to compile are left out.
  const kept = authorization.filter((rule) => scope([of(['Policy', 'p', policySpec([rule])])]).length > 0);
  const all = [...resources, ['Policy', 'p', policySpec(kept)] as const];
  const { table, problems } = compileTenant(makeSnapshot('acme', 1n, scope(all.map(of))), operator);
  const route = table?.routes.get('r');
  if (!route) throw new Error(problems.map(({ message }) => message).join('; '));
  return route;
}

function policySpec(authorization: readonly object[]): object {
  const jwks = { inline: sampleKeySet };
  const authentication = { jwt: [{ issuer, audiences: ['a'], jwks }], anonymous: { subject: 'ab' } };
  return { target: { tenant: {} }, authentication, authorization };
}

/** What our proxy decides. At several members a name has to lead to one of them. */
export function decideAs(route: McpRouteEntry, call: Call): boolean {
  const { federation, member } = route.mcp;
  if (federation === null) return decideAt(route, call, member.backend.name);
  const [found] = resolveName(federation, 'tools', call.name);
  return found !== undefined && decideAt(route, call, found.member.backend.name);
}

function decideAt(route: McpRouteEntry, { name, args: given, claims }: Call, backend: string): boolean {
  return decide(route.authorization, {
    ...{ principal: principalOf(claims), tenant: 'acme', backend, session: '', nowMs: 0 },
    subject: { kind: 'tool', name, args: argsFromValue(given) ?? new Map() },
    mcp: { method: 'tools/call', era: 'modern', version: '2026-07-28' },
    request: { host: 'localhost', path: '/acme/r/mcp' },
  }).allowed;
}

/** A request of HTTP, without header fields. */
export interface HttpRequest {
  readonly method: string;
  readonly path: string;
  readonly claims: Call['claims'];
}

/** The same for a request of HTTP. */
export function decideHttp(route: RouteEntry, { method, path, claims }: HttpRequest): boolean {
  return decide(route.authorization, {
    ...{ principal: principalOf(claims), tenant: 'acme', backend: 'b', session: '', nowMs: 0 },
    subject: { kind: 'http', method, path, headers: new Map() },
    mcp: null,
    request: { host: 'localhost', path },
  }).allowed;
}

function principalOf(claims: Call['claims']): Principal {
  const groups = claims?.['groups'];
  return claims
    ? {
        ...{ id: 'x', kind: 'jwt', subject: String(claims['sub']), issuer },
        groups: typeof groups === 'string' ? [groups] : Array.isArray(groups) ? groups.filter(isText) : [],
        claims: argsFromValue(claims) ?? new Map(),
      }
    : { id: 'x', kind: 'anonymous', subject: 'ab', issuer: '', groups: [], claims: new Map() };
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}
