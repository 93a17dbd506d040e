import { ConnectError } from '@connectrpc/connect';
import type { GetRolloutResponse } from '@signalbox/proto/signalbox/admin/v1/rollout_service_pb.ts';
import { Rollout_Phase as Phase, Rollout_State as State } from '@signalbox/proto/signalbox/admin/v1/rollout_service_pb.ts';
import { Role } from '@signalbox/proto/signalbox/admin/v1/token_service_pb.ts';
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
const all = ['add', 'echo', 'slow'];

describe('a revision that reaches nodes in stages', () => {
  let upstream: LegacyMcpServer;
  let system: System;

  beforeAll(async () => {
    upstream = await startLegacyMcpServer();
    system = await startSystem({
      pgUrl: inject('pgUrl'),
      nodes: 3,
      controlPlane: { SIGNALBOX_ROLLOUT_INTERVAL: '20' },
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
    expect(first.rollout).toMatchObject({ state: State.RUNNING, stage: 1, author: 'operator', requiredByOperator: true });
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
});
