import { join } from 'node:path';

import { defineConfig } from 'vitest/config';

const everywhere = {
  // No module has state: files of a worker share them. To load them anew for each took a quarter of the time.
  isolate: false,
  // Node runs our files as they stand, in tests as in the product: nothing is transformed, and what is compiled is kept.
  experimental: { viteModuleRunner: false, nodeLoader: false },
  env: { NODE_COMPILE_CACHE: join(import.meta.dirname, 'node_modules/.cache/compile') },
};

// Ten times what the longest of them takes alone: the machine may do other things too.
const stories = { ...everywhere, testTimeout: 120_000, hookTimeout: 120_000, expect: { poll: { timeout: 30_000 } } };
const postgres = 'test/harness/src/global-setup.ts';

/**
 * Stories in which the bytes between client and gateway are the point: framing, answers in pieces, streams and how they
 * end, clients that leave or stall, what is counted of them. The others ask what a node decides, and a codec is only in
 * the way; `npm run e2e:node-codec` runs them all.
 */
const wireStories = [
  'bad-input',
  'drain-on-sigterm',
  'hot-swap-keeps-streams',
  'outcome-events',
  'sdk-clients',
  'sessions',
  'stalled-readers',
  'tools-call-legacy',
  'tools-call-modern',
];

export default defineConfig({
  test: {
    // Stories with real engines wait more than they compute: left alone, one worker would run on two cores, half idle.
    maxWorkers: 3,
    ...everywhere,
    projects: [
      {
        test: {
          ...everywhere,
          name: 'unit',
          include: [
            'packages/*/src/**/*.test.ts',
            'test/tidy.test.ts',
            'test/sim/src/**/*.test.ts',
            'test/fuzz/src/**/*.test.ts',
          ],
          // Property tests on a machine that others use as well.
          testTimeout: 30_000,
        },
      },
      {
        test: {
          ...stories,
          name: 'e2e',
          include: [
            ...['e2e', 'fault', 'interop'].map((folder) => `test/${folder}/src/**/*.test.ts`),
            'test/conformance/*/**/*.test.ts',
          ],
          globalSetup: [postgres, 'test/interop/src/global-setup.ts'],
        },
      },
      {
        test: {
          ...stories,
          name: 'e2e-node-codec',
          include: wireStories.map((story) => `test/e2e/src/${story}.test.ts`),
          globalSetup: [postgres],
          env: { ...everywhere.env, SIGNALBOX_TEST_HTTP_CODEC: 'node' },
        },
      },
    ],
  },
});
