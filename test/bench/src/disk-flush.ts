import { closeSync, fdatasyncSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';

import { temporaryFolder } from './targets.ts';

/** How long the disk takes to keep one page of a log, in milliseconds: no commit that is to last is faster. */
export interface DiskFlush {
  readonly p50Ms: number;
  readonly p99Ms: number;
}

const flushes = 300;
const page = Buffer.alloc(8_192);

/** Writes a page and has it kept (`fdatasync`, as Postgres does), again and again in the same place. */
export function measureDiskFlush(): DiskFlush {
  const file = openSync(join(temporaryFolder(), 'page'), 'w');
  const times = Array.from({ length: flushes }, () => {
    writeSync(file, page, 0, page.length, 0);
    const started = performance.now();
    fdatasyncSync(file);
    return performance.now() - started;
  }).toSorted((a, b) => a - b);
  closeSync(file);
  const at = (share: number) => times[Math.floor(times.length * share)] ?? Number.NaN;
  return { p50Ms: at(0.5), p99Ms: at(0.99) };
}
