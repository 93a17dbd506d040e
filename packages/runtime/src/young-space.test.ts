import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { expect, it } from 'vitest';
import { youngSpaceBytes } from './young-space.ts';

/** With a heap of its own, makes what survives for a while, until V8 has made its young generation as large as it will. */
const script = `
  import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';
  import { parentPort, workerData } from 'node:worker_threads';
  const { boundYoungSpace } = await import(${JSON.stringify(new URL('young-space.ts', import.meta.url))});
  if (workerData.isBounded) boundYoungSpace();
  // Another test of this process may have bounded its own.
  const unbound = () => workerData.isBounded || setFlagsFromString('--semi-space-growth-factor=2');
  const recent = [];
  let largest = 0;
  for (let round = 0; round < 300; round += 1) {
    unbound();
    recent.push(Array.from({ length: 5_000 }, (_, at) => ({ at, text: String(at) })));
    if (recent.length > 20) recent.shift();
    await new Promise((resolve) => setImmediate(resolve));
    const young = getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space');
    largest = Math.max(largest, young.space_size);
  }
  parentPort.postMessage(largest);
`;

it.each([
  ['larger where nothing bounds it', false],
  ['within its bound', true],
])('the young generation of a busy process is %s', async (_name, isBounded) => {
  const url = new URL(`data:text/javascript,${encodeURIComponent(script)}`);
  const worker = new Worker(url, { execArgv: [], workerData: { isBounded } });
  const [largest] = (await once(worker, 'message')) as [number];
  expect(largest <= youngSpaceBytes).toBe(isBounded);
});
