import { defineConfig } from 'vitest/config';

const e2e = {
  // Files share their modules: loading them anew for each took a quarter of the time. No module has state.
  isolate: false,
  globalSetup: ['test/harness/src/global-setup.ts'],
  testTimeout: 60_000,
  hookTimeout: 60_000,
};

/**
 * Stories in which the bytes between client and gateway are the point: framing, answers in pieces, streams and how they
 * end, clients that leave or stall, what is counted of them. The others ask what a node decides, and a codec is only in
 * the way; `npm run e2e:node-codec` runs them all.
 */
const wireStories = [
  'bad-input',
  'drain-on-sigterm',
  'hot-swap-keeps-streams',
  'http-and-a2a-routes',
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
    projects: [
      {
        test: {
          name: 'unit',
          include: ['packages/*/src/**/*.test.ts', 'test/tidy.test.ts', 'test/sim/src/**/*.test.ts'],
          isolate: false,
          // Property tests on a machine that others use as well.
          testTimeout: 30_000,
        },
      },
      {
        test: {
          ...e2e,
          name: 'e2e',
          include: ['test/e2e/src/**/*.test.ts', 'test/conformance/*/**/*.test.ts', 'test/fault/src/**/*.test.ts'],
        },
      },
      {
        test: {
          ...e2e,
          name: 'e2e-node-codec',
          include: wireStories.map((story) => `test/e2e/src/${story}.test.ts`),
          env: { SIGNALBOX_TEST_HTTP_CODEC: 'node' },
        },
      },
      {
        test: {
          name: 'interop',
          isolate: false,
          include: ['test/interop/src/**/*.test.ts'],
          globalSetup: ['test/harness/src/global-setup.ts', 'test/interop/src/global-setup.ts'],
          testTimeout: 60_000,
          hookTimeout: 240_000,
        },
      },
    ],
  },
});
