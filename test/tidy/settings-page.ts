import { globSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';

import { root } from './repository.ts';

/** One declared setting; see `Setting` in packages/runtime/src/settings.ts. */
interface Declared {
  readonly name: string;
  readonly unit: string;
  readonly fallback: string | undefined;
  readonly doc: string;
}

function isSetting(value: unknown): value is Declared {
  return typeof value === 'object' && value !== null && 'parse' in value && 'doc' in value && 'unit' in value;
}

/** Settings in the objects that a module exports, in the order of their declaration. */
function declaredIn(module: Record<string, unknown>): Declared[] {
  const groups = Object.values(module).filter((value) => typeof value === 'object' && value !== null);
  const all = groups.flatMap((group) => Object.values(group as object).filter(isSetting));
  return [...new Map(all.map((setting) => [setting.name, setting])).values()];
}

const heading = `# Settings

Generated from the declarations in \`packages/*/src/**/settings.ts\` by \`node test/drift.ts --write\`. Every setting is an
environment variable, read once when its process starts; a value that cannot be used stops the start with a message that
names it. Resources, which people change while everything runs, are something else: see ARCHITECTURE.md.
A setting that several processes share stands with the first; \`signalbox relay --help\` and the like list all of a process.
`;

const titles: Readonly<Record<string, string>> = {
  'control-plane': 'Control plane',
  'control-plane/src/relay': 'Relay',
  proxy: 'Proxy',
  signalbox: 'Command line and `up`',
};

/** docs/settings.md, from the declarations. */
export async function renderSettingsPage(): Promise<string> {
  const files = globSync('packages/*/src/**/settings.ts', { cwd: root }).filter(
    (file) => !file.startsWith('packages/runtime/'),
  );
  const sections: string[] = [];
  const shownAlready = new Set<string>();
  // A process's own file comes first: it holds those of its parts as well.
  for (const file of files.toSorted((a, b) => depth(a) - depth(b) || (a < b ? -1 : 1))) {
    const module = (await import(pathToFileURL(join(root, file)).href)) as Record<string, unknown>;
    const declared = declaredIn(module);
    if (declared.length === 0) throw new Error(`${file} exports no settings`);
    const settings = declared.filter(({ name }) => !shownAlready.has(name));
    for (const { name } of settings) shownAlready.add(name);
    if (settings.length === 0) continue;
    const folder = dirname(file).replace('packages/', '');
    sections.push(section(titles[folder] ?? titles[file.split('/')[1] ?? ''] ?? file, settings));
  }
  return [heading, ...sections].join('\n');
}

function depth(file: string): number {
  return file.split('/').length;
}

function section(title: string, settings: readonly Declared[]): string {
  const rows = settings.map(
    ({ name, unit, fallback, doc }) => `| \`${name}\` | ${cell(unit)} | ${shown(fallback)} | ${cell(doc)} |`,
  );
  return [
    `## ${title}`,
    '',
    '| variable | unit or form | default | meaning |',
    '| --- | --- | --- | --- |',
    ...rows,
    '',
  ].join('\n');
}

function shown(fallback: string | undefined): string {
  if (fallback === undefined) return 'required';
  return fallback === '' ? 'none' : `\`${cell(fallback)}\``;
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ');
}
