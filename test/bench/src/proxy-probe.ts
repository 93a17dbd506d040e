// A proxy that can be looked into: started like the real one, from its settings. On SIGUSR2 it collects garbage, prints a line
// `STATS <count> {…}` and starts its measurements anew.
import { readProxySettings, startProxy } from '@signalbox/proxy';
import { jsonLogger } from '@signalbox/runtime';

import { type Stall, StallMeter } from './stall-meter.ts';

/** What a `STATS` line says since the one before. */
export interface ProbeStats {
  readonly stall: Stall;
  /** After a full collection, in bytes. */
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
  // As far as V8 goes when memory is short: what stays is what is used.
  globalThis.gc?.({ type: 'major', execution: 'sync', flavor: 'last-resort' });
  const { rss, heapUsed, external } = process.memoryUsage();
  const stats: ProbeStats = { stall, residentBytes: rss, heapBytes: heapUsed, externalBytes: external };
  meter.reset();
  reports += 1;
  console.log(`STATS ${reports} ${JSON.stringify(stats)}`);
}

process.on('SIGUSR2', report);
process.on('SIGTERM', () => void proxy.stop(500, 0).then(() => process.exit(0)));
console.log('probe ready');
