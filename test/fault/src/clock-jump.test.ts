import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Role } from '@signalbox/proto/signalbox/admin/v1/token_service_pb.ts';
import {
  type LegacyMcpServer,
  RawMcpClient,
  startLegacyMcpServer,
  startSystem,
  type System,
  until,
} from '@signalbox/test-harness';
import { type RunningPostgres, startPostgres } from 'signalbox/bundled/postgres-process';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { JumpingClock } from './jumping-clock.ts';
import { metric, route, served, tools } from './routes.ts';
import { SimulatedNode } from './simulated-node.ts';

const hourMs = 3_600_000;

let folder: string;
let postgres: RunningPostgres;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'signalbox-fault-clock-'));
  postgres = await startPostgres({ dataDir: join(folder, 'postgres'), port: 0, durable: true });
});
afterAll(async () => {
  await postgres.stop();
  await rm(folder, { recursive: true, force: true });
});

describe.each([
  ['forward', hourMs],
  ['back', -hourMs],
])('the clock of every machine jumps an hour %s', (_direction, jumpMs) => {
  let upstream: LegacyMcpServer;
  let clock: JumpingClock;
  let system: System;

  beforeEach(async () => {
    upstream = await startLegacyMcpServer();
    clock = new JumpingClock();
    system = await startSystem({ pgUrl: postgres.url, clock });
    await system.apply(served(upstream.url));
  });
  afterEach(async () => {
    await system.stop();
    await upstream.stop();
  });

  const staleness = () => metric(system.apiUrl, 'signalbox_config_staleness_seconds');

  it('sessions, streams and propagation go on as if nothing had happened', async () => {
    const client = new RawMcpClient({ url: system.endpoint('acme', 'assistant'), token: 'alice-key' });
    await client.initialize();
    const ends = await metric(system.apiUrl, 'signalbox_discovery_streams');
    clock.jump(jumpMs);
    expect(await client.toolNames()).toHaveLength(3);
    expect(await tools(system.node(0))).toHaveLength(3);
    await system.apply(route(upstream.url, { rules: ['tool.name == "echo"'] }));
    expect(await client.toolNames()).toEqual(['echo']);
    expect(await metric(system.apiUrl, 'signalbox_discovery_streams')).toBe(ends);
    expect(await staleness()).toBe(0);
  });

  it('a revoked token ends its stream as soon as ever', async () => {
    const request = { name: 'revoked', role: Role.NODE, gateway: 'default' };
    const { secret, token } = await system.admin.tokens.createToken(request);
    const node = new SimulatedNode({ system, token: secret, id: 'revoked' }).start();
    try {
      await until('it to be let in', () => (node.updates.length > 0 ? true : undefined));
      clock.jump(jumpMs);
      await system.admin.tokens.revokeToken({ id: token?.id ?? '' });
      const end = await until('its stream to end', () =>
        node.connections.find((each) => each.startsWith('disconnected: ')),
      );
      expect(end).toMatch(/revoked|token/);
    } finally {
      await node.stop();
    }
  });

  it('an outage of Postgres is told by how long it lasts, not by what the clocks say', async () => {
    await postgres.stop();
    await until('staleness to show', async () => ((await staleness()) > 0 ? true : undefined));
    clock.jump(jumpMs);
    expect(await staleness()).toBeGreaterThan(0);
    expect(await staleness()).toBeLessThan(60);
    expect(await tools(system.node(0))).toHaveLength(3);
    const port = Number(new URL(postgres.url).port);
    postgres = await startPostgres({ dataDir: join(folder, 'postgres'), port, durable: true });
    await until('it to be over', async () => ((await staleness()) === 0 ? true : undefined));
    await system.apply(route(upstream.url, { rules: ['tool.name == "echo"'] }));
    expect(await tools(system.node(0))).toEqual(['echo']);
  });
});
