import {
  type LegacyMcpServer,
  startLegacyMcpServer,
  startSystem,
  startTcpProxy,
  type System,
  type TcpProxy,
  until,
} from '@signalbox/test-harness';
import { afterEach, beforeEach, describe, expect, inject, it } from 'vitest';

import { metric, served, tools, untilApplied } from './routes.ts';

/** The shortest that can be set. */
const answerMs = 1_000;
const changes = 30;
/** A change is about as large. */
const changeBytes = 100_000;
const backends = 50;

describe('a node stops reading', () => {
  let upstream: LegacyMcpServer;
  let system: System;
  let network: TcpProxy;

  beforeEach(async () => {
    upstream = await startLegacyMcpServer();
    system = await startSystem({
      pgUrl: inject('pgUrl'),
      controlPlane: { SIGNALBOX_DISCOVERY_ANSWER: String(answerMs) },
    });
    network = await startTcpProxy({ ports: [Number(system.discoveryAddress.split(':')[1])] });
    await system.apply(served(upstream.url));
  });
  afterEach(async () => {
    await system.stop();
    await network.stop();
    await upstream.stop();
  });

  it('is sent one answer and no more, holds nobody up, is given up, and comes back to the newest', async () => {
    const address = `127.0.0.1:${network.port}`;
    await system.startNode({ SIGNALBOX_PROXY_DISCOVERY_ADDRESS: address }, 'stalled');
    await untilApplied(system, 'stalled', 1n);
    const sent = () => metric(system.apiUrl, 'signalbox_discovery_response_bytes_total');
    network.stall();
    const before = await sent();
    let last = 0n;
    for (let n = 0; n < changes; n += 1) {
      ({ revision: last } = await system.admin.config.apply({ scope: 'acme', resources: large(`${n}`) }));
      await untilApplied(system, 'node-0', last);
    }
    // All of it went to the other node; to this one, what was on its way when it stopped.
    expect(await sent()).toBeLessThan(before + (changes + 4) * (changeBytes + 20_000));
    await until('it to be given up', async () => {
      const stalled = (await system.nodes()).find(({ id }) => id === 'stalled');
      return stalled?.connected === false ? true : undefined;
    });
    expect(await metric(system.apiUrl, 'signalbox_discovery_streams')).toBe(1);
    expect(await tools(system.node(1))).toHaveLength(3);

    network.open();
    await untilApplied(system, 'stalled', last);
    expect(await tools(system.node(1))).toHaveLength(3);
  });
});

function large(text: string) {
  const url = `http://127.0.0.1:1/${'x'.repeat(changeBytes / backends)}/${text}`;
  const names = Array.from({ length: backends }, (_, n) => `large-${n}`);
  return names.map((name) => ({ kind: 'Backend', tenant: 'acme', name, spec: { mcp: { url } } }));
}
