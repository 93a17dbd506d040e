import { readdir, readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';

/** Items of the acceptance list for discovery. */
const items = Array.from({ length: 63 }, (_, i) => i + 1);

/** Titles begin with the number of the item. */
const title = /\bit(?:\.each\((?:[^()]|\([^()]*\))*\)|\.each\(\[[\s\S]*?\n\]\))?\(\s*['"`](\d+)\. /g;

it('Every item of the acceptance list has a test that names its number, and no test is left out.', async () => {
  const folder = import.meta.dirname;
  const files = (await readdir(folder)).filter((file) => file.endsWith('.test.ts'));
  const texts = await Promise.all(files.map((file) => readFile(`${folder}/${file}`, 'utf8')));
  const covered = new Set(texts.flatMap((text) => [...text.matchAll(title)].map((match) => Number(match[1]))));
  expect(items.filter((item) => !covered.has(item))).toEqual([]);
  expect([...covered].filter((item) => !items.includes(item))).toEqual([]);
  expect(texts.join('\n')).not.toMatch(/\bit\.(?:skip|todo|fails|only|skipIf|runIf)\b/);
});
