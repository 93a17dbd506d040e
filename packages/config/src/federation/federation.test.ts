import type { JsonValue } from '@bufbuild/protobuf';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compileTenant } from '../compile/tenant.ts';
import { compileAuthorization, makeAuthorizationTable, quarantineRule } from '../policy/compile-rules.ts';
import { decideForMember, explainForMember } from '../policy/decide.ts';
import { makeSnapshot } from '../snapshot.ts';
import { basics, operatorTable, route, stored, tableOf } from '../testing/resources.ts';
import type { FederatedMember, Federation } from './federation.ts';
import { compileGlobs } from './glob.ts';
import { presentedName, resolveName } from './names.ts';
import { unwrapUri, wrapUri } from './uris.ts';

/** Milliseconds for a property with many runs on a loaded machine. */
const slow = 30_000;

describe('a pattern', () => {
  it('matches what a regular expression with .* for each star matches', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 8 });
    const pattern = fc.string({ unit: fc.constantFrom('a', 'b', '*'), maxLength: 6 });
    fc.assert(
      fc.property(pattern, text, (glob, candidate) => {
        const expected = new RegExp(`^${glob.replaceAll('*', '.*')}$`).test(candidate);
        expect(compileGlobs([glob])(candidate)).toBe(expected);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('a presented name', () => {
  const names = fc.string({ unit: fc.constantFrom('a', 'b', '_', 'x'), minLength: 1, maxLength: 12 });

  it('leads back to the member and the name that it stands for', () => {
    const federation = federationOf([
      { backend: 'backend', prefix: 'a' },
      { backend: 'second', tools: { rename: { ab: 'x', b: 'ab' }, exclude: ['*xx*'] } },
    ]);
    fc.assert(
      fc.property(names, anyOf(federation), (name, member) => {
        const shown = presentedName(federation, member, 'tools', name);
        const found = shown === undefined ? [{ member, name }] : resolveName(federation, 'tools', shown);
        expect(found).toEqual([{ member, name }]);
      }),
      { numRuns: 2_000 },
    );
  });

  it('shows a renamed tool in place of another of its new name', () => {
    const federation = federationOf([{ backend: 'backend', tools: { rename: { search_issues: 'find' } } }]);
    const [member] = federation.members;
    const shown = (name: string) => member && presentedName(federation, member, 'tools', name);
    expect([shown('search_issues'), shown('find'), shown('other')]).toEqual(['find', undefined, 'other']);
    expect(resolveName(federation, 'tools', 'search_issues')).toEqual([]);
  });
});

describe('a wrapped URI', () => {
  it('is as it is for an only member without prefix, unless it looks like one of another member', () => {
    const federation = federationOf([{ backend: 'backend' }, { backend: 'second', prefix: 'b' }]);
    const [first, second] = federation.members as [FederatedMember, FederatedMember];
    expect([wrapUri(first, 'test://x'), wrapUri(second, 'test://x')]).toEqual(['test://x', 'b+test://x']);
    const leadsTo = (uri: string) => unwrapUri(federation, uri)?.member.key;
    expect(['test://x', 'b+test://x', 'ui://x', 'ui://b/x', 'backend+x'].map(leadsTo)).toEqual([
      ...['backend', 'b', 'backend', 'b', 'backend'],
    ]);
  });

  it(
    'leads back to its member, whatever it is',
    () => {
      const federation = federationOf([
        { backend: 'backend', prefix: 'a' },
        { backend: 'second', prefix: 'b' },
      ]);
      const uri = fc.oneof(fc.string(), fc.constantFrom('ui://a/b', 'skill://x', 'a+b://c', 'file:///{p}'));
      fc.assert(
        fc.property(uri, anyOf(federation), (own, member) => {
          expect(unwrapUri(federation, wrapUri(member, own))).toEqual({ member, uri: own });
        }),
      );
    },
    slow,
  );
});

describe('a URI that is not how a resource is presented', () => {
  it.each(['a+ui://panel', 'b+skill://x', 'ui://c/panel', 'test://x', 'c+test://x', 'ui://a', ''])(
    'leads nowhere: %s',
    (uri) => {
      const federation = federationOf([
        { backend: 'backend', prefix: 'a' },
        { backend: 'second', prefix: 'b' },
      ]);
      expect(unwrapUri(federation, uri)).toBeUndefined();
    },
  );
});

describe('a decision about a member', () => {
  it('is made by the rules of the route with presented names, then by those of its backend with its own', () => {
    const route = compileAuthorization([{ effect: 'allow', when: 'tool.name == "a__echo"' }]);
    const backend = compileAuthorization([
      { effect: 'deny', when: 'tool.name == "echo"' },
      { effect: 'allow', when: 'tool.name == "other"' },
    ]);
    const decide = (name: string) =>
      decideForMember(
        route,
        backend,
        { ...input, subject: { kind: 'tool', name: `a__${name}` } },
        { kind: 'tool', name },
      );
    expect([decide('echo').allowed, decide('other').allowed, decide('third').allowed]).toEqual([true, true, false]);
  });

  it('is no, by its quarantine, whatever rules allow; explained as such', () => {
    const route = compileAuthorization([{ effect: 'allow', when: 'true' }]);
    const rule = quarantineRule('held');
    const backend = makeAuthorizationTable([], rule);
    const about = { kind: 'tool', name: 'echo' } as const;
    const asked = { ...input, subject: about };
    expect(decideForMember(route, backend, asked, about)).toBe(rule.decision);
    expect(explainForMember(route, backend, asked, about)).toMatchObject({
      decision: { allowed: false, rule: 'policy/held/quarantine' },
      steps: [{ outcome: 'match' }, { outcome: 'not reached' }],
    });
  });
});

const input = {
  principal: { id: 'p', kind: 'anonymous' as const, subject: 'p', issuer: '', groups: [], claims: new Map() },
  ...{ tenant: 'acme', backend: 'backend', session: '', nowMs: 0, request: { host: 'localhost', path: '/' } },
  mcp: { method: 'tools/call', era: 'legacy', version: '2025-11-25' } as const,
};

function anyOf({ members }: Federation): fc.Arbitrary<FederatedMember> {
  return fc.constantFrom(...members);
}

function federationOf(members: JsonValue): Federation {
  const snapshot = makeSnapshot('acme', 1n, [
    ...basics('acme').filter(({ kind }) => kind !== 'VirtualServer'),
    stored('Backend', 'acme/second', { mcp: { url: 'http://127.0.0.1:3002/mcp' } }),
    stored('VirtualServer', 'acme/server', { members, conflicts: 'PRIORITY' }),
    route('acme/route', '/acme/route'),
  ]);
  const entry = tableOf(compileTenant(snapshot, operatorTable('acme'))).routes.get('route');
  const federation = entry?.kind === 'mcp' ? entry.mcp.federation : null;
  if (!federation) throw new Error('the route is not federated');
  return federation;
}
