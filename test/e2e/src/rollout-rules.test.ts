import {
  Rollout_Phase as Phase,
  Rollout_State as State,
} from '@signalbox/proto/signalbox/admin/v1/rollout_service_pb.ts';
import { Role } from '@signalbox/proto/signalbox/admin/v1/token_service_pb.ts';
import {
  adminClient,
  gateway,
  type LegacyMcpServer,
  mcpRoute,
  policy,
  type ResourceFile,
  startLegacyMcpServer,
  startSystem,
  type System,
  tenant,
  until,
} from '@signalbox/test-harness';
import { afterEach, beforeEach, describe, expect, inject, it } from 'vitest';
import { refusalOf } from './api-fixture.ts';

const keys = { alice: 'alice-key' };
const byHand = { percent: 10, promotion: 'MANUAL' };

describe('the rules of rollouts', () => {
  let upstream: LegacyMcpServer;
  let system: System;

  beforeEach(async () => {
    upstream = await startLegacyMcpServer();
    system = await startSystem({
      pgUrl: inject('pgUrl'),
      nodes: 2,
      controlPlane: { SIGNALBOX_ROLLOUT_INTERVAL: '20', SIGNALBOX_NODES_RETURN: '1500' },
    });
  });

  afterEach(async () => {
    await system.stop();
    await upstream.stop();
  });

  const route = (name: string, rules = ['true']) => mcpRoute({ name, url: upstream.url, keys, rules });
  const own = (...stages: readonly object[]): ResourceFile => ({
    ...policy({ name: 'stages' }),
    spec: { target: { tenant: {} }, rollout: { stages } },
  });
  const required = (...stages: readonly object[]): ResourceFile => ({ ...tenant(), spec: { rollout: { stages } } });
  const commit = async (...resources: readonly ResourceFile[]) =>
    (await system.apply(resources, { wait: false })).get('acme') ?? 0n;
  const rules = (rule: string) => policy({ name: 'one', keys, rules: [rule] });
  const get = (revision = 0n) => system.admin.rollouts.getRollout({ scope: 'acme', revision });
  const waiting = (revision: bigint) =>
    until(`revision ${revision} to wait for its promotion`, async () => {
      const state = await get(revision);
      return state.progress?.phase === Phase.AWAITING_PROMOTION ? state : undefined;
    });
  /** Revision that each node runs, by its name. */
  const applied = async () =>
    Object.fromEntries(
      (await system.nodes()).map(({ id, scopes }) => [
        id,
        scopes.find(({ scope }) => scope === 'acme')?.appliedRevision,
      ]),
    );

  it('a further revision takes the place of the one that is rolled out, for the nodes that have it and no others', async () => {
    await system.apply([gateway(), tenant(), ...route('one')]);
    await system.apply([own(byHand, { percent: 100 })]);
    const base = await system.revision('acme');
    const first = await commit(rules('tool.name == "echo"'));
    const { progress } = await waiting(first);
    const [member = ''] = progress?.memberNodes ?? [];
    const shown = (await system.nodes()).map(({ id, scopes }) => {
      const { desiredRevision, appliedRevision } = scopes.find(({ scope }) => scope === 'acme') ?? {};
      return [id === member, desiredRevision, appliedRevision];
    });
    expect(shown).toContainEqual([true, first, first]);
    expect(shown).toContainEqual([false, base, base]);
    const second = await commit(rules('tool.name == "add"'));
    expect((await waiting(second)).rollout).toMatchObject({ baseRevision: base, stage: 1, state: State.RUNNING });
    expect((await get(first)).rollout).toMatchObject({ state: State.SUPERSEDED, reason: `by revision ${second}` });
    const seen = await applied();
    expect(seen[member]).toBe(second);
    expect(Object.entries(seen).find(([id]) => id !== member)?.[1]).toBe(base);
    await system.admin.rollouts.promoteRollout({ scope: 'acme', all: true });
    await system.settled();
    expect(Object.values(await applied())).toEqual([second, second]);
  });

  it('a rollback to what all nodes have goes to all at once, one to what was held back does not', async () => {
    await system.apply([gateway(), tenant(), ...route('one')]);
    await system.apply([own(byHand)]);
    const base = await system.revision('acme');
    const held = await commit(rules('tool.name == "echo"'));
    await waiting(held);
    const back = await system.admin.config.rollback({ scope: 'acme', toRevision: base });
    expect(back).toMatchObject({ revision: held + 1n, staged: false });
    expect((await get(held)).rollout?.state).toBe(State.SUPERSEDED);
    await system.settled();
    const again = await system.admin.config.rollback({ scope: 'acme', toRevision: held });
    expect(again).toMatchObject({ revision: held + 2n, staged: true });
    await waiting(held + 2n);
  });

  it('a tenant’s first resources are not staged, and the stages govern the write that removes them', async () => {
    await system.apply([gateway(), required(byHand)]);
    const response = await system.admin.config.apply({
      scope: 'acme',
      resources: [{ kind: 'Backend', tenant: 'acme', name: 'b', spec: { mcp: { url: upstream.url } } }],
    });
    expect(response).toMatchObject({ revision: 1n, staged: false });
    await commit(own({ percent: 50 }));
    await system.apply([tenant()], { wait: false });
    await system.admin.rollouts.promoteRollout({ scope: 'acme', all: true });
    const removal = await system.admin.config.apply({
      scope: 'acme',
      delete: [{ kind: 'Policy', name: 'stages' }],
    });
    expect(removal.staged).toBe(true);
  });

  it('what the operator requires only the operator promotes; the tenant’s own people may abort it', async () => {
    await system.apply([gateway(), required(byHand), tenant('globex'), ...route('one')]);
    await waiting(await commit(rules('tool.name == "echo"')));
    const people = async (scope: string) => {
      const request = { name: `${scope} admin`, role: Role.TENANT_ADMIN, tenants: [scope] };
      return adminClient(system.apiUrl, (await system.admin.tokens.createToken(request)).secret).rollouts;
    };
    const acme = await people('acme');
    const globex = await people('globex');
    expect(await refusalOf(acme.promoteRollout({ scope: 'acme' }))).toMatchObject({ code: 'PermissionDenied' });
    expect(await refusalOf(globex.abortRollout({ scope: 'acme' }))).toMatchObject({ code: 'NotFound' });
    expect((await globex.listRollouts({})).rollouts).toEqual([]);
    expect((await acme.listRollouts({ underWay: true })).rollouts).toHaveLength(1);
    const aborted = await acme.abortRollout({ scope: 'acme', reason: 'not today' });
    expect(aborted.rollout).toMatchObject({ state: State.ROLLED_BACK, reason: 'not today' });
    const { revisions } = await system.admin.config.listRevisions({ scope: 'acme', limit: 1 });
    expect(revisions[0]).toMatchObject({ cause: 'rollback', author: 'acme admin' });
  });

  it('the operator cannot take away what most nodes of a rollout still need', async () => {
    const moved = (to: string) =>
      route('one').map((resource) =>
        resource['kind'] === 'Route'
          ? { ...resource, spec: { ...(resource['spec'] as object), gateway: to } }
          : resource,
      );
    await system.apply([gateway(), gateway('second'), required(byHand), ...moved('second')]);
    await waiting(await commit(...moved('default')));
    const removal = { scope: 'operator', delete: [{ kind: 'Gateway', name: 'second' }] };
    expect(await refusalOf(system.admin.config.apply(removal))).toMatchObject({ code: 'InvalidArgument' });
    await system.admin.rollouts.promoteRollout({ scope: 'acme', all: true });
    expect((await system.admin.config.apply(removal)).committed).toBe(true);
  });

  it('a paused rollout stays where it is, and a stream shows everything until it has ended', async () => {
    await system.apply([gateway(), required({ percent: 10 }), ...route('one')]);
    const revision = await commit(rules('tool.name == "echo"'));
    await system.admin.rollouts.pauseRollout({ scope: 'acme', revision }).catch(() => undefined);
    const seen: State[] = [];
    for await (const { rollout } of system.admin.rollouts.watchRollout({ scope: 'acme', revision })) {
      seen.push(rollout?.state ?? State.STATE_UNSPECIFIED);
      if (rollout?.state === State.PAUSED) await system.admin.rollouts.resumeRollout({ scope: 'acme', revision });
    }
    expect(seen.at(-1)).toBe(State.COMPLETED);
    await system.settled();
  });

  it('a stage whose nodes are gone for good is halted, and begins again with others when somebody resumes it', async () => {
    await system.apply([gateway(), required({ percent: 10, soak: '1h' }), ...route('one')]);
    const revision = await commit(rules('tool.name == "echo"'));
    const inStage = async () => (await get()).progress?.memberNodes ?? [];
    const [member = ''] = await until('the first node', async () => {
      const { progress } = await get();
      return progress?.phase === Phase.SOAKING ? progress.memberNodes : undefined;
    });
    const index = [0, 1].find((each) => system.node(each).id === member) ?? 0;
    await system.node(index).stop();
    const halted = await until('the rollout to be halted', async () => {
      const state = await get();
      return state.rollout?.state === State.HALTED ? state : undefined;
    });
    expect(halted.rollout?.reason).toBe(`none of its nodes has come back: ${member}`);
    expect((await applied())[system.node(1 - index).id]).toBe(revision - 1n);
    await system.admin.rollouts.resumeRollout({ scope: 'acme', reason: 'scaled down' });
    await until('another node to be drawn', async () => ((await inStage()).length > 0 ? true : undefined));
    expect(await inStage()).toEqual([system.node(1 - index).id]);
  });
});
