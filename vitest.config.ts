import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['packages/*/src/**/*.test.ts', 'test/tidy.test.ts'],
          isolate: false,
          // Property tests on a machine that others use as well.
          testTimeout: 30_000,
        },
      },
      {
        test: {
          name: 'e2e',
          include: ['test/e2e/src/**/*.test.ts', 'test/conformance/*/**/*.test.ts', 'test/fault/src/**/*.test.ts'],
          globalSetup: ['test/harness/src/global-setup.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'interop',
          include: ['test/interop/src/**/*.test.ts'],
          globalSetup: ['test/harness/src/global-setup.ts', 'test/interop/src/global-setup.ts'],
          testTimeout: 60_000,
          hookTimeout: 240_000,
        },
      },
    ],
  },
});
