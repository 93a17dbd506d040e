import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import {
  gateway,
  mcpRoute,
  proxyReady,
  type ProxyProcess,
  startProxyProcess,
  tenant,
  yaml,
} from '@signalbox/test-harness';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { readBaseline } from './baseline.ts';
import type { Fixture } from './fixture/fixture.ts';
import { startLegacyServer } from './fixture/legacy-server.ts';
import { startModernServer } from './fixture/modern-server.ts';
import { type Requirements, runServerSuite, type SuiteResult } from './suite.ts';

const cells: readonly { readonly era: 'legacy' | 'modern'; readonly requirements: Requirements }[] = [
  { era: 'legacy', requirements: '2025-11-25' },
  { era: 'modern', requirements: '2026-07-28' },
];

describe('the public conformance suite, client and server of one era', () => {
  const servers = new Map<string, Fixture>();
  let folder: string;
  let proxy: ProxyProcess;

  beforeAll(async () => {
    servers.set('legacy', await startLegacyServer());
    servers.set('modern', await startModernServer());
    folder = await mkdtemp(join(tmpdir(), 'signalbox-conformance-'));
    const config = join(folder, 'signalbox.yaml');
    const routes = [...servers].flatMap(([name, { url }]) => mcpRoute({ name, url, anonymous: true, rules: ['true'] }));
    await writeFile(config, yaml([gateway(), tenant(), ...routes]));
    proxy = await startProxyProcess({ config });
    await proxyReady(proxy);
  });

  afterAll(async () => {
    await proxy.stop();
    await Promise.all([...servers.values()].map((server) => server.stop()));
    await rm(folder, { recursive: true, force: true });
  });

  describe.each(cells)('$era, requirements of $requirements', ({ era, requirements }) => {
    let direct: SuiteResult;
    let through: SuiteResult;

    beforeAll(async () => {
      direct = await runServerSuite(servers.get(era)?.url ?? '', requirements);
      const url = proxy.endpoint('acme', era).replace('127.0.0.1', 'localhost');
      through = await runServerSuite(url, requirements);
    }, 480_000);

    it('says the same of a server and of the gateway in front of it', () => {
      const sorted = (checks: Iterable<string>) => [...checks].sort();
      expect(sorted(through.failed.keys())).toEqual(sorted(direct.failed.keys()));
      expect(sorted(through.passed)).toEqual(sorted(direct.passed));
    });

    it('finds no more to fail than the baseline says, and no less', async () => {
      const baseline = await readBaseline(requirements);
      expect([...through.failed.keys()].sort()).toEqual([...baseline.keys()].sort());
    });
  });
});
