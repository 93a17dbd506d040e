import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { expect, it } from 'vitest';

/** With a heap of its own, that is soon full: says when marking is seen to begin, and when to end. */
const script = `
  const { heapMarking } = await import(${JSON.stringify(new URL('heap-marking.ts', import.meta.url))});
  const { parentPort } = await import('node:worker_threads');
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  const kept = [];
  while (!heapMarking.isUnderWay) {
    for (let i = 0; i < 5_000; i += 1) kept.push({ i, text: String(i) });
    await turn();
  }
  parentPort.postMessage('begins');
  while (heapMarking.isUnderWay) await turn();
  parentPort.postMessage('ends');
`;

it('marking of the old generation is seen to begin and to end', async () => {
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(script)}`), {
    execArgv: [],
    resourceLimits: { maxOldGenerationSizeMb: 128 },
  });
  const seen: unknown[] = [];
  worker.on('message', (message) => seen.push(message));
  await once(worker, 'exit');
  expect(seen).toEqual(['begins', 'ends']);
});
