import { typeUrlOf } from '@signalbox/config';
import { type LegacyMcpServer, startLegacyMcpServer, startSystem, type System, until } from '@signalbox/test-harness';
import { afterEach, beforeEach, describe, expect, inject, it } from 'vitest';

import { served, tools, untilApplied } from './routes.ts';
import { SimulatedNode } from './simulated-node.ts';
import { changing } from './writer.ts';

const changes = 20;
const manifestType = typeUrlOf('Manifest');

describe('a node refuses everything', () => {
  let upstream: LegacyMcpServer;
  let system: System;

  beforeEach(async () => {
    upstream = await startLegacyMcpServer();
    system = await startSystem({ pgUrl: inject('pgUrl') });
    await system.apply(served(upstream.url));
  });
  afterEach(async () => {
    await system.stop();
    await upstream.stop();
  });

  it('is asked once for each state, is shown as refusing, holds nobody up, and is forgiven when it accepts', async () => {
    let refuses = true;
    const node = new SimulatedNode({
      ...{ system, token: system.nodeSettings()['SIGNALBOX_PROXY_TOKEN'] ?? '', id: 'refusing' },
      refuse: ({ resources }) => (refuses ? resources.map(({ name }) => ({ name, error: 'out of principle' })) : []),
    }).start();
    const status = async () => (await system.nodes()).find(({ id }) => id === 'refusing');
    try {
      await until('its first word on a whole set', () =>
        node.updates.at(-1)?.typeUrl === manifestType ? true : undefined,
      );
      const before = node.updates.length;
      let revision = 0n;
      for (let n = 0; n < changes; n += 1) {
        ({ revision } = await system.admin.config.apply({ scope: 'acme', resources: [changing('acme', `${n}`)] }));
        await untilApplied(system, 'node-0', revision);
      }
      await until('it to be asked for the last', async () => {
        const nack = (await status())?.lastNack;
        return nack?.scope === 'acme' && nack.revision === revision ? true : undefined;
      });
      // A change is one answer of data and one Manifest.
      expect(node.updates.length - before).toBeLessThanOrEqual(changes * 2);
      expect((await status())?.lastNack).toMatchObject({ current: true, revision });
      expect((await status())?.scopes.find(({ scope }) => scope === 'acme')?.appliedRevision).toBe(0n);
      expect(node.connections.filter((each) => each.startsWith('disconnected'))).toEqual([]);
      const report = await system.propagation('acme', revision);
      expect(report.nodes.map((each) => each.node).sort()).toEqual(['node-0', 'refusing']);
      expect(await tools(system.node(0))).toHaveLength(3);

      refuses = false;
      const accepted = await system.admin.config.apply({ scope: 'acme', resources: [changing('acme', 'accepted')] });
      await untilApplied(system, 'refusing', accepted.revision);
      expect((await status())?.lastNack?.current).toBe(false);
    } finally {
      await node.stop();
    }
  });
});
