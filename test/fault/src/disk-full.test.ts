import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import {
  type LegacyMcpServer,
  proxyReady,
  type ProxyProcess,
  startLegacyMcpServer,
  startProxyProcess,
  startSystem,
  type System,
  until,
} from '@signalbox/test-harness';
import { afterEach, beforeEach, describe, expect, inject, it } from 'vitest';

import { served, tools, untilApplied } from './routes.ts';

/** The small set fits into files of this size, the large one does not. */
const maxFileKib = 32;
const retryMs = 100;

describe('the disk is full when a node writes its last good set', () => {
  let upstream: LegacyMcpServer;
  let system: System;
  let state: string;
  let node: ProxyProcess | undefined;

  beforeEach(async () => {
    upstream = await startLegacyMcpServer();
    system = await startSystem({ pgUrl: inject('pgUrl'), nodes: 0 });
    await system.apply(served(upstream.url));
    state = await mkdtemp(join(tmpdir(), 'signalbox-fault-disk-'));
  });
  afterEach(async () => {
    await node?.stop();
    await system.stop();
    await upstream.stop();
    await rm(state, { recursive: true, force: true });
  });

  const start = async (limit?: { readonly maxFileKib: number }) => {
    const env = {
      ...system.nodeSettings(),
      SIGNALBOX_PROXY_NODE_ID: 'full',
      SIGNALBOX_PROXY_LAST_GOOD_RETRY: `${retryMs}`,
    };
    const started = await startProxyProcess({ state, env, ...limit });
    node = started;
    await proxyReady(started);
    return started;
  };
  const setFile = async () => {
    const names = await readdir(state, { recursive: true });
    const name = names.find((each) => each.endsWith('acme.set'));
    return name === undefined ? undefined : join(state, name);
  };

  it('serves the new set, keeps the old file whole, says so, and writes the set when there is room', async () => {
    const first = await start({ maxFileKib });
    const file = await until('the small set on disk', setFile);
    const small = await readFile(file);

    const { revision } = await system.admin.config.apply({ scope: 'acme', resources: large });
    await untilApplied(system, 'full', revision);
    expect(await tools(first)).toHaveLength(3);
    await until('it to be logged', () =>
      /last good set could not be written/.test(first.output()) ? true : undefined,
    );
    const metrics = await (await fetch(`${first.adminUrl}/metrics`)).text();
    expect(metrics).toMatch(/^signalbox_\w*last_good\w* [1-9]/m);
    expect(await readFile(file)).toEqual(small);
    await until('nothing half-written to be left', async () =>
      (await readdir(join(file, '..'))).some((name) => name.endsWith('.new')) ? undefined : true,
    );

    // The old set is what there is to start from, while there is no control plane.
    await first.stop();
    await system.stopControlPlane();
    const second = await start({ maxFileKib });
    expect(await tools(second)).toHaveLength(3);
    await second.stop();

    await system.startControlPlane();
    const third = await start();
    await untilApplied(system, 'full', revision);
    await until('the large set on disk', async () => ((await readFile(file)).length > small.length ? true : undefined));
    expect(await tools(third)).toHaveLength(3);
  });
});

const large = Array.from({ length: 50 }, (_, n) => ({
  ...{ kind: 'Backend', tenant: 'acme', name: `large-${n}` },
  spec: { mcp: { url: `http://127.0.0.1:1/${'x'.repeat(2_000)}` } },
}));
