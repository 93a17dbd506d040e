// A proxy that can be looked into: started like the real one, from its settings. On SIGUSR2 it collects garbage, prints a line
// `STATS {…}` and starts its measurements anew.
import { monitorEventLoopDelay } from 'node:perf_hooks';

import { readProxySettings, startProxy } from '@signalbox/proxy';
import { jsonLogger } from '@signalbox/runtime';

/** What a `STATS` line says since the one before. */
export interface ProbeStats {
  /** Longest time that the event loop was late, in milliseconds. */
  readonly longestStallMs: number;
  /** After a full collection, in bytes. */
  readonly residentBytes: number;
  readonly heapBytes: number;
  readonly externalBytes: number;
}

const settings = readProxySettings(process.env);
const proxy = await startProxy({ settings, environment: process.env, logger: jsonLogger(settings.logLevel) });

// The monitor's own timer ticks each millisecond; a delay of one tick is no stall.
const tickMs = 1;
const delay = monitorEventLoopDelay({ resolution: tickMs });
delay.enable();

function report(): void {
  const longestStallMs = Math.max(0, delay.max / 1e6 - tickMs);
  for (let i = 0; i < 3; i += 1) globalThis.gc?.();
  const { rss, heapUsed, external } = process.memoryUsage();
  const stats: ProbeStats = { longestStallMs, residentBytes: rss, heapBytes: heapUsed, externalBytes: external };
  console.log(`STATS ${JSON.stringify(stats)}`);
  delay.reset();
}

process.on('SIGUSR2', report);
process.on('SIGTERM', () => void proxy.stop(500, 0).then(() => process.exit(0)));
console.log('probe ready');
