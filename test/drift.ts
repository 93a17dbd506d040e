// Checks that what is generated and committed is what the generators make: protobuf code, the JSON schema for editors, the
// settings page. `--write` rewrites the settings page. Exit status 1 says what to run.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';

import { renderSettingsPage } from './tidy/settings-page.ts';
import { root } from './tidy/repository.ts';

const settingsPage = join(root, 'docs/settings.md');

/** Runs a program of the workspace. @returns its output when it failed, undefined when it did not. */
function failure(command: string, args: readonly string[]): string | undefined {
  const path = `${join(root, 'node_modules/.bin')}${delimiter}${process.env['PATH'] ?? ''}`;
  const result = spawnSync(command, args, { cwd: root, encoding: 'utf8', env: { ...process.env, PATH: path } });
  return result.status === 0 ? undefined : `${result.error?.message ?? ''}${result.stdout}${result.stderr}`.trim();
}

/** Contents of a folder by relative path. */
function tree(folder: string): Map<string, string> {
  const paths = existsSync(folder) ? readdirSync(folder, { recursive: true, withFileTypes: true }) : [];
  const files = paths.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return new Map(files.map((file) => [file.slice(folder.length + 1), readFileSync(file, 'utf8')]));
}

function generatedCode(): string[] {
  const out = mkdtempSync(join(tmpdir(), 'signalbox-drift-'));
  try {
    const failed = failure('buf', ['generate', '-o', out]);
    if (failed !== undefined) return [`buf generate failed: ${failed}`];
    const fresh = tree(join(out, 'packages/proto/src'));
    const committed = tree(join(root, 'packages/proto/src'));
    return [...new Set([...fresh.keys(), ...committed.keys()])]
      .filter((path) => fresh.get(path) !== committed.get(path))
      .map((path) => `packages/proto/src/${path} is not what proto/ says: run npm run gen`);
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
}

function jsonSchema(): string[] {
  const failed = failure(process.execPath, ['packages/config/src/json-schema/main.ts', '--check']);
  return failed === undefined ? [] : [`the JSON schema is stale: run npm run gen\n${failed}`];
}

async function settings(): Promise<string[]> {
  const wanted = await renderSettingsPage();
  if (process.argv.includes('--write')) writeFileSync(settingsPage, wanted);
  const present = existsSync(settingsPage) ? readFileSync(settingsPage, 'utf8') : '';
  return present === wanted ? [] : ['docs/settings.md is not what the settings say: run node test/drift.ts --write'];
}

const problems = [...generatedCode(), ...jsonSchema(), ...(await settings())];
for (const problem of problems) console.error(problem);
if (problems.length === 0) console.log('generated files are what their sources say');
process.exitCode = problems.length === 0 ? 0 : 1;
