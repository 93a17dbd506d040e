import { dirname, join, normalize } from 'node:path/posix';

import { code, type Repository } from './repository.ts';

const base = ['proto', 'runtime', 'config', 'xds', 'audit'];

/** Who may import whom. Keys are folders of `packages/`; arrows go down only. */
const packageGraph: Readonly<Record<string, readonly string[]>> = {
  proto: [],
  runtime: [],
  config: ['proto'],
  certificates: [],
  xds: ['proto', 'runtime'],
  audit: ['proto', 'runtime'],
  'control-plane': [...base, 'certificates'],
  proxy: [...base, 'certificates'],
  signalbox: [...base, 'certificates', 'control-plane', 'proxy'],
};

interface Manifest {
  readonly name?: string;
  readonly dependencies?: Record<string, string>;
  readonly devDependencies?: Record<string, string>;
  readonly exports?: Record<string, string>;
}

interface Member {
  /** `packages/proxy`. */
  readonly folder: string;
  readonly manifest: Manifest;
  /** Names of workspace packages that the manifest declares. */
  readonly workspace: readonly string[];
  /** Folders that tsconfig.json refers to. */
  readonly references: readonly string[];
}

/** Folder of a workspace package by its name. */
function folderOf(name: string): string | undefined {
  if (name === 'signalbox') return 'packages/signalbox';
  const match = /^@signalbox\/(test-)?([a-z0-9-]+)$/.exec(name);
  if (!match?.[2]) return undefined;
  return match[1] === undefined ? `packages/${match[2]}` : `test/${match[2]}`;
}

function members(repository: Repository): Member[] {
  return [...repository].flatMap(([path, text]) => {
    const folder = /^((?:packages|test)\/[a-z0-9-]+)\/package\.json$/.exec(path)?.[1];
    if (folder === undefined) return [];
    const manifest = JSON.parse(text) as Manifest;
    const declared = Object.keys({ ...manifest.dependencies, ...manifest.devDependencies });
    const tsconfig = JSON.parse(repository.get(`${folder}/tsconfig.json`) ?? '{}') as {
      references?: { path: string }[];
    };
    const references = (tsconfig.references ?? []).map(({ path: to }) => normalize(join(folder, to)));
    return [{ folder, manifest, workspace: declared.filter((name) => folderOf(name) !== undefined), references }];
  });
}

/** Edges of the manifests that the graph does not have. */
export function edgesOutsideTheGraph(repository: Repository): string[] {
  return members(repository).flatMap(({ folder, workspace }) => {
    if (folder.startsWith('test/')) return [];
    const allowed = packageGraph[folder.slice('packages/'.length)];
    if (!allowed) return [`${folder}: not in the package graph of test/tidy/packages.ts`];
    return workspace
      .filter((name) => !allowed.includes((folderOf(name) ?? '').slice('packages/'.length)))
      .map((name) => `${folder}/package.json: may not depend on ${name}`);
  });
}

/** tsconfig references that say something else than the manifest. */
export function referencesUnlikeManifests(repository: Repository): string[] {
  return members(repository).flatMap(({ folder, workspace, references }) => {
    const wanted = workspace.map((name) => folderOf(name) as string).sort();
    const missing = wanted
      .filter((to) => !references.includes(to))
      .map((to) => `${folder}/tsconfig.json: lacks a reference to ${to}`);
    const extra = references
      .filter((to) => !wanted.includes(to))
      .map((to) => `${folder}/tsconfig.json: refers to ${to}, which package.json does not declare`);
    return [...missing, ...extra];
  });
}

const importPattern =
  /(?:^|[\s;])(?:import|export)\s[^'"`;]*?from\s*['"]([^'"]+)['"]|(?:^|[\s;])import\s*['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]/g;

function imports(text: string): string[] {
  return [...text.matchAll(importPattern)].map((match) => match[1] ?? match[2] ?? match[3] ?? '');
}

/** Imports of workspace packages that are undeclared, not exported, or reach into another package by path. */
export function importsAcrossPackages(repository: Repository): string[] {
  return members(repository).flatMap(({ folder, workspace }) =>
    code(repository, new RegExp(`^${folder}/`)).flatMap(([path, text]) =>
      imports(text).flatMap((specifier) => {
        if (specifier.startsWith('.')) {
          const target = normalize(join(dirname(path), specifier));
          return target.startsWith(`${folder}/`)
            ? []
            : [`${path}: reaches ${target} by path; import the package instead`];
        }
        const name = /^(?:@[^/]+\/)?[^/]+/.exec(specifier)?.[0] ?? '';
        const to = folderOf(name);
        if (to === undefined || specifier.startsWith('node:')) return [];
        if (to === folder || !workspace.includes(name))
          return [`${path}: imports ${specifier}, which ${folder}/package.json does not declare`];
        return [];
      }),
    ),
  );
}

/** Declared workspace packages that nothing imports: an edge that is not there. */
export function edgesWithoutImports(repository: Repository): string[] {
  return members(repository).flatMap(({ folder, workspace }) => {
    const used = new Set(
      code(repository, new RegExp(`^${folder}/`)).flatMap(([, text]) =>
        imports(text).map((specifier) => /^(?:@[^/]+\/)?[^/]+/.exec(specifier)?.[0] ?? ''),
      ),
    );
    return workspace
      .filter((name) => !used.has(name))
      .map((name) => `${folder}/package.json: declares ${name} and never imports it`);
  });
}
