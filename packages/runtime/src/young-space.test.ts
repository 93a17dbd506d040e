import { execFileSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { youngSpaceBytes } from './young-space.ts';

/** Makes what survives for a while, until V8 has made its young generation as large as it will. Prints its largest size. */
const script = `
  import { getHeapSpaceStatistics } from 'node:v8';
  const { boundYoungSpace } = await import(${JSON.stringify(new URL('young-space.ts', import.meta.url))});
  if (process.env.BOUND === 'yes') boundYoungSpace();
  const recent = [];
  let largest = 0;
  for (let round = 0; round < 400; round += 1) {
    recent.push(Array.from({ length: 5_000 }, (_, at) => ({ at, text: String(at) })));
    if (recent.length > 20) recent.shift();
    await new Promise((resolve) => setImmediate(resolve));
    const young = getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space');
    largest = Math.max(largest, young.space_size);
  }
  console.log(largest);
`;

it.each([
  ['within its bound', 'yes', true],
  ['larger where nothing bounds it', 'no', false],
])('the young generation of a busy process is %s', (_name, bound, isWithin) => {
  const environment = { ...process.env, BOUND: bound };
  const output = execFileSync(process.execPath, ['--input-type=module', '--eval', script], { env: environment });
  expect(Number(output) <= youngSpaceBytes).toBe(isWithin);
});
