import {
  defaultTableLimits,
  digestOf,
  encodeResource,
  makeSnapshot,
  type Change,
  type Snapshot,
} from '@signalbox/config';
import { create } from '@bufbuild/protobuf';
import { AuthorizationRule_Effect } from '@signalbox/proto/signalbox/config/v1/authorization_pb.ts';
import { BackendSchema } from '@signalbox/proto/signalbox/config/v1/backend_pb.ts';
import { DataPlane, GatewaySchema } from '@signalbox/proto/signalbox/config/v1/gateway_pb.ts';
import { PolicySchema } from '@signalbox/proto/signalbox/config/v1/policy_pb.ts';
import { RouteSchema, Unenforceable } from '@signalbox/proto/signalbox/config/v1/route_pb.ts';
import { TenantSchema } from '@signalbox/proto/signalbox/config/v1/tenant_pb.ts';
import { VirtualServerSchema } from '@signalbox/proto/signalbox/config/v1/virtual_server_pb.ts';
import { ManualClock } from '@signalbox/runtime/testing';
import { describe, expect, it } from 'vitest';

import type { WriteInputs } from '../store/store.ts';
import { concernedTenants, WritePlanner } from './plan-write.ts';

const body = Buffer.from('x');
const stored = (kind: Change['kind'], name: string) => ({ kind, name, body, digest: digestOf(body) });
const created = (kind: Change['kind'], name: string): Change => ({
  op: 'create',
  kind,
  name,
  after: stored(kind, name),
});
const updated = (kind: Change['kind'], name: string): Change => ({
  ...{ op: 'update', kind, name, before: stored(kind, name), after: stored(kind, name) },
});
const deleted = (kind: Change['kind'], name: string): Change => ({
  op: 'delete',
  kind,
  name,
  before: stored(kind, name),
});

describe('tenants that a change of the operator concerns', () => {
  it('are none when something is new', () => {
    expect(concernedTenants([created('Gateway', 'g'), created('Tenant', 't')])).toBe('none');
  });

  it('are all when a gateway changes or goes', () => {
    expect(concernedTenants([updated('Gateway', 'g')])).toBe('all');
    expect(concernedTenants([updated('Tenant', 't'), deleted('Gateway', 'g')])).toBe('all');
  });

  it('is the one whose Tenant changes', () => {
    expect(concernedTenants([updated('Tenant', 't'), created('Gateway', 'g')])).toEqual(new Set(['t']));
  });
});

const backend = (name: string, path = name) =>
  encodeResource(
    'Backend',
    name,
    create(BackendSchema, { kind: { case: 'mcp', value: { url: `http://127.0.0.1/${path}` } } }),
  );
const tenantResource = encodeResource('Tenant', 'acme', create(TenantSchema, {}));
const operator = makeSnapshot('operator', 3n, [tenantResource]);

function inputs(current: Snapshot, earlier: ReadonlyMap<bigint, Snapshot> = new Map()): WriteInputs {
  return {
    ...{ current, operator },
    at: (revision) => Promise.resolve(earlier.get(revision)),
    async *tenants() {},
  };
}

const planner = new WritePlanner({
  clock: new ManualClock(),
  limits: defaultTableLimits,
  removals: { minimum: 3, percent: 50 },
  tables: 1,
  resourceBytes: 4_000,
});
const names = (snapshot: Snapshot) => [...snapshot.resources.keys()].sort();
const nothing = { put: [], delete: [], prune: false, confirmRemoval: false, warnings: [] };

describe('a plan', () => {
  const current = makeSnapshot('acme', 7n, [backend('a'), backend('b')]);

  it('adds, replaces and deletes, as the next revision', async () => {
    const wanted = {
      ...nothing,
      put: [backend('a', 'new'), backend('c')],
      delete: [{ kind: 'Backend', name: 'b' } as const],
    };
    const plan = await planner.apply(inputs(current), wanted);
    expect(plan).toMatchObject({ outcome: 'write', candidate: { revision: 8n } });
    expect('candidate' in plan && names(plan.candidate)).toEqual(['Backend/a', 'Backend/c']);
  });

  it('that prunes keeps only what is wanted', async () => {
    const plan = await planner.apply(inputs(current), { ...nothing, put: [backend('b')], prune: true });
    expect('candidate' in plan && names(plan.candidate)).toEqual(['Backend/b']);
  });

  it('refuses a resource that no discovery response can carry, unless it is there already', async () => {
    const large = backend('large', 'x'.repeat(4_000));
    const plan = await planner.apply(inputs(current), { ...nothing, put: [large] });
    const problem = { severity: 'error', code: 'limit-exceeded', kind: 'Backend', scope: 'acme', name: 'large' };
    expect(plan).toMatchObject({ outcome: 'refuse', problems: [problem] });
    const holding = makeSnapshot('acme', 7n, [large]);
    expect(await planner.rollback(inputs(current, new Map([[2n, holding]])), 2n, false)).toMatchObject({
      outcome: 'refuse',
    });
    expect(await planner.apply(inputs(holding), { ...nothing, put: [large, backend('b')] })).not.toMatchObject({
      problems: [problem],
    });
  });

  it('back to a revision has its content, or says that there is none', async () => {
    const earlier = new Map([[2n, makeSnapshot('acme', 2n, [backend('old')])]]);
    const plan = await planner.rollback(inputs(current, earlier), 2n, false);
    expect(plan).toMatchObject({ outcome: 'write', candidate: { revision: 8n } });
    expect('candidate' in plan && names(plan.candidate)).toEqual(['Backend/old']);
    expect(await planner.rollback(inputs(current, earlier), 1n, false)).toEqual({ outcome: 'no-such-revision' });
  });

  it('that removes more than half is refused unless that is confirmed', async () => {
    const large = makeSnapshot(
      'acme',
      7n,
      ['a', 'b', 'c', 'd', 'e'].map((name) => backend(name)),
    );
    const wanted = { ...nothing, put: [backend('a'), backend('b')], prune: true };
    const plan = await planner.apply(inputs(large), wanted);
    expect(plan).toMatchObject({ outcome: 'refuse', problems: [{ code: 'unconfirmed-removal' }] });
    expect(await planner.apply(inputs(large), { ...wanted, confirmRemoval: true })).toMatchObject({ outcome: 'write' });
    const earlier = new Map([[1n, makeSnapshot('acme', 1n, [backend('a')])]]);
    expect(await planner.rollback(inputs(large, earlier), 1n, false)).toMatchObject({ outcome: 'refuse' });
    expect(await planner.rollback(inputs(large, earlier), 1n, true)).toMatchObject({ outcome: 'write' });
  });
});

describe('a plan for a gateway that an Envoy serves', () => {
  const gateway = (...dataPlanes: DataPlane[]) =>
    encodeResource('Gateway', 'edge', create(GatewaySchema, { listeners: [{ name: 'http', port: 80 }], dataPlanes }));
  const rule = (when: string) => ({ effect: AuthorizationRule_Effect.ALLOW, when });
  const tenantWith = (when: string, unenforceable: Unenforceable = Unenforceable.REFUSE) => [
    backend('b'),
    encodeResource('VirtualServer', 'v', create(VirtualServerSchema, { members: [{ backend: 'b' }] })),
    encodeResource(
      'Route',
      'r',
      create(RouteSchema, {
        ...{ gateway: 'edge', match: { path: '/acme/r' }, unenforceable },
        destination: { case: 'mcp', value: { virtualServer: 'v' } },
      }),
    ),
    encodeResource(
      'Policy',
      'p',
      create(PolicySchema, {
        target: { kind: { case: 'tenant', value: {} } },
        authentication: { anonymous: {} },
        authorization: [rule(when)],
      }),
    ),
  ];
  const ownRule = 'args.user == principal.subject';
  const withEnvoy = makeSnapshot('operator', 3n, [tenantResource, gateway(DataPlane.NATIVE, DataPlane.ENVOY)]);
  const apply = (when: string, unenforceable?: Unenforceable) =>
    planner.apply(
      { ...inputs(makeSnapshot('acme', 1n, [])), operator: withEnvoy },
      { ...nothing, put: tenantWith(when, unenforceable) },
    );

  it('refuses what it cannot enforce, with the route and the rule', async () => {
    const problem = { severity: 'error', code: 'unenforceable', kind: 'Route', name: 'r' };
    expect(await apply(ownRule)).toMatchObject({ outcome: 'refuse', problems: [problem] });
    expect(await apply('tool.name == "read"')).toMatchObject({ outcome: 'write', warnings: [] });
  });

  it('warns instead if the route says so', async () => {
    const warning = { severity: 'warning', code: 'unenforceable', message: expect.stringContaining('policy/p/0') };
    expect(await apply(ownRule, Unenforceable.RESTRICT)).toMatchObject({ outcome: 'write', warnings: [warning] });
  });

  it('refuses to add an Envoy to a gateway whose routes ask for more', async () => {
    const before = makeSnapshot('operator', 3n, [tenantResource, gateway()]);
    const given = { ...inputs(before), operator: before };
    const tenants = async function* () {
      yield makeSnapshot('acme', 5n, tenantWith(ownRule));
    };
    const plan = await planner.apply({ ...given, tenants }, { ...nothing, put: [gateway(DataPlane.ENVOY)] });
    expect(plan).toMatchObject({ outcome: 'refuse' });
    const harmless = await planner.apply(given, { ...nothing, put: [gateway(DataPlane.ENVOY)] });
    expect(harmless).toMatchObject({ outcome: 'write', warnings: [{ kind: 'Gateway', code: 'unenforceable' }] });
  });
});
