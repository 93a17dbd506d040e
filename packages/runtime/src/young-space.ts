import { PerformanceObserver } from 'node:perf_hooks';
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';

/**
 * Both halves of V8's young generation together, in bytes. A server under load makes V8 double it up to 128 MiB: then it
 * takes more memory than thousands of streams, each collection has more to move at once, and none of it stays in a cache.
 */
export const youngSpaceBytes = 32 * 1024 * 1024;

let isBounded = false;

/**
 * Keeps the young generation of this process within {@link youngSpaceBytes}, as `--max-semi-space-size=16` would, however
 * the process was started. It may shrink and grow again below that. What it is at the first call does not get smaller.
 */
export function boundYoungSpace(): void {
  if (isBounded) return;
  isBounded = true;
  const observer = new PerformanceObserver(() => {
    const young = getHeapSpaceStatistics().find(({ space_name: name }) => name === 'new_space');
    const isBelow = (young?.space_size ?? 0) < youngSpaceBytes;
    // Each time: other threads of the process have heaps of their own and the same flag.
    setFlagsFromString(`--semi-space-growth-factor=${isBelow ? usualGrowth : noGrowth}`);
  });
  observer.observe({ entryTypes: ['gc'] });
}

/** By how much V8 multiplies it when much of it survives. */
const usualGrowth = 2;
const noGrowth = 1;
