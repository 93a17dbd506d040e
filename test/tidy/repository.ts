import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Text of every file that people write, by path from the root, with `/`. */
export type Repository = ReadonlyMap<string, string>;

export const root = fileURLToPath(new URL('../..', import.meta.url));

const ignoredFolders = new Set(['node_modules', 'dist', '.git', '.cache', '.signalbox']);
/** The rules name what they forbid. */
const ignoredPaths = /^(?:packages\/proto\/src|test\/tidy(?:\.test\.ts)?|pnpm-lock\.yaml)$/;
const textFile = /\.(?:ts|json|md|proto|sql|yaml|yml|sh|lua|c)$/;

/** Reads the working tree, without generated code, the lockfile and the rules themselves. */
export function readRepository(): Repository {
  const files = new Map<string, string>();
  const walk = (folder: string): void => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = relative(root, join(folder, entry.name)).replaceAll('\\', '/');
      if (ignoredPaths.test(path)) continue;
      if (entry.isDirectory() && !ignoredFolders.has(entry.name)) walk(join(root, path));
      if (entry.isFile() && textFile.test(entry.name)) files.set(path, readFileSync(join(root, path), 'utf8'));
    }
  };
  walk(root);
  return files;
}

/** TypeScript files whose path matches, with their comments blanked out so that only code is judged. */
export function code(repository: Repository, path: RegExp): [path: string, code: string][] {
  return [...repository]
    .filter(([name]) => name.endsWith('.ts') && path.test(name))
    .map(([name, text]) => [name, withoutComments(text)]);
}

/** Keeps line numbers. Good enough for code that a formatter has laid out: a comment begins a line or follows a blank. */
function withoutComments(text: string): string {
  return text
    .replaceAll(/(?<=^|\s)\/\*[\s\S]*?\*\//g, (comment) => comment.replaceAll(/[^\n]/g, ' '))
    .replaceAll(/(?<=^|\s)\/\/.*$/gm, '');
}

/** `path:line` of every match, with the matched text. */
export function matches(files: readonly (readonly [string, string])[], pattern: RegExp): string[] {
  return files.flatMap(([path, text]) =>
    [...text.matchAll(new RegExp(pattern, `${pattern.flags.replace('g', '')}g`))].map(
      (match) => `${path}:${text.slice(0, match.index).split('\n').length}: ${match[0].trim()}`,
    ),
  );
}
