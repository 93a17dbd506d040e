import type { JsonValue } from '@bufbuild/protobuf';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { applyChanges, makeSnapshot, type Snapshot, type StoredResource } from '../snapshot.ts';
import { drain } from '../steps.ts';
import type { TenantTable } from '../table.ts';
import { basics, operatorTable, route, stored, tableOf } from '../testing/resources.ts';
import type { Compiled } from './compiled.ts';
import { defaultTableLimits } from './limits.ts';
import { compileTenant, compileTenantSteps } from './tenant.ts';

/** Milliseconds for a property with many runs on a loaded machine. */
const slow = 30_000;

const operator = operatorTable('acme');

describe('compiling a tenant', () => {
  it(
    'gives the same table and problems whatever the order of the set',
    () => {
      fc.assert(
        fc.property(anySet, fc.infiniteStream(fc.nat()), (set, random) => {
          const shuffled = [...set].sort(() => ((random.next().value as number) % 2 === 0 ? -1 : 1));
          const ordered = compileTenant(makeSnapshot('acme', 1n, set), operator);
          expect(summary(compileTenant(makeSnapshot('acme', 1n, shuffled), operator))).toEqual(summary(ordered));
          expect(summary(compileTenant(unordered('acme', shuffled), operator))).toEqual(summary(ordered));
        }),
        { numRuns: 60 },
      );
    },
    slow,
  );

  it(
    'gives the same with and without an earlier table, and never changes that',
    () => {
      fc.assert(
        fc.property(soundSet, fc.oneof(soundSet, anySet), (before, after) => {
          const previous = tableOf(compileTenant(makeSnapshot('acme', 1n, before), operator));
          const earlier = summary({ table: previous, problems: [] });
          const snapshot = makeSnapshot('acme', 2n, after);
          const shared = compileTenant(snapshot, operator, previous);
          expect(summary(shared)).toEqual(summary(compileTenant(snapshot, operator)));
          expect(summary({ table: previous, problems: [] })).toEqual(earlier);
        }),
        { numRuns: 100 },
      );
    },
    slow,
  );

  it('shares what has not changed with the earlier table', () => {
    const snapshot = makeSnapshot('acme', 1n, [
      ...basics('acme'),
      route('acme/a', '/acme/a'),
      route('acme/b', '/acme/b'),
    ]);
    const before = tableOf(compileTenant(snapshot, operator));
    const changed = applyChanges(snapshot, 2n, [{ put: route('acme/b', '/acme/c') }]);
    const after = tableOf(compileTenant(changed, operator, before));
    const [a, b] = [before.routes.get('a'), after.routes.get('a')];
    expect(b).toBe(a);
    expect(after.routes.get('b')?.digest).not.toBe(before.routes.get('b')?.digest);
    const again = tableOf(compileTenant(changed, operatorTable('acme', 'beta'), after));
    expect(again.routes.get('a')).toBe(b);
  });

  it('shares what a route leads to when a policy above it changes', () => {
    const snapshot = makeSnapshot('acme', 1n, [...basics('acme'), route('acme/a', '/acme/a')]);
    const before = tableOf(compileTenant(snapshot, operator));
    const denying = policy('more', { tenant: {} }, ['DENY tool.name == "x"']);
    const after = tableOf(compileTenant(applyChanges(snapshot, 2n, [{ put: denying }]), operator, before));
    const [a, b] = [before.routes.get('a'), after.routes.get('a')];
    expect(b?.digest).not.toBe(a?.digest);
    expect(b?.kind === 'mcp' && b.mcp).toBe(a?.kind === 'mcp' && a.mcp);
    expect(b?.condition).toBe(a?.condition);
  });

  it('changes the digest of a route with anything that a request on it can notice', () => {
    const base = [...basics('acme'), route('acme/a', '/acme/a')];
    const variants = [
      [],
      [route('acme/a', '/acme/b')],
      [route('acme/a', '/acme/a', { hostnames: ['localhost'] })],
      [route('acme/a', '/acme/a', { headers: [{ name: 'x', exact: '1' }] })],
      [route('acme/a', '/acme/a', { gateway: 'second' })],
      [stored('Backend', 'acme/backend', { mcp: { url: 'http://127.0.0.1:3002/mcp' } })],
      [policy('open', { tenant: {} }, ['ALLOW true'])],
      [policy('more', { route: 'a' }, ['DENY tool.name == "x"'])],
      [policy('more', { backend: 'backend' }, [], { anonymous: { subject: 'guest' } })],
    ];
    const digests = variants.map((variant) => {
      const table = tableOf(compileTenant(makeSnapshot('acme', 1n, [...base, ...variant]), operator));
      return table.routes.get('a')?.digest;
    });
    expect(new Set(digests).size).toBe(variants.length);
  });

  it('keeps the digest of a route when something else changes', () => {
    const base = [...basics('acme'), route('acme/a', '/acme/a')];
    const others = [route('acme/b', '/acme/b'), policy('b', { route: 'b' }, ['DENY true'])];
    const digestIn = (set: readonly StoredResource[]): string | undefined =>
      tableOf(compileTenant(makeSnapshot('acme', 5n, set), operator)).routes.get('a')?.digest;
    expect(digestIn([...base, ...others])).toBe(digestIn(base));
  });

  it('pauses often while it compiles many routes', () => {
    const routes = Array.from({ length: 1000 }, (_, at) => route(`acme/r${at}`, `/acme/r${at}`));
    const snapshot = makeSnapshot('acme', 1n, [...basics('acme'), ...routes]);
    const steps = compileTenantSteps(snapshot, operator);
    let pauses = 0;
    while (steps.next().done !== true) pauses += 1;
    expect(pauses).toBeGreaterThan(40);
    expect(summary(drain(compileTenantSteps(snapshot, operator)))).toEqual(summary(compileTenant(snapshot, operator)));
  });

  it('refuses a set beyond the limits of a node', () => {
    const snapshot = makeSnapshot('acme', 1n, [
      ...basics('acme'),
      route('acme/a', '/acme/a'),
      policy('more', { route: 'a' }, ['DENY false', 'DENY false']),
    ]);
    const problemsWith = (limits: object): readonly string[] => {
      const { table, problems } = compileTenant(snapshot, operator, undefined, { ...defaultTableLimits, ...limits });
      return [String(table === undefined), ...problems.map(({ code, kind, message }) => `${code} ${kind} ${message}`)];
    };
    expect(problemsWith({})).toEqual(['false']);
    expect(problemsWith({ resources: 4 })).toEqual([
      'true',
      'limit-exceeded  the set has 5 resources; at most 4 are allowed',
    ]);
    expect(problemsWith({ routes: 0 })).toEqual([
      'true',
      'limit-exceeded  the set has 1 routes; at most 0 are allowed',
    ]);
    expect(problemsWith({ bytes: 10 })[1]).toMatch(/^limit-exceeded {2}the set has \d+ bytes; at most 10 are allowed$/);
    expect(problemsWith({ rulesPerRoute: 2 })).toEqual([
      'true',
      'limit-exceeded Route 3 authorization rules apply to it; at most 2 are allowed',
    ]);
  });

  it('refuses resources of another scope, damaged bytes and bytes of a newer version', () => {
    const backend = stored('Backend', 'acme/backend', { mcp: { url: 'http://127.0.0.1:3001/mcp' } });
    const codesOf = (resource: StoredResource): readonly string[] =>
      compileTenant(makeSnapshot('acme', 1n, [resource]), operator).problems.map(({ code }) => code);
    expect(codesOf(backend)).toEqual([]);
    expect(codesOf(stored('Tenant', 'acme', {}))).toEqual(['wrong-scope']);
    expect(codesOf({ ...backend, digest: 'other' })).toEqual(['invalid-value']);
    expect(codesOf({ ...backend, name: 'Not A Name' })).toEqual(['invalid-value']);
  });
});

/** What can be compared: functions of compiled expressions cannot. */
function summary({ table, problems }: Compiled<TenantTable>): unknown {
  if (table === undefined) return { problems };
  const { tenant, revision, hash, routes } = table;
  const entries = [...routes.values()].map((entry) => ({
    ...Object.fromEntries(Object.entries(entry)),
    authorization: {
      digest: entry.authorization.digest,
      rules: entry.authorization.rules.map(({ id, when }) => [id, when]),
    },
  }));
  return { tenant, revision, hash, entries, problems };
}

/** A snapshot that does not keep the order of its keys. */
function unordered(scope: string, resources: readonly StoredResource[]): Snapshot {
  const { hash } = makeSnapshot(scope, 1n, resources);
  const entries = resources.map((resource) => [`${resource.kind}/${resource.name}`, resource] as const);
  return { scope, revision: 1n, hash, resources: new Map(entries) };
}

function policy(name: string, target: object, rules: readonly string[], authentication?: object): StoredResource {
  const authorization = rules.map((rule) => ({
    effect: rule.slice(0, rule.indexOf(' ')),
    when: rule.slice(rule.indexOf(' ') + 1),
  }));
  const spec = { target, authorization, ...(authentication && { authentication }) };
  return stored('Policy', `acme/${name}`, JSON.parse(JSON.stringify(spec)));
}

const few = <T>(...items: T[]): fc.Arbitrary<T[]> => fc.subarray(items);
const targets = [
  { tenant: {} },
  { route: 'a' },
  { virtualServer: 'server' },
  { backend: 'backend' },
  { route: 'gone' },
];
const anyPolicy = fc
  .tuple(
    fc.constantFrom('p', 'q', 'r'),
    fc.constantFrom(...targets),
    few('ALLOW true', 'DENY tool.name == "x"'),
    fc.boolean(),
  )
  .map(([name, target, rules, anonymous]) => policy(name, target, rules, anonymous ? { anonymous: {} } : undefined));
const anyRoute = fc
  .tuple(
    fc.constantFrom('a', 'b', 'c', 'd'),
    fc.constantFrom('/acme/a', '/acme/b', '/acme/c', '/other'),
    fc.constantFrom<Record<string, JsonValue>>(
      {},
      { hostnames: ['localhost'] },
      { hostnames: ['a.example'] },
      { gateway: 'second' },
      { gateway: 'gone' },
    ),
  )
  .map(([name, path, more]) => route(`acme/${name}`, path, more));
/** Mostly sound sets of the same few names, so that two of them share and differ. */
const anySet = fc
  .tuple(
    fc.subarray(basics('acme'), { minLength: 2 }),
    fc.array(anyRoute, { maxLength: 3 }),
    fc.array(anyPolicy, { maxLength: 2 }),
  )
  .map(([base, routes, policies]) => {
    const byKey = new Map(
      [...base, ...routes, ...policies].map((resource) => [`${resource.kind}/${resource.name}`, resource]),
    );
    return [...byKey.values()];
  });
/** Sets that compile: the same few names with different contents. */
const soundSet = fc
  .record({
    url: fc.constantFrom('http://127.0.0.1:1/mcp', 'http://127.0.0.1:2/mcp'),
    routes: fc.array(fc.tuple(fc.constantFrom('b', 'c'), fc.constantFrom('1', '2')), { maxLength: 3 }),
    policies: fc.array(
      fc.tuple(
        fc.constantFrom('p', 'q'),
        fc.constantFrom(...targets.slice(0, 4)),
        few('ALLOW true', 'DENY tool.name == "x"'),
      ),
      { maxLength: 3 },
    ),
  })
  .map(({ url, routes, policies }) => {
    const resources = [
      ...basics('acme'),
      stored('Backend', 'acme/backend', { mcp: { url } }),
      route('acme/a', '/acme/a'),
      ...routes.map(([name, path]) => route(`acme/${name}`, `/acme/${name}/${path}`)),
      ...policies.map(([name, target, rules]) => policy(name, target, rules)),
    ];
    return [...makeSnapshot('acme', 1n, resources).resources.values()];
  });
