import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { federatedRoute, gateway, startFileNode, type SystemNode, tenant, yaml } from '@signalbox/test-harness';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { readBaseline } from './baseline.ts';
import type { Fixture } from './fixture/fixture.ts';
import { startLegacyServer } from './fixture/legacy-server.ts';
import { startModernServer } from './fixture/modern-server.ts';
import { type Requirements, runServerSuite } from './suite.ts';

const cells: readonly { readonly era: 'legacy' | 'modern'; readonly requirements: Requirements }[] = [
  { era: 'legacy', requirements: '2025-11-25' },
  { era: 'modern', requirements: '2026-07-28' },
];

describe('the public conformance suite against a virtual server of two copies, one without prefix', () => {
  const servers: Fixture[] = [];
  let folder: string;
  let proxy: SystemNode;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'signalbox-conformance-'));
    const routes = await Promise.all(
      cells.map(async ({ era }) => {
        const start = era === 'legacy' ? startLegacyServer : startModernServer;
        const [plain, copy] = [await start(), await start()];
        servers.push(plain, copy);
        const members = [{ backend: `${era}-plain` }, { backend: `${era}-copy`, prefix: 'copy' }];
        const backends = { [`${era}-plain`]: plain.url, [`${era}-copy`]: copy.url };
        const spec = { members, conflicts: 'PRIORITY' };
        return federatedRoute({ name: era, backends, spec, anonymous: true, rules: ['true'] });
      }),
    );
    const config = join(folder, 'signalbox.yaml');
    await writeFile(config, yaml([gateway(), tenant(), ...routes.flat()]));
    proxy = await startFileNode(config);
  });

  afterAll(async () => {
    await proxy.stop();
    await Promise.all(servers.map((server) => server.stop()));
    await rm(folder, { recursive: true, force: true });
  });

  it.each(cells)(
    '$era, requirements of $requirements: fails only what fails with one server',
    async ({ era, requirements }) => {
      const url = proxy.endpoint('acme', era).replace('127.0.0.1', 'localhost');
      const { failed, passed } = await runServerSuite(url, requirements);
      const baseline = await readBaseline(requirements);
      expect([...failed].filter(([check]) => !baseline.has(check))).toEqual([]);
      expect(passed.length).toBeGreaterThanOrEqual(80);
    },
    480_000,
  );
});
