import { Code, ConnectError } from '@connectrpc/connect';
import {
  adminClient,
  type LegacyMcpServer,
  startControlPlaneProcess,
  startLegacyMcpServer,
  startSystem,
  startTcpProxy,
  type System,
  type TcpProxy,
  until,
} from '@signalbox/test-harness';
import { afterEach, beforeEach, describe, expect, inject, it } from 'vitest';

import { metric, route, served, tools, untilApplied } from './routes.ts';
import { changing } from './writer.ts';

/** Times of a replica that is cut off, short enough for a test. */
const settings = {
  SIGNALBOX_DATABASE_STATEMENT_TIMEOUT: '300',
  SIGNALBOX_DATABASE_CONNECT_TIMEOUT: '300',
};

describe.each(['close', 'stall'] as const)('a replica loses Postgres and keeps its nodes (%s)', (fault) => {
  let upstream: LegacyMcpServer;
  let system: System;
  let network: TcpProxy;

  beforeEach(async () => {
    upstream = await startLegacyMcpServer();
    const postgres = new URL(inject('pgUrl'));
    network = await startTcpProxy({ ports: [Number(postgres.port)] });
    postgres.port = String(network.port);
    // The system is the replica that is cut off; another one, not cut off, joins it.
    system = await startSystem({ pgUrl: postgres.href, controlPlane: settings });
    await system.apply(served(upstream.url));
  });
  afterEach(async () => {
    network.open();
    await system.stop();
    await network.stop();
    await upstream.stop();
  });

  it('serves nodes old and new, says that it is stale, refuses writes, and catches up when it can', async () => {
    const direct = new URL(system.databaseUrl);
    direct.port = new URL(inject('pgUrl')).port;
    const other = await startControlPlaneProcess(direct.href);
    try {
      const before = await system.revision('acme');
      network[fault]();
      const staleness = () => metric(system.apiUrl, 'signalbox_config_staleness_seconds');
      await until('staleness to show', async () => ((await staleness()) > 0 ? true : undefined));

      const writing = system.admin.config.apply({ scope: 'acme', resources: [changing('acme', 'refused')] });
      await expect(writing).rejects.toSatisfy((error) => ConnectError.from(error).code === Code.Unavailable);
      expect(await tools(system.node(0))).toHaveLength(3);
      expect(await tools(await system.startNode({}, 'late'))).toHaveLength(3);

      const elsewhere = adminClient(other.apiUrl, system.operatorToken);
      const { revision } = await elsewhere.config.apply({ scope: 'acme', resources: [changing('acme', 'elsewhere')] });
      expect(revision).toBe(before + 1n);

      network.open();
      for (const node of ['node-0', 'late']) await untilApplied(system, node, revision);
      await until('it to be fresh', async () => ((await staleness()) === 0 ? true : undefined));
      await system.apply(route(upstream.url, { rules: ['tool.name == "echo"'] }));
      expect(await tools(system.node(0))).toEqual(['echo']);
    } finally {
      await other.kill();
    }
  });
});
