import { basename } from 'node:path/posix';

import {
  edgesOutsideTheGraph,
  edgesWithoutImports,
  importsAcrossPackages,
  referencesUnlikeManifests,
} from './packages.ts';
import { code, matches, type Repository } from './repository.ts';

/** A house rule that text can show. */
export interface Rule {
  /** The rule as a sentence. */
  readonly name: string;
  /** What breaks it: where, and what to do. */
  check(repository: Repository): string[];
}

/** Lines of a file, with comments and blanks. */
const maxLines = 600;
const vagueNames = /^(?:utils?|helpers?|common|misc|managers?|shared|core)(?:\.|$)/;
const packageCode = /^packages\/[^/]+\/src\/(?!.*\.test\.ts$)/;

/**
 * The one place in a package where the machine is touched: `runtime`, and the entries of processes. An entry is a file
 * named `main.ts`; a second entry of a package stands in a folder of its own (`json-schema/main.ts`,
 * `bundled/demo/main.ts`).
 */
const mayTouchTheMachine = /^packages\/runtime\/src\/|\/main\.ts$/;

const machine = new RegExp(
  [
    String.raw`\bDate\.now\b`,
    String.raw`\bnew Date\(\)`,
    String.raw`\bperformance\.now\b`,
    String.raw`\b(?:setTimeout|setInterval)\b`,
    String.raw`\bAbortSignal\.timeout\b`,
    String.raw`['"]node:timers`,
    String.raw`\bMath\.random\b`,
    String.raw`\bprocess\.env\b`,
    String.raw`\bconsole\.`,
  ].join('|'),
);

const kindWords =
  /\b(?:Gateway|Tenant|Backend|VirtualServer|Route|Policy|Manifest)\b|signalbox[./]config|@signalbox\/config/;

function lines(text: string): number {
  return text.split('\n').length - 1;
}

/** Names declared in the settings of a package: `SIGNALBOX_…`. */
function declaredSettings(repository: Repository): [path: string, name: string][] {
  return code(repository, /^packages\/(?!runtime\/)[^/]+\/src\/(?:.*\/)?settings\.ts$/).flatMap(([path, text]) =>
    [...text.matchAll(/'((?:SIGNALBOX|DATABASE|REDIS)_[A-Z0-9_]+)'/g)].map((match): [string, string] => [
      path,
      match[1] ?? '',
    ]),
  );
}

/** Words in backquotes at the start of a table row or heading: what a reference page has an entry for. */
function entries(page: string): Set<string> {
  return new Set([...page.matchAll(/^(?:\| |#+ )`([^`]+)`/gm)].map((match) => match[1] ?? ''));
}

/** What stands in code and not on its page, and the reverse. */
function unlikePage(
  repository: Repository,
  page: string,
  names: readonly (readonly [path: string, name: string])[],
): string[] {
  const text = repository.get(page);
  if (text === undefined) return names.length === 0 ? [] : [`${page}: missing`];
  const documented = entries(text);
  const known = new Set(names.map(([, name]) => name));
  return [
    ...names.filter(([, name]) => !documented.has(name)).map(([path, name]) => `${path}: ${name} is not on ${page}`),
    ...[...documented].filter((name) => !known.has(name)).map((name) => `${page}: \`${name}\` is not in the code`),
  ];
}

/** Quoted words of the array literal `export const <name> = [ … ]`. */
function wordsOf(repository: Repository, path: string, name: string): [string, string][] {
  const list = new RegExp(String.raw`export const ${name} = \[([^\]]*)\]`).exec(repository.get(path) ?? '')?.[1] ?? '';
  return [...list.matchAll(/'([^']+)'/g)].map((match): [string, string] => [path, match[1] ?? '']);
}

/** Names in the catalogue of refusals, and of the endings that have no answer. */
function errorNames(repository: Repository): [string, string][] {
  return code(repository, /^packages\/proxy\/src\/(?:mcp|forward|a2a)\/errors\.ts$/).flatMap(([path, text]) => {
    const endings = /export const endings = \{([^}]*)\}/.exec(text)?.[1] ?? '';
    const names = [...text.matchAll(/\brefusal\(\s*'([^']+)'/g), ...endings.matchAll(/: '([^']+)'/g)];
    return [...new Set(names.map((match) => match[1] ?? ''))].map((name): [string, string] => [path, name]);
  });
}

export const rules: readonly Rule[] = [
  { name: 'every manifest stays inside the package graph', check: edgesOutsideTheGraph },
  { name: 'tsconfig references say what the manifests say', check: referencesUnlikeManifests },
  { name: 'packages import only what they declare, never by path', check: importsAcrossPackages },
  { name: 'every declared package is imported', check: edgesWithoutImports },
  {
    name: `no file is longer than ${maxLines} lines`,
    check: (repository) =>
      code(repository, /^(?:packages|test)\//)
        .map(([path]) => [path, lines(repository.get(path) ?? '')] as const)
        .filter(([, count]) => count > maxLines)
        .map(([path, count]) => `${path}: ${count} lines; split it by concept`),
  },
  {
    name: 'no file or folder has a name that says nothing',
    check: (repository) =>
      [...repository.keys()]
        // The names of other people's protocols are theirs.
        .filter(
          (path) =>
            !/^proto\/(?:envoy|google|xds)\//.test(path) && path.split('/').some((part) => vagueNames.test(part)),
        )
        .map((path) => `${path}: name it after what it is about`),
  },
  {
    name: 'every setting stands on docs/settings.md, and nothing else does',
    check: (repository) => unlikePage(repository, 'docs/settings.md', declaredSettings(repository)),
  },
  {
    name: 'every problem code stands on docs/problems.md, and nothing else does',
    check: (repository) =>
      unlikePage(repository, 'docs/problems.md', wordsOf(repository, 'packages/config/src/problem.ts', 'problemCodes')),
  },
  {
    name: 'every error code stands on docs/errors.md, and nothing else does',
    check: (repository) => unlikePage(repository, 'docs/errors.md', errorNames(repository)),
  },
  {
    name: 'xds names no resource kind',
    check: (repository) => matches(code(repository, /^packages\/xds\/src\//), kindWords),
  },
  {
    name: 'clock, timers, randomness, environment and console appear only in runtime and in main.ts',
    check: (repository) =>
      matches(
        code(repository, packageCode).filter(([path]) => !mayTouchTheMachine.test(path)),
        machine,
      ),
  },
  {
    name: 'only the bundled services and tests start processes',
    check: (repository) =>
      matches(
        code(repository, packageCode).filter(([path]) => !path.startsWith('packages/signalbox/src/bundled/')),
        /(?:\bfrom|\bimport|\brequire)\s*\(?\s*['"](?:node:)?(?:child_process|cluster|worker_threads)['"]/,
      ),
  },
  {
    name: 'config does no I/O',
    check: (repository) =>
      matches(
        code(
          repository,
          /^packages\/config\/src\/(?!json-schema\/main\.ts|digest\.ts|resources\/certificates\.ts|.*\.test\.ts)/,
        ),
        /['"]node:[a-z_/]+['"]|@signalbox\/runtime/,
      ),
  },
  { name: 'exactly one assignment swaps the table', check: tableAssignments },
  {
    name: 'no test sleeps',
    check: (repository) =>
      matches(
        code(repository, /\.test\.ts$|^test\/(?:harness|e2e)\//).filter(
          ([path]) => !path.startsWith('packages/runtime/') && !/^test\/harness\/src\/(?:until|inbox)\.ts$/.test(path),
        ),
        /\b(?:setTimeout|setInterval)\b|['"]node:timers|\bsystemClock\.sleep\b/,
      ),
  },
  {
    name: 'nothing is left for later, and no test is left out in silence',
    check: (repository) => {
      const own = code(repository, /^(?:packages|test)\//);
      const notes = [...repository].filter(([path]) => /^(?:packages|test|proto)\//.test(path));
      return [
        ...matches(notes, /\b(?:TODO|FIXME|XXX|HACK)\b/),
        ...matches(own, /\b(?:it|test|describe)\.(?:only|todo|fails)\b/),
        // A skip says why, at length.
        ...matches(own, /\b(?:it|test|describe)\.skip\b|\bskip\(\s*\)|\bskip\(\s*'[^']{0,19}'/),
      ];
    },
  },
  {
    name: 'a decision that code cites exists',
    check: (repository) => {
      const decisions = new Set([...repository.keys()].flatMap((path) => /^docs\/rfd\/(\d{4})-/.exec(path)?.[1] ?? []));
      return matches([...repository], /\bdocs\/rfd\/(\d{4})/).filter((found) => {
        const number = /rfd\/(\d{4})$/.exec(found)?.[1] ?? '';
        return !decisions.has(number);
      });
    },
  },
  {
    name: 'a package has no barrel but its entry points',
    check: (repository) =>
      code(repository, /^packages\/[^/]+\/src\/.*index\.ts$/)
        .map(([path]) => path)
        .filter((path) => basename(path) === 'index.ts' && !/\/src\/(?:testing\/)?index\.ts$/.test(path))
        .map((path) => `${path}: import the files themselves`),
  },
];

function tableAssignments(repository: Repository): string[] {
  const path = 'packages/proxy/src/table/current-table.ts';
  const holder = code(repository, /^packages\/proxy\/src\/table\/current-table\.ts$/);
  const assignments = matches(holder, /this\.#present\s*(?:=(?!=)|\?\?=|&&=|\|\|=)/);
  const holders = matches(
    code(repository, /^packages\/[^/]+\/src\/(?!testing\/)(?!.*\.test\.ts$)/),
    /\bnew CurrentTable\(/,
  );
  return [
    ...(assignments.length === 1
      ? []
      : [`${path}: ${assignments.length} assignments to the present table, expected one`, ...assignments]),
    ...(holders.length === 1
      ? []
      : [`${holders.length} tables are created, expected one, in the composition root`, ...holders]),
  ].filter(() => holder.length > 0);
}
