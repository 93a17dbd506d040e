// A proxy that can be looked into: started like the real one, from its settings. On SIGUSR2 it prints a line
// `STATS <count> {…}` and starts its measurements anew; on SIGHUP it collects its garbage first.
import { readProxySettings, startProxy } from '@signalbox/proxy';
import { jsonLogger } from '@signalbox/runtime';

import { type Stall, StallMeter } from './stall-meter.ts';

/** What a `STATS` line says since the one before. */
export interface ProbeStats {
  readonly stall: Stall;
  /** In bytes. */
  readonly residentBytes: number;
  readonly heapBytes: number;
  readonly externalBytes: number;
}

const settings = readProxySettings(process.env);
const proxy = await startProxy({ settings, environment: process.env, logger: jsonLogger(settings.logLevel) });

const meter = new StallMeter();
let reports = 0;

function report(): void {
  const stall = meter.longest;
  const { rss, heapUsed, external } = process.memoryUsage();
  const stats: ProbeStats = { stall, residentBytes: rss, heapBytes: heapUsed, externalBytes: external };
  meter.reset();
  reports += 1;
  console.log(`STATS ${reports} ${JSON.stringify(stats)}`);
}

process.on('SIGUSR2', report);
process.on('SIGHUP', () => {
  // An ordinary full collection, as a process has them all the time; not the last resort of one that runs out of memory.
  globalThis.gc?.({ type: 'major', execution: 'sync' });
  report();
});
process.on('SIGTERM', () => void proxy.stop(500, 0).then(() => process.exit(0)));
console.log('probe ready');
