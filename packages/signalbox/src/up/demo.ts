import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Code, ConnectError } from '@connectrpc/connect';
import type { Cli } from '../cli.ts';
import type { AdminClient } from '../client/admin-client.ts';
import { readResourceFiles, type ScopeDocuments } from '../input/resource-files.ts';
import { resourcesOf } from '../input/apply-request.ts';

export interface DemoOptions {
  /** Folder with the demo's YAML. */
  readonly folder: string;
  /** Folder in which it is noted what was applied. */
  readonly dataDir: string;
  readonly variables: Readonly<Record<string, string>>;
}

export interface DemoOutcome {
  /** Scopes that the demo's files changed now. */
  readonly applied: readonly string[];
  /** Scopes that people have changed since: they stay as they are. */
  readonly kept: readonly string[];
}

/** By scope, the revision that the demo's files made. */
type Applied = Readonly<Record<string, string>>;

/**
 * Brings the demo's resources in on the first start. Later it does so only for a scope that nobody has changed since: what
 * people did to the demo is theirs.
 */
export async function applyDemo(cli: Cli, client: AdminClient, options: DemoOptions): Promise<DemoOutcome> {
  const sets = await readResourceFiles(cli, [options.folder], options.variables);
  const before = await readApplied(options.dataDir);
  const applied: string[] = [];
  const kept: string[] = [];
  let record: Applied = before;
  for (const set of sets) {
    const newest = await newestRevision(client, set.scope);
    const ours = newest === 0n || before[set.scope] === String(newest);
    if (!ours) {
      if (await differs(client, set)) kept.push(set.scope);
      continue;
    }
    const request = {
      ...resourcesOf(set),
      requestId: cli.random.uuid(),
      message: 'the demo, by signalbox up',
      ifMatch: newest,
    };
    const { committed, revision } = await client.config.apply(request, { signal: cli.interrupted });
    if (committed) applied.push(set.scope);
    record = { ...record, [set.scope]: String(revision) };
  }
  await writeApplied(options.dataDir, record);
  return { applied, kept };
}

async function newestRevision(client: AdminClient, scope: string): Promise<bigint> {
  try {
    const { revisions } = await client.config.listRevisions({ scope, limit: 1 });
    return revisions[0]?.revision ?? 0n;
  } catch (error) {
    if (isNotFound(error)) return 0n;
    throw error;
  }
}

async function differs(client: AdminClient, set: ScopeDocuments): Promise<boolean> {
  const { changes, problems } = await client.config.diff(resourcesOf(set));
  return changes.length > 0 || problems.length > 0;
}

function isNotFound(error: unknown): boolean {
  return error instanceof ConnectError && error.code === Code.NotFound;
}

function recordPath(dataDir: string): string {
  return join(dataDir, 'demo.json');
}

async function readApplied(dataDir: string): Promise<Applied> {
  try {
    const data: unknown = JSON.parse(await readFile(recordPath(dataDir), 'utf8'));
    return typeof data === 'object' && data !== null ? (data as Applied) : {};
  } catch {
    // Missing or damaged: nothing counts as ours, and nothing is overwritten.
    return {};
  }
}

async function writeApplied(dataDir: string, record: Applied): Promise<void> {
  const path = recordPath(dataDir);
  await writeFile(`${path}.new`, `${JSON.stringify(record, undefined, 2)}\n`, { mode: 0o600 });
  await rename(`${path}.new`, path);
}
