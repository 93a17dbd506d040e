import { systemClock } from '@signalbox/runtime';
import {
  adminClient,
  type ControlPlaneProcess,
  type LegacyMcpServer,
  startControlPlaneProcess,
  startLegacyMcpServer,
  startSystem,
  startTcpProxy,
  type System,
  type SystemNode,
  type TcpProxy,
  until,
} from '@signalbox/test-harness';
import { afterEach, beforeEach, describe, expect, inject, it } from 'vitest';

import { metric, route, served, tools, untilApplied } from './routes.ts';
import { gapsIn, Writer } from './writer.ts';

/** What a node holds and nobody changes. */
const unchangedBytes = 150_000;

describe('a replica is killed under load', () => {
  let upstream: LegacyMcpServer;
  let system: System;
  let victim: ControlPlaneProcess;
  let balancer: TcpProxy;

  beforeEach(async () => {
    upstream = await startLegacyMcpServer();
    system = await startSystem({ pgUrl: inject('pgUrl'), nodes: 0 });
    const unchanged = Array.from({ length: 100 }, (_, i) => {
      return route(`${upstream.url}?${'x'.repeat(unchangedBytes / 100)}`, { name: `unchanged-${i}` });
    });
    await system.apply([...served(upstream.url), ...unchanged.flat()]);
    victim = await startControlPlaneProcess(system.databaseUrl);
    const survivor = Number(system.discoveryAddress.split(':')[1]);
    balancer = await startTcpProxy({ ports: [victim.discoveryPort, survivor] });
  });
  afterEach(async () => {
    await system.stop();
    await balancer.stop();
    await victim.kill();
    await upstream.stop();
  });

  it('loses no change and takes nothing back; its nodes go on with another replica from where they are', async () => {
    const address = `127.0.0.1:${balancer.port}`;
    const nodes: SystemNode[] = [];
    for (const id of ['one', 'two']) {
      nodes.push(await system.startNode({ SIGNALBOX_PROXY_DISCOVERY_ADDRESS: address }, id));
    }
    const writer = new Writer([adminClient(victim.apiUrl, system.operatorToken), system.admin], 'acme');
    writer.start();
    await until('some commits', () => (writer.written.acknowledged.size >= 10 ? true : undefined));
    const seen = nodes.map(() => [] as bigint[]);
    using _watching = systemClock.interval(1, () => {
      nodes.forEach(({ proxy }, at) => seen[at]?.push(proxy.table.value?.tenants.get('acme')?.revision ?? -1n));
    });
    const sentBefore = await metric(system.apiUrl, 'signalbox_discovery_response_bytes_total');

    await victim.kill();
    const before = writer.written.acknowledged.size;
    await until('commits elsewhere', () => (writer.written.acknowledged.size >= before + 10 ? true : undefined));
    const last = await writer.stop();
    for (const node of ['one', 'two']) await untilApplied(system, node, last);

    expect(gapsIn([...writer.written.acknowledged.keys()])).toEqual([]);
    expect(await system.revision('acme')).toBe(last);
    for (const revisions of seen) {
      expect(revisions.length).toBeGreaterThan(0);
      expect(revisions).toEqual(revisions.toSorted((a, b) => Number(a - b)));
    }
    // What both nodes had, they are not sent again.
    const sent = (await metric(system.apiUrl, 'signalbox_discovery_response_bytes_total')) - sentBefore;
    expect(sent).toBeLessThan(unchangedBytes);
    for (const node of nodes) expect(await tools(node)).toHaveLength(3);
  });
});
