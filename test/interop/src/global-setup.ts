import type { TestProject } from 'vitest/node';

import { envoyBinary, envoyVersions } from './envoy-binary.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    /** Path of a stock Envoy; empty where there is none, and what needs it is skipped. */
    envoy: string;
    /** The same of the last Envoy without filters for MCP. */
    olderEnvoy: string;
  }
}

/** Finds or installs the proxies of others once for the whole run. */
export default async function setup(project: TestProject): Promise<void> {
  project.provide('envoy', (await envoyBinary(envoyVersions.newest, 'SIGNALBOX_TEST_ENVOY')) ?? '');
  project.provide('olderEnvoy', (await envoyBinary(envoyVersions.older, 'SIGNALBOX_TEST_OLDER_ENVOY')) ?? '');
}
