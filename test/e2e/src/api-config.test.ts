import { type Change, Change_Operation as Operation } from '@signalbox/proto/signalbox/admin/v1/config_service_pb.ts';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';

import { type ApiFixture, doc, refusalOf, route, startApi } from './api-fixture.ts';

let api: ApiFixture;
let count = 0;

beforeAll(async () => {
  api = await startApi(inject('pgUrl'), { SIGNALBOX_API_RESOURCES: '50', SIGNALBOX_API_PROBLEMS: '3' });
});
afterAll(() => api[Symbol.asyncDispose]());

async function newTenant(): Promise<string> {
  const scope = `t${(count += 1)}`;
  await api.tenants(scope);
  return scope;
}

const backend = (scope: string, name: string, path = name) =>
  doc('Backend', scope, name, { mcp: { url: `http://127.0.0.1:1/${path}` } });

const words = new Map(Object.entries(Operation).map(([word, operation]) => [operation as Change['operation'], word]));
const shown = ({ operation, name }: Change) => `${words.get(operation)} ${name}`;

describe('Apply', () => {
  it('creates, replaces and deletes in one revision, and says what changed', async () => {
    const scope = await newTenant();
    const first = await api.operator.config.apply({
      scope,
      resources: [backend(scope, 'a'), backend(scope, 'b')],
      message: 'two',
    });
    expect(first).toMatchObject({ revision: 1n, committed: true });
    const second = await api.operator.config.apply({
      scope,
      resources: [backend(scope, 'a', 'elsewhere'), backend(scope, 'c')],
      delete: [{ kind: 'Backend', name: 'b' }],
    });
    expect(second.changes.map(shown)).toEqual(['UPDATE a', 'DELETE b', 'CREATE c']);
    expect(second.changes[0]).toMatchObject({
      before: { mcp: { url: 'http://127.0.0.1:1/a' } },
      after: { mcp: { url: 'http://127.0.0.1:1/elsewhere' } },
    });
    const list = await api.operator.config.list({ scope });
    expect(list.revision).toBe(2n);
    expect(list.resources.map(({ document, revision }) => `${document?.name}@${revision}`)).toEqual(['a@2', 'c@2']);
  });

  it('of what is there already commits nothing', async () => {
    const scope = await newTenant();
    await api.operator.config.apply({ scope, resources: [backend(scope, 'a')] });
    const again = await api.operator.config.apply({ scope, resources: [backend(scope, 'a')] });
    expect(again).toMatchObject({ revision: 1n, committed: false, changes: [] });
  });

  it('with prune deletes what the request does not name', async () => {
    const scope = await newTenant();
    await api.operator.config.apply({ scope, resources: [backend(scope, 'a'), backend(scope, 'b')] });
    const pruned = await api.operator.config.apply({ scope, resources: [backend(scope, 'b')], prune: true });
    expect(pruned.changes.map(shown)).toEqual(['DELETE a']);
  });

  it('as a dry run says the same and commits nothing', async () => {
    const scope = await newTenant();
    const dry = await api.operator.config.apply({ scope, resources: [backend(scope, 'a')], dryRun: true });
    expect(dry).toMatchObject({
      revision: 0n,
      committed: false,
      changes: [{ operation: Operation.CREATE, name: 'a' }],
    });
    expect((await api.operator.config.list({ scope })).resources).toEqual([]);
    const bad = [doc('VirtualServer', scope, 'v', { members: [{ backend: 'nobody' }] })];
    const refused = await refusalOf(api.operator.config.apply({ scope, resources: bad, dryRun: true }));
    expect(refused.problems).toMatchObject([{ code: 'dangling-reference' }]);
  });

  it('is refused when the revision is not the one it builds on, by field or by header', async () => {
    const scope = await newTenant();
    await api.operator.config.apply({ scope, resources: [backend(scope, 'a')] });
    const stale = { scope, resources: [backend(scope, 'b')] };
    expect(await refusalOf(api.operator.config.apply({ ...stale, ifMatch: 0n }))).toMatchObject({
      code: 'FailedPrecondition',
    });
    const byHeader = api.operator.config.apply(stale, { headers: { 'if-match': '"0"' } });
    expect(await refusalOf(byHeader)).toMatchObject({ code: 'FailedPrecondition' });
    const dryRun = api.operator.config.apply({ ...stale, ifMatch: 0n, dryRun: true });
    expect(await refusalOf(dryRun)).toMatchObject({ code: 'FailedPrecondition' });
    const nonsense = api.operator.config.apply(stale, { headers: { 'if-match': '*' } });
    expect(await refusalOf(nonsense)).toMatchObject({ code: 'InvalidArgument' });
    expect(await api.operator.config.apply(stale, { headers: { 'if-match': '"1"' } })).toMatchObject({ revision: 2n });
  });

  it('with the same request id has one effect', async () => {
    const scope = await newTenant();
    const request = {
      scope,
      resources: [backend(scope, 'a')],
      requestId: '7d1a2f6e-52b5-4c1f-9a51-3a1de2f1b001',
      ifMatch: 0n,
    };
    const first = await api.operator.config.apply(request);
    await api.operator.config.apply({ scope, delete: [{ kind: 'Backend', name: 'a' }] });
    expect(await api.operator.config.apply(request)).toEqual(first);
    expect((await api.operator.config.list({ scope })).resources).toEqual([]);
    const other = api.operator.config.apply({ ...request, resources: [backend(scope, 'other')] });
    expect(await refusalOf(other)).toMatchObject({ code: 'InvalidArgument' });
  });

  it('tells every problem with resource, field and reason, and writes nothing', async () => {
    const scope = await newTenant();
    const resources = [
      doc('Backend', scope, 'typo', { mcp: { ur: 'x' } }),
      doc('Bakend', scope, 'kind', {}),
      backend(scope, 'good'),
      backend(scope, 'good'),
    ];
    const refused = await refusalOf(api.operator.config.apply({ scope, resources }));
    expect(refused.code).toBe('InvalidArgument');
    expect(refused.problems.map(({ kind, tenant, name, code, field }) => [kind, tenant, name, code, field])).toEqual(
      expect.arrayContaining([
        ['Backend', scope, 'typo', 'unknown-field', 'spec.mcp.ur'],
        ['Bakend', scope, 'kind', 'unknown-kind', 'kind'],
      ]),
    );
    expect(refused.problems.map(({ code }) => code)).toContain('duplicate');
    expect(await api.operator.config.list({ scope })).toMatchObject({ revision: 0n, resources: [] });
  });

  it('names no more problems than the limit', async () => {
    const scope = await newTenant();
    const resources = Array.from({ length: 10 }, (_, i) => doc('Backend', scope, `b${i}`, { nonsense: true }));
    const refused = await refusalOf(api.operator.config.apply({ scope, resources }));
    expect(refused.problems).toHaveLength(3);
    expect(refused.message).toContain('and 9 more');
  });

  it('refuses resources of another scope, kinds of the wrong scope, and what is set and deleted at once', async () => {
    const scope = await newTenant();
    const apply = async (request: Parameters<typeof api.operator.config.apply>[0]) =>
      (await refusalOf(api.operator.config.apply(request))).problems.map(({ code }) => code);
    expect(await apply({ scope, resources: [backend('another', 'a')] })).toEqual(['wrong-scope']);
    expect(await apply({ scope, delete: [{ kind: 'Gateway', name: 'default' }] })).toEqual(['wrong-scope']);
    expect(await apply({ scope, delete: [{ kind: 'Gatway', name: 'default' }] })).toEqual(['unknown-kind']);
    const both = { resources: [backend(scope, 'a')], delete: [{ kind: 'Backend', name: 'a' }] };
    expect(await apply({ scope, ...both })).toEqual(['duplicate']);
    expect(await apply({ scope: 'operator', resources: [backend(scope, 'a')] })).toEqual(['wrong-scope']);
  });

  it('refuses an API key in clear and says how to store it', async () => {
    const scope = await newTenant();
    const [b, v, r] = route(scope, 'r');
    const policy = doc('Policy', scope, 'p', {
      target: { route: 'r' },
      authentication: { apiKeys: [{ subject: 'me', key: 'in-clear-0123456789abcdef' }] },
    });
    const resources = [b, v, r, policy].filter((one) => one !== undefined);
    const refused = await refusalOf(api.operator.config.apply({ scope, resources }));
    expect(refused.problems).toMatchObject([{ name: 'p', field: 'spec.authentication.apiKeys[0].key' }]);
    expect(refused.problems[0]?.message).toContain('sha256');
    expect(JSON.stringify(refused)).not.toContain('in-clear');
  });

  it('refuses dangling references and bad expressions as a node would', async () => {
    const scope = await newTenant();
    const dangling = await refusalOf(api.operator.config.apply({ scope, resources: route(scope, 'r').slice(1) }));
    expect(dangling.problems[0]).toMatchObject({ code: 'dangling-reference', kind: 'VirtualServer' });
    const bad = await refusalOf(api.operator.config.apply({ scope, resources: route(scope, 'r', 'tool.name ==') }));
    expect(bad.problems[0]).toMatchObject({ code: 'bad-expression', field: 'spec.authorization[0].when' });
  });

  it('refuses more resources than the limit, long messages and request ids that are none', async () => {
    const scope = await newTenant();
    const resources = Array.from({ length: 51 }, (_, i) => backend(scope, `b${i}`));
    expect(await refusalOf(api.operator.config.apply({ scope, resources }))).toMatchObject({ code: 'InvalidArgument' });
    await api.operator.config.apply({ scope, resources: resources.slice(0, 50) });
    const message = 'x'.repeat(1_001);
    expect(await refusalOf(api.operator.config.apply({ scope, message }))).toMatchObject({ code: 'InvalidArgument' });
    const requestId = 'not-a-uuid';
    expect(await refusalOf(api.operator.config.apply({ scope, requestId }))).toMatchObject({ code: 'InvalidArgument' });
  });
});

describe('the operator', () => {
  it('cannot remove a gateway that a tenant uses', async () => {
    const scope = await newTenant();
    const listeners = [{ name: 'main', port: 9_000 }];
    await api.operator.config.apply({ scope: 'operator', resources: [doc('Gateway', '', 'extra', { listeners })] });
    const resources = route(scope, 'r').map((one) =>
      one.kind === 'Route' ? { ...one, spec: { ...one.spec, gateway: 'extra' } } : one,
    );
    await api.operator.config.apply({ scope, resources });
    const remove = { scope: 'operator', delete: [{ kind: 'Gateway', name: 'extra' }] };
    const refused = await refusalOf(api.operator.config.apply(remove));
    expect(refused.problems).toMatchObject([{ kind: 'Route', tenant: scope, name: 'r', code: 'dangling-reference' }]);
    await api.operator.config.apply({ scope, prune: true });
    expect(await api.operator.config.apply(remove)).toMatchObject({ committed: true });
  });

  it("cannot take a path prefix from under a tenant's routes", async () => {
    const scope = await newTenant();
    await api.operator.config.apply({ scope, resources: route(scope, 'r') });
    const moved = doc('Tenant', '', scope, { pathPrefixes: [`/moved-${scope}`] });
    const refused = await refusalOf(api.operator.config.apply({ scope: 'operator', resources: [moved] }));
    expect(refused.problems).toMatchObject([{ kind: 'Route', tenant: scope, name: 'r' }]);
  });

  it('cannot give two tenants overlapping prefixes', async () => {
    const scope = await newTenant();
    const thief = doc('Tenant', '', 'thief', { pathPrefixes: [`/${scope}/inner`] });
    const refused = await refusalOf(api.operator.config.apply({ scope: 'operator', resources: [thief] }));
    expect(refused.problems).toMatchObject([{ code: 'conflict' }]);
  });
});

describe('reading', () => {
  it('gets one resource with revision and digest, or says that it does not exist', async () => {
    const scope = await newTenant();
    await api.operator.config.apply({ scope, resources: [backend(scope, 'a')] });
    const { resource } = await api.operator.config.get({ scope, kind: 'Backend', name: 'a' });
    expect(resource).toMatchObject({ document: backend(scope, 'a'), revision: 1n });
    expect(resource?.digest).toMatch(/^[0-9a-f]{32}$/);
    expect(await refusalOf(api.operator.config.get({ scope, kind: 'Backend', name: 'b' }))).toMatchObject({
      code: 'NotFound',
    });
    expect(await refusalOf(api.operator.config.get({ scope, kind: 'Nonsense', name: 'b' }))).toMatchObject({
      code: 'InvalidArgument',
    });
  });

  it('lists one kind', async () => {
    const scope = await newTenant();
    await api.operator.config.apply({ scope, resources: route(scope, 'r') });
    const list = await api.operator.config.list({ scope, kind: 'Policy' });
    expect(list.resources.map(({ document }) => document?.kind)).toEqual(['Policy']);
  });

  it('compares without writing, and tells problems as an answer', async () => {
    const scope = await newTenant();
    const good = await api.operator.config.diff({ scope, resources: [backend(scope, 'a')] });
    expect(good).toMatchObject({ revision: 0n, problems: [], changes: [{ operation: Operation.CREATE, name: 'a' }] });
    const bad = await api.operator.config.diff({ scope, resources: route(scope, 'r').slice(1) });
    expect(bad.problems[0]).toMatchObject({ code: 'dangling-reference' });
    expect((await api.operator.config.list({ scope })).revision).toBe(0n);
  });
});

describe('revisions', () => {
  it('are listed with author, message and time, and shown with their changes', async () => {
    const scope = await newTenant();
    await api.operator.config.apply({ scope, resources: [backend(scope, 'a')], message: 'first' });
    await api.operator.config.apply({ scope, resources: [backend(scope, 'a', 'new')], message: 'second' });
    const { revisions } = await api.operator.config.listRevisions({ scope });
    expect(revisions).toMatchObject([
      { revision: 2n, parent: 1n, cause: 'apply', author: 'operator', message: 'second', changeCount: 1 },
      { revision: 1n, parent: 0n, message: 'first' },
    ]);
    const shown = await api.operator.config.getRevision({ scope, revision: 2n });
    expect(shown.changes).toMatchObject([
      { before: { mcp: { url: 'http://127.0.0.1:1/a' } }, after: { mcp: { url: 'http://127.0.0.1:1/new' } } },
    ]);
    expect(await refusalOf(api.operator.config.getRevision({ scope, revision: 9n }))).toMatchObject({
      code: 'NotFound',
    });
    expect(await refusalOf(api.operator.config.listRevisions({ scope, limit: 1_001 }))).toMatchObject({
      code: 'InvalidArgument',
    });
  });

  it('come back by rollback as a new revision', async () => {
    const scope = await newTenant();
    await api.operator.config.apply({ scope, resources: [backend(scope, 'a')] });
    await api.operator.config.apply({ scope, resources: [backend(scope, 'a', 'new'), backend(scope, 'b')] });
    const back = await api.operator.config.rollback({ scope, toRevision: 1n });
    expect(back).toMatchObject({ revision: 3n, committed: true });
    const list = await api.operator.config.list({ scope });
    expect(list.resources.map(({ document }) => document)).toMatchObject([backend(scope, 'a')]);
    const [newest] = (await api.operator.config.listRevisions({ scope })).revisions;
    expect(newest).toMatchObject({ cause: 'rollback', message: 'back to revision 1' });
    expect(await refusalOf(api.operator.config.rollback({ scope, toRevision: 9n }))).toMatchObject({
      code: 'NotFound',
    });
  });

  it('do not come back when they would be refused today', async () => {
    const scope = await newTenant();
    const listeners = [{ name: 'main', port: 9_001 }];
    await api.operator.config.apply({ scope: 'operator', resources: [doc('Gateway', '', 'brief', { listeners })] });
    const resources = route(scope, 'r').map((one) =>
      one.kind === 'Route' ? { ...one, spec: { ...one.spec, gateway: 'brief' } } : one,
    );
    await api.operator.config.apply({ scope, resources });
    await api.operator.config.apply({ scope, prune: true });
    await api.operator.config.apply({ scope: 'operator', delete: [{ kind: 'Gateway', name: 'brief' }] });
    const refused = await refusalOf(api.operator.config.rollback({ scope, toRevision: 1n }));
    expect(refused.problems).toMatchObject([{ code: 'dangling-reference', name: 'r' }]);
  });
});

describe('Explain', () => {
  it('names the rule that decides a call, and the ones that did not', async () => {
    const scope = await newTenant();
    const resources = [
      ...route(scope, 'r').slice(0, 3),
      doc('Policy', scope, 'p', {
        target: { route: 'r' },
        authentication: { anonymous: {} },
        authorization: [
          { name: 'no-prod', effect: 'DENY', when: 'args.project == "PROD"' },
          { name: 'echo', effect: 'ALLOW', when: 'tool.name == "echo" && principal.subject == "ann"' },
        ],
      }),
    ];
    await api.operator.config.apply({ scope, resources });
    const principal = { subject: 'ann' };
    const explain = (more: object) =>
      api.operator.config.explain({ scope, route: 'r', target: 'echo', principal, ...more });
    expect(await explain({ arguments: { project: 'TEST' } })).toMatchObject({
      allowed: true,
      rule: 'policy/p/echo',
      revision: 1n,
    });
    expect(await explain({ arguments: { project: 'PROD' } })).toMatchObject({
      allowed: false,
      rule: 'policy/p/no-prod',
    });
    expect(await explain({ principal: { subject: 'bob' }, arguments: { project: 'x' } })).toMatchObject({
      allowed: false,
      rule: '',
    });
    expect(await refusalOf(explain({ route: 'nowhere' }))).toMatchObject({ code: 'NotFound' });
    expect(await refusalOf(explain({ method: 'ping' }))).toMatchObject({ code: 'InvalidArgument' });
  });
});

describe('WatchPropagation', () => {
  it('of a scope without nodes is done at once', async () => {
    const scope = await newTenant();
    const { revision } = await api.operator.config.apply({ scope, resources: [backend(scope, 'a')] });
    const messages = [];
    for await (const { propagation } of api.operator.config.watchPropagation({ scope, revision }))
      messages.push(propagation);
    expect(messages.at(-1)).toMatchObject({ scope, revision, done: true, nodes: [] });
  });

  it('of a revision that does not exist says so', async () => {
    const scope = await newTenant();
    const watch = async () => {
      for await (const _message of api.operator.config.watchPropagation({ scope, revision: 7n }));
    };
    expect(await refusalOf(watch())).toMatchObject({ code: 'NotFound' });
  });
});
