import type { GetRolloutResponse } from '@signalbox/proto/signalbox/admin/v1/rollout_service_pb.ts';
import {
  Rollout_Phase as Phase,
  Rollout_State as State,
} from '@signalbox/proto/signalbox/admin/v1/rollout_service_pb.ts';
import {
  gateway,
  type LegacyMcpServer,
  mcpRoute,
  policy,
  RawMcpClient,
  type ResourceFile,
  startLegacyMcpServer,
  startSystem,
  type System,
  tenant,
  until,
} from '@signalbox/test-harness';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';

const keys = { alice: 'alice-key' };

describe('a revision that reaches nodes in stages', () => {
  let upstream: LegacyMcpServer;
  let system: System;

  beforeAll(async () => {
    upstream = await startLegacyMcpServer();
    system = await startSystem({
      pgUrl: inject('pgUrl'),
      nodes: 3,
      settings: { SIGNALBOX_PROXY_REPORT_INTERVAL: '20' },
      controlPlane: { SIGNALBOX_ROLLOUT_INTERVAL: '20', SIGNALBOX_NODE_REPORT: '20', SIGNALBOX_NODE_REPORT_IDLE: '50' },
    });
    await system.apply([gateway(), tenant(), ...mcpRoute({ name: 'one', url: upstream.url, keys, rules: ['true'] })]);
  });

  afterAll(async () => {
    await system.stop();
    await upstream.stop();
  });

  const stages = (...list: readonly object[]): ResourceFile => ({
    ...tenant(),
    spec: { rollout: { stages: list } },
  });
  const allow = (rule: string) => system.apply([policy({ name: 'one', keys, rules: [rule] })], { wait: false });
  const get = () => system.admin.rollouts.getRollout({ scope: 'acme' });
  const reaching = (what: string, isThere: (state: GetRolloutResponse) => boolean) =>
    until(what, async () => {
      const state = await get();
      return isThere(state) ? state : undefined;
    });
  const tools = async (node: number) => {
    const client = new RawMcpClient({ url: system.endpoint('acme', 'one', node), token: 'alice-key' });
    await client.initialize();
    return client.toolNames();
  };
  const toolsOfAll = () => Promise.all([tools(0), tools(1), tools(2)]);
  const events = ({ events: list }: GetRolloutResponse) => list.map(({ event, stage }) => `${event} ${stage}`);

  it('goes to a share first, to the others when somebody promotes it, and is then complete', async () => {
    await system.apply([stages({ percent: 10, promotion: 'MANUAL' }, { percent: 60 })]);
    const before = await toolsOfAll();
    await allow('tool.name == "echo"');
    const first = await reaching('the first stage', ({ progress }) => progress?.phase === Phase.AWAITING_PROMOTION);
    expect(first.progress).toMatchObject({ nodes: 3, members: 1, applied: 1 });
    expect(first.rollout).toMatchObject({
      state: State.RUNNING,
      stage: 1,
      author: 'operator',
      requiredByOperator: true,
    });
    const seen = await toolsOfAll();
    expect(seen.filter((names) => names.length === 1)).toEqual([['echo']]);
    expect(seen.filter((names) => names.length > 1)).toEqual([before[0], before[0]]);

    await system.admin.rollouts.promoteRollout({ scope: 'acme', reason: 'looks good' });
    const done = await reaching('the end', ({ rollout }) => rollout?.state === State.COMPLETED);
    expect(events(done)).toEqual([
      ...['started 1', 'stage-started 1', 'stage-settled 1', 'promoted 2', 'stage-settled 2', 'completed 2'],
    ]);
    expect(done.events.find(({ event }) => event === 'promoted')).toMatchObject({ actor: 'operator' });
    await system.settled();
    expect(await toolsOfAll()).toEqual([['echo'], ['echo'], ['echo']]);
  });

  it('is halted and taken back by a new revision when a node refuses it, and the log says why', async () => {
    const strict = await system.startNode({ SIGNALBOX_PROXY_MAX_ROUTES_PER_TENANT: '1' }, 'strict');
    await system.apply([stages({ percent: 100, soak: '1h' })]);
    const before = await system.revision('acme');
    const more = mcpRoute({ name: 'two', url: upstream.url, keys, rules: ['true'] });
    const revision = (await system.apply(more, { wait: false })).get('acme');
    const ended = await reaching('the end', ({ rollout }) => rollout?.state === State.ROLLED_BACK);
    expect(ended.rollout).toMatchObject({ revision, baseRevision: before });
    expect(ended.rollout?.reason).toMatch(/^node strict refused it: .*routes/i);
    expect(ended.events.at(-1)).toMatchObject({ event: 'rolled-back', actor: '' });
    await strict.stop();
    await system.settled();
    const { revisions } = await system.admin.config.listRevisions({ scope: 'acme', limit: 1 });
    expect(revisions[0]).toMatchObject({
      revision: (revision ?? 0n) + 1n,
      cause: 'rollback',
      author: 'signalbox rollout',
    });
    expect(revisions[0]?.message).toMatch(/node strict refused it/);
    expect((await system.admin.config.list({ scope: 'acme', kind: 'Route' })).resources).toHaveLength(1);
  });

  it('is taken back when the nodes that have it deny more than was stated, while the others do as before', async () => {
    await system.apply([
      {
        ...tenant(),
        spec: { rollout: { stages: [{ percent: 34, soak: '1h' }], limits: { denialsPercent: 10, minRequests: 5 } } },
      },
    ]);
    const before = await system.revision('acme');
    await allow('tool.name == "add"');
    const staged = await reaching('the first stage', ({ progress }) => progress?.phase === Phase.SOAKING);
    const nodes = [0, 1, 2].map((index) => ({ index, id: system.node(index).id }));
    const clients = await Promise.all(
      nodes.map(async ({ index, id }) => {
        const client = new RawMcpClient({ url: system.endpoint('acme', 'one', index), token: 'alice-key' });
        await client.initialize();
        return { id, client };
      }),
    );
    const isMember = (id: string) => staged.progress?.memberNodes.includes(id) === true;
    const call = ({ client }: (typeof clients)[number]) => client.call('echo');
    // The two that do not have it allow echo; the two that have it deny it.
    await until('the rollout to be taken back', async () => {
      await Promise.all(clients.map(call));
      return (await get()).rollout?.state === State.ROLLED_BACK ? true : undefined;
    });
    const ended = await get();
    expect(staged.progress?.members).toBe(2);
    expect(nodes.filter(({ id }) => isMember(id))).toHaveLength(2);
    expect(ended.rollout?.reason).toMatch(/^denials: \d+\.\d %|^denials: 100 %/);
    await system.settled();
    const { changes } = await system.admin.config.getRevision({
      scope: 'acme',
      revision: await system.revision('acme'),
    });
    expect(changes.map(({ kind, name }) => `${kind}/${name}`)).toEqual(['Policy/one']);
    expect(await toolsOfAll()).toEqual([['echo'], ['echo'], ['echo']]);
    expect(before).toBeGreaterThan(0n);
  });
});
