import { readdir, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { usage } from '../failure.ts';

const extensions = /\.(ya?ml|json)$/;

/**
 * The files that `-f` arguments mean, in order: a file as it is, a folder as every YAML and JSON file below it by
 * name (hidden ones left out), `-` as standard input.
 */
export async function resourcePaths(cwd: string, given: readonly string[]): Promise<readonly string[]> {
  const found = await Promise.all(given.map((path) => filesOf(cwd, path)));
  return [...new Set(found.flat())];
}

async function filesOf(cwd: string, path: string): Promise<readonly string[]> {
  if (path === '-') return [path];
  const information = await stat(resolve(cwd, path)).catch(() => undefined);
  if (!information) throw usage(`${path}: there is no such file or folder`);
  if (!information.isDirectory()) return [path];
  const entries = await readdir(resolve(cwd, path), { recursive: true });
  const files = entries
    .filter((entry) => extensions.test(entry) && !entry.split('/').some((part) => part.startsWith('.')))
    .toSorted()
    .map((entry) => join(path, entry));
  if (files.length === 0) throw usage(`${path}: the folder has no .yaml, .yml or .json file`);
  return files;
}
