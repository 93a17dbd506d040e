import { getHeapStatistics } from 'node:v8';

/** Memory in use, as a share of what the process may have: of the heap's limit or of the cgroup's, whichever is nearer. */
export function memoryShare(): number {
  const { used_heap_size: used, heap_size_limit: limit } = getHeapStatistics();
  const allowed = process.constrainedMemory();
  // 0, or more than any machine has: no bound is set.
  const ofMachine = allowed > 0 && allowed < 2 ** 50 ? process.memoryUsage.rss() / allowed : 0;
  return Math.max(used / limit, ofMachine);
}
