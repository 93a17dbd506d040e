import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import {
  type GetRolloutResponse,
  Rollout_Phase as Phase,
  Rollout_State as State,
} from '@signalbox/proto/signalbox/admin/v1/rollout_service_pb.ts';
import { Role } from '@signalbox/proto/signalbox/admin/v1/token_service_pb.ts';
import {
  gateway,
  type LegacyMcpServer,
  mcpRoute,
  policy,
  startControlPlaneProcess,
  startLegacyMcpServer,
  startSystem,
  type System,
  tenant,
  until,
} from '@signalbox/test-harness';
import { type RunningPostgres, startPostgres } from 'signalbox/bundled/postgres-process';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';

const keys = { alice: 'alice-key' };
const fast = { SIGNALBOX_ROLLOUT_INTERVAL: '20', SIGNALBOX_REPLICA_LEASE: '1000' };

describe('a rollout', () => {
  let folder: string;
  let postgres: RunningPostgres;
  let upstream: LegacyMcpServer;
  let system: System;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'signalbox-test-rollout-'));
    postgres = await startPostgres({ dataDir: join(folder, 'postgres'), port: 0, durable: true });
    upstream = await startLegacyMcpServer();
  });
  afterAll(async () => {
    await upstream.stop();
    await postgres.stop();
    await rm(folder, { recursive: true, force: true });
  });
  beforeEach(async () => {
    const state = { SIGNALBOX_STATE: await mkdtemp(join(folder, 'replica-')), SIGNALBOX_SNAPSHOT_INTERVAL: '100' };
    system = await startSystem({ pgUrl: postgres.url, nodes: 2, controlPlane: { ...fast, ...state } });
  });
  afterEach(() => system.stop());

  const stages = (...list: readonly object[]) => ({ ...tenant(), spec: { rollout: { stages: list } } });
  const route = () => mcpRoute({ name: 'one', url: upstream.url, keys, rules: ['true'] });
  const commit = async () =>
    (await system.apply([policy({ name: 'one', keys, rules: ['tool.name == "echo"'] })], { wait: false })).get(
      'acme',
    ) ?? 0n;
  const reaching = (what: string, isThere: (state: GetRolloutResponse) => boolean) =>
    until(
      what,
      async () => {
        const state = await system.admin.rollouts.getRollout({ scope: 'acme' });
        return isThere(state) ? state : undefined;
      },
      20_000,
    );
  /** Revision that each connected node runs, by its name, as the nodes themselves say. */
  const running = () =>
    Object.fromEntries([0, 1].map((index) => [system.node(index).id, runs(system, index)] as const));

  it('goes on when the replica is killed that its first nodes were connected to, once they are back', async () => {
    await system.apply([gateway(), stages({ groups: ['canary'], soak: '4s' }, { percent: 100 }), ...route()]);
    const { secret } = await system.admin.tokens.createToken({
      ...{ name: 'canaries', role: Role.NODE, gateway: 'default', groups: ['canary'] },
    });
    const replica = await startControlPlaneProcess(system.databaseUrl, fast);
    const there = {
      SIGNALBOX_PROXY_TOKEN: secret,
      SIGNALBOX_PROXY_DISCOVERY_ADDRESS: `127.0.0.1:${replica.discoveryPort}`,
    };
    const canary = await system.startNode(there, 'canary');
    await system.settled();

    const revision = await commit();
    const first = await reaching('the canary', ({ progress }) => progress?.phase === Phase.SOAKING);
    expect(first.progress).toMatchObject({ nodes: 3, members: 1, memberNodes: ['canary'] });
    await replica.kill();
    await canary.stop();
    const alone = await reaching('the stage to lose its node', ({ events }) =>
      events.some(({ event }) => event === 'stage-unsettled'),
    );
    expect(alone.rollout).toMatchObject({ state: State.RUNNING, stage: 1 });
    expect(Object.values(running())).toEqual([revision - 1n, revision - 1n]);

    await system.startNode({ SIGNALBOX_PROXY_TOKEN: secret }, 'canary', canary.stateFolder);
    const done = await reaching('the end', ({ rollout }) => rollout?.state === State.COMPLETED);
    expect(done.events.map(({ event, stage }) => `${event} ${stage}`)).toEqual([
      ...['started 1', 'stage-started 1', 'stage-settled 1', 'stage-unsettled 1', 'stage-settled 1'],
      ...['stage-started 2', 'stage-settled 2', 'completed 2'],
    ]);
    await system.settled();
    expect(Object.values(running())).toEqual([revision, revision]);
  });

  it('stays where it is without Postgres, also on a replica that starts then, and goes on with it', async () => {
    await system.apply([gateway(), stages({ percent: 10, soak: '2s' }), ...route()]);
    const revision = await commit();
    const { progress } = await reaching('the first stage', (state) => state.progress?.phase === Phase.SOAKING);
    const [member = ''] = progress?.memberNodes ?? [];
    const others = [0, 1].map((index) => system.node(index).id).filter((id) => id !== member);
    const port = Number(new URL(postgres.url).port);
    await system.stopControlPlane();
    await postgres.stop();
    await system.startControlPlane();
    const late = await system.startNode({}, 'late');
    await until('the new node to have what most have', () => (runs(system, 2) === revision - 1n ? true : undefined));
    expect(running()).toEqual({ [member]: revision, [others[0] ?? '']: revision - 1n });

    postgres = await startPostgres({ dataDir: join(folder, 'postgres'), port, durable: true });
    await reaching('the end', ({ rollout }) => rollout?.state === State.COMPLETED);
    await system.settled();
    expect(runs(system, 2)).toBe(revision);
    await late.stop();
  });
});

/** Revision of the tenant that a node serves. */
function runs(system: System, node: number): bigint | undefined {
  return system.node(node).proxy.table.value?.tenants.get('acme')?.revision;
}
