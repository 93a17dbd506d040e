import { readdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

import { elsewhere } from './elsewhere.ts';

/** Behaviours of MCP gateways, and those of the list that are not the proxy's. */
const behaviours = Array.from({ length: 63 }, (_, i) => i + 1);
const ofOthers: ReadonlyMap<number, string> = new Map([
  [55, 'servers on stdio are run by a runner, which is not part of the proxy'],
]);

/** Titles begin with the number of the behaviour. */
const title = /\bit(?:\.each\((?:[^()]|\([^()]*\))*\)|\.each\(\[[\s\S]*?\n\s*\]\))?\(\s*['"`](\d+)\. /g;

const root = fileURLToPath(new URL('../../../../', import.meta.url));

it('Every behaviour has a test that names its number, or one elsewhere that is known by its title, and none is left out.', async () => {
  const files = (await readdir(import.meta.dirname)).filter((file) => file.endsWith('.test.ts'));
  const texts = await Promise.all(files.map((file) => readFile(`${import.meta.dirname}/${file}`, 'utf8')));
  const named = texts.flatMap((text) => [...text.matchAll(title)].map((match) => Number(match[1])));
  const covered = new Set([...named, ...Object.keys(elsewhere).map(Number)]);
  expect(behaviours.filter((item) => !covered.has(item) && !ofOthers.has(item))).toEqual([]);
  expect([...covered].filter((item) => !behaviours.includes(item) || ofOthers.has(item))).toEqual([]);
  expect(texts.join('\n')).not.toMatch(/\bit\.(?:skip|todo|fails|only|skipIf|runIf)\b/);
});

it('Tests elsewhere are where they are said to be, and are run.', async () => {
  for (const { file, titles } of Object.values(elsewhere).flat()) {
    const text = await readFile(root + file, 'utf8');
    const absent = titles.filter((one) => !text.includes(one));
    expect([file, absent]).toEqual([file, []]);
    expect(text).not.toMatch(/\b(?:it|describe)\.(?:skip|todo|fails|only|skipIf|runIf)\b/);
  }
});
