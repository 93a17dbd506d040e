import { freePort } from '@signalbox/test-harness';

import { type Child, startChild } from './child.ts';
import { gatewayCore } from './machine.ts';
import type { ProbeStats } from './proxy-probe.ts';
import { temporaryFolder } from './targets.ts';

/** A proxy in a process of its own that tells about its event loop and its memory. */
export interface Probe {
  readonly process: Child;
  readonly port: number;
  /** Since the last call, or the start. */
  stats(): Promise<ProbeStats>;
  /** The same after a full collection. */
  collectedStats(): Promise<ProbeStats>;
}

/** @param env where its configuration comes from. */
export async function startProbe(env: Readonly<Record<string, string>>): Promise<Probe> {
  const [port, adminPort] = [await freePort(), await freePort()];
  const entry = new URL('proxy-probe.ts', import.meta.url).pathname;
  const child = startChild(
    gatewayCore,
    [process.execPath, '--expose-gc', '--disable-warning=ExperimentalWarning', entry],
    {
      SIGNALBOX_LOG_LEVEL: 'warn',
      SIGNALBOX_PROXY_LISTEN: `127.0.0.1:${port}`,
      SIGNALBOX_PROXY_ADMIN_LISTEN: `127.0.0.1:${adminPort}`,
      SIGNALBOX_PROXY_STATE: temporaryFolder(),
      SIGNALBOX_PROXY_NODE_ID: 'bench',
      ...env,
    },
  );
  await child.says(/probe ready/);
  let asked = 0;
  const ask = async (signal: NodeJS.Signals) => {
    asked += 1;
    process.kill(child.pid, signal);
    const [, text = ''] = await child.says(new RegExp(`^STATS ${asked} (.*)$`, 'm'));
    return JSON.parse(text) as ProbeStats;
  };
  return { process: child, port, stats: () => ask('SIGUSR2'), collectedStats: () => ask('SIGHUP') };
}
