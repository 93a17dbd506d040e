import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { systemClock } from '@signalbox/runtime';
import {
  gateway,
  type LegacyMcpServer,
  mcpRoute,
  RawMcpClient,
  startLegacyMcpServer,
  startSystem,
  type System,
  type SystemNode,
  tenant,
  until,
} from '@signalbox/test-harness';
import { type RunningPostgres, startPostgres } from 'signalbox/bundled/postgres-process';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { refusalOf } from './api-fixture.ts';

describe('[61] with Postgres down', () => {
  let folder: string;
  let postgres: RunningPostgres;
  let upstream: LegacyMcpServer;
  let system: System;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'signalbox-test-stability-'));
    postgres = await startPostgres({ dataDir: join(folder, 'postgres'), port: 0, durable: true });
    upstream = await startLegacyMcpServer();
  });
  afterAll(async () => {
    await upstream.stop();
    await postgres.stop();
    await rm(folder, { recursive: true, force: true });
  });
  beforeEach(async () => {
    system = await startSystem({
      pgUrl: postgres.url,
      controlPlane: { SIGNALBOX_STATE: await mkdtemp(join(folder, 'replica-')), SIGNALBOX_SNAPSHOT_INTERVAL: '100' },
    });
    await system.apply([gateway(), tenant(), ...route('assistant')]);
  });
  afterEach(() => system.stop());

  const route = (name: string) => mcpRoute({ name, url: upstream.url, keys: { alice: 'alice-key' }, rules: ['true'] });
  const tools = async (node: SystemNode, name = 'assistant') => {
    const client = new RawMcpClient({ url: node.endpoint('acme', name), token: 'alice-key' });
    await client.initialize();
    return client.toolNames();
  };
  const restartPostgres = async () => {
    const port = Number(new URL(postgres.url).port);
    postgres = await startPostgres({ dataDir: join(folder, 'postgres'), port, durable: true });
  };
  const readiness = async () => (await fetch(`${system.apiUrl}/readyz`)).text();
  const staleness = async () => {
    const metrics = await (await fetch(`${system.apiUrl}/metrics`)).text();
    return Number(/^signalbox_config_staleness_seconds (.*)$/m.exec(metrics)?.[1]);
  };
  const stale = () => until('staleness to show', async () => ((await staleness()) > 0 ? true : undefined));

  it('new nodes are served, reads are answered and marked, and writes fail at once', async () => {
    expect(await staleness()).toBe(0);
    await postgres.stop();
    await stale();
    expect(await tools(await system.startNode())).toHaveLength(3);

    const { resources, revision } = await system.admin.config.list({ scope: 'acme' });
    expect([resources.length, revision]).toEqual([4, 1n]);
    const resource = await system.admin.config.get({ scope: 'acme', kind: 'Route', name: 'assistant' });
    expect(resource.resource?.document?.name).toBe('assistant');
    expect((await system.admin.tenants.listTenants({})).tenants.map(({ name }) => name)).toEqual(['acme']);
    expect(await readiness()).toMatch(/^ready, stale: the database has not answered for \d+ s\n$/);

    const startedAt = systemClock.monotonic();
    const refused = await refusalOf(system.apply(route('other'), { wait: false }));
    expect(refused).toMatchObject({ code: 'Unavailable', message: expect.stringContaining('database') as string });
    expect(systemClock.monotonic() - startedAt).toBeLessThan(2_000);

    await restartPostgres();
    await until('the database to be read', async () => ((await readiness()) === 'ready\n' ? true : undefined));
    expect(await staleness()).toBe(0);
    await system.apply(route('other'));
    expect(await tools(system.node(1), 'other')).toHaveLength(3);
  });

  it('a replica starts from its snapshot, lowers no revision, and catches up when Postgres returns', async () => {
    const before = await system.revision('acme');
    await system.stopControlPlane();
    await postgres.stop();
    await system.startControlPlane();
    expect(await staleness()).toBeGreaterThan(0);
    const node = await system.startNode();
    expect(await tools(node)).toHaveLength(3);
    expect(await tools(system.node(0))).toHaveLength(3);
    expect((await system.admin.config.list({ scope: 'acme' })).revision).toBe(before);
    expect(await refusalOf(system.apply(route('other'), { wait: false }))).toMatchObject({ code: 'Unavailable' });

    await restartPostgres();
    await until('the database to be read', async () => ((await readiness()) === 'ready\n' ? true : undefined));
    const revisions = await system.apply(route('other'));
    expect(revisions.get('acme')).toBe(before + 1n);
    expect(await tools(node, 'other')).toHaveLength(3);
  });
});
