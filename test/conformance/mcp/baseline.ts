import { readFile } from 'node:fs/promises';

import { parse } from 'yaml';

import type { Requirements } from './suite.ts';

/** Of a server of the client's era, or of one of the other. */
type BaselineName = Requirements | '2026-07-28.legacy-server';

/** Checks that are known to fail, `scenario:check`, each with its reason. The file only shrinks. */
export async function readBaseline(name: BaselineName): Promise<ReadonlyMap<string, string>> {
  const file = new URL(`baseline/${name}.yaml`, import.meta.url);
  const groups = parse(await readFile(file, 'utf8')) as readonly {
    readonly reason: string;
    readonly checks: string[];
  }[];
  return new Map(groups.flatMap(({ reason, checks }) => checks.map((check) => [check, reason] as const)));
}
