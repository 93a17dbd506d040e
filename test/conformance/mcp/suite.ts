import { spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** A revision for which the public suite has a frozen set of requirements. */
export type Requirements = '2025-11-25' | '2026-07-28';

/** What a run of the suite says of a server. */
export interface SuiteResult {
  /** Checks that passed, by scenario, sorted: `scenario:check`, each as often as it passed. */
  readonly passed: readonly string[];
  /** Checks that failed or warned, with their reasons. */
  readonly failed: ReadonlyMap<string, string>;
}

interface Check {
  readonly id: string;
  readonly status: 'SUCCESS' | 'FAILURE' | 'WARNING' | 'INFO' | 'SKIPPED';
  readonly errorMessage?: string;
}

/** Longest run, in milliseconds: the suite's own limit of a scenario is 30 s. */
const deadlineMs = 240_000;

/** Runs the scenarios that a revision requires of servers, scored and unscored, against a URL. */
export async function runServerSuite(url: string, requirements: Requirements): Promise<SuiteResult> {
  const folder = await mkdtemp(join(tmpdir(), 'signalbox-conformance-'));
  try {
    await run(['server', '--url', url, '--requirements', requirements, '-o', folder]);
    return await readResults(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Runs a scenario for clients of 2026-07-28 against `client.ts`. @param args of it, before the URL that the suite adds. */
export async function runClientScenario(
  revision: string,
  scenario: string,
  args: readonly string[],
): Promise<SuiteResult> {
  const folder = await mkdtemp(join(tmpdir(), 'signalbox-conformance-'));
  const client = fileURLToPath(new URL('client.ts', import.meta.url));
  const command = [process.execPath, client, ...args].join(' ');
  try {
    await run(['client', '--command', command, '--scenario', scenario, '--spec-version', revision, '-o', folder]);
    return await readResults(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Exit status 1 is that of checks that failed. @throws when the suite itself did. */
async function run(args: readonly string[]): Promise<void> {
  const require = createRequire(import.meta.url);
  const program = require.resolve('@modelcontextprotocol/conformance/dist/index.js');
  const child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'pipe'], timeout: deadlineMs });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (text) => (output = `${output}${text}`.slice(-8_000)));
  const status = await new Promise((resolve) => child.once('close', resolve));
  if (status !== 0 && status !== 1) throw new Error(`the conformance suite ended with ${String(status)}:\n${output}`);
}

/** Each scenario has left a folder `server-<scenario>-<time>` with its checks. */
async function readResults(folder: string): Promise<SuiteResult> {
  const passed: string[] = [];
  const failed = new Map<string, string>();
  const files = (await readdir(folder, { recursive: true })).filter((file) => file.endsWith('checks.json'));
  if (files.length === 0) throw new Error('the conformance suite has left no results');
  for (const file of files) {
    const scenario = /(?:^|\/)(?:server-)?([^/]+?)-\d{4}-\d\d-\d\dT[^/]*\/checks\.json$/.exec(file)?.[1] ?? file;
    for (const { id, status, errorMessage } of JSON.parse(await readFile(join(folder, file), 'utf8')) as Check[]) {
      const name = `${scenario}:${id}`;
      if (status === 'SUCCESS') passed.push(name);
      else if (status === 'FAILURE' || status === 'WARNING') failed.set(name, errorMessage ?? status);
    }
  }
  return { passed: passed.toSorted(), failed };
}
