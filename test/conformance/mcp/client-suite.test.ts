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

import { type ClientRelay, startClientRelay } from './client-relay.ts';
import { runClientScenario } from './suite.ts';

/**
 * What the suite requires of clients, by revision, without those of OAuth: the gateway has no flows of its own towards servers. Checks
 * that pass, as first measured: fewer mean that something was not exercised.
 */
const revisions = [
  {
    revision: '2026-07-28',
    era: 'modern',
    scenarios: [
      ['tools_call', 2],
      ['request-metadata', 6],
      ['sep-2322-client-request-state', 5],
      ['http-standard-headers', 9],
      ['http-custom-headers', 18],
      ['http-invalid-tool-headers', 12],
      ['json-schema-ref-no-deref', 1],
    ],
  },
  {
    revision: '2025-11-25',
    era: 'legacy',
    scenarios: [
      ['initialize', 1],
      ['tools_call', 1],
      ['elicitation-sep1034-client-defaults', 5],
      ['sse-retry', 3],
    ],
  },
] as const;

describe.each(revisions)(
  'the public conformance suite for clients at $revision, with a gateway and a legacy client behind it as the client',
  ({ revision, era, scenarios }) => {
    let folder: string;
    let relay: ClientRelay;
    let proxy: ProxyProcess;

    beforeAll(async () => {
      relay = await startClientRelay(era);
      folder = await mkdtemp(join(tmpdir(), 'signalbox-client-suite-'));
      const config = join(folder, 'signalbox.yaml');
      const routes = scenarios.flatMap(([scenario]) => {
        const name = scenario.replaceAll('_', '-');
        return mcpRoute({ name, url: relay.backend(scenario), anonymous: true, rules: ['true'] });
      });
      await writeFile(config, yaml([gateway(), tenant(), ...routes]));
      proxy = await startProxyProcess({ config });
      await proxyReady(proxy);
    });

    afterAll(async () => {
      await proxy.stop();
      await relay.stop();
      await rm(folder, { recursive: true, force: true });
    });

    it.each([...scenarios])('%s: nothing is wrong with what its server sees', async (scenario, checks) => {
      const endpoint = proxy.endpoint('acme', scenario.replaceAll('_', '-'));
      const { failed, passed } = await runClientScenario(revision, scenario, [relay.register(scenario), endpoint]);
      expect(Object.fromEntries(failed)).toEqual({});
      expect(passed.length).toBeGreaterThanOrEqual(checks);
    });
  },
);
