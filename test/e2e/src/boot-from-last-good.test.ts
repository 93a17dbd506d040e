import {
  gateway,
  type LegacyMcpServer,
  mcpRoute,
  policy,
  RawMcpClient,
  startLegacyMcpServer,
  startSystem,
  type System,
  type SystemNode,
  tenant,
  until,
} from '@signalbox/test-harness';
import { afterEach, beforeEach, describe, expect, inject, it } from 'vitest';

const keys = { alice: 'alice-key' };

describe('with the control plane gone', () => {
  let upstream: LegacyMcpServer;
  let system: System;

  beforeEach(async () => {
    upstream = await startLegacyMcpServer();
    system = await startSystem({ pgUrl: inject('pgUrl') });
    await system.apply([
      gateway(),
      tenant(),
      ...mcpRoute({ name: 'assistant', url: upstream.url, keys, rules: ['true'] }),
    ]);
  });

  afterEach(async () => {
    await system.stop();
    await upstream.stop();
  });

  const tools = async (node: SystemNode): Promise<readonly string[]> => {
    const client = new RawMcpClient({ url: node.endpoint('acme', 'assistant'), token: 'alice-key' });
    await client.initialize();
    return client.toolNames();
  };

  const ready = async (node: SystemNode): Promise<number> => (await fetch(`${node.proxy.adminUrl}/readyz`)).status;

  it('a node goes on serving, and open sessions with it', async () => {
    const client = new RawMcpClient({ url: system.endpoint('acme', 'assistant'), token: 'alice-key' });
    await client.initialize();
    await system.stopControlPlane();
    expect(await client.toolNames()).toHaveLength(3);
    expect(await tools(system.node(0))).toHaveLength(3);
  });

  it('a node that restarts serves its last good set', async () => {
    const first = system.node(0);
    await system.stopControlPlane();
    await first.stop();
    const second = await system.startNode({}, first.id, first.stateFolder);
    expect(await tools(second)).toHaveLength(3);
    expect(await ready(second)).toBe(200);
  });

  it('a node that never had a configuration is not ready, and serves nothing rather than an empty set', async () => {
    await system.stopControlPlane();
    const fresh = await system.startNode({}, 'fresh');
    expect(await ready(fresh)).toBe(503);
    expect(fresh.proxy.table.value).toBeUndefined();
  });

  it('a node that came back catches up when the control plane does', async () => {
    const first = system.node(0);
    await first.stop();
    await system.apply([policy({ name: 'assistant', keys, rules: ['tool.name == "echo"'] })], { wait: false });
    await system.stopControlPlane();
    const second = await system.startNode({}, first.id, first.stateFolder);
    expect(await tools(second)).toHaveLength(3);
    await system.startControlPlane();
    await until('the newer revision', async () => ((await tools(second)).length === 1 ? true : undefined));
    expect(await tools(second)).toEqual(['echo']);
  });
});
