import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { startTcpProxy, type TcpProxy } from '@signalbox/test-harness';
import { findProgram } from '../src/machine.ts';
import { backend, type MeasuredControlPlane, startMeasured } from './control-plane.ts';
import { nowMs } from './fleet.ts';
import { pgbenchScript } from './pgbench-script.ts';
import { StatementTap } from './statement-tap.ts';

/** Commits a second, through the API and by the same statements alone. */
export interface CommitRate {
  readonly writers: number;
  readonly viaApi: number;
  /** Undefined: pgbench is not installed. */
  readonly statementsAlone: number | undefined;
}

export interface CommitRateOptions {
  readonly plane: MeasuredControlPlane;
  readonly databaseUrl: string;
  readonly writers: number;
  readonly seconds: number;
  /** For the script of pgbench. */
  readonly folder: string;
}

/** A process that has just started is slower than it will be. */
const warmUpSeconds = 5;

export async function measureCommitRate(options: CommitRateOptions): Promise<CommitRate> {
  const { plane, databaseUrl, writers, seconds, folder } = options;
  const tenants = Array.from({ length: writers }, (_, n) => writerName(n));
  for (const name of tenants) {
    await plane.admin.tenants.createTenant({ name });
    await write(plane, name, 'first');
  }
  const script = join(folder, 'commit.sql');
  await writeFile(script, await recordScript(options));
  await apiRate(plane, tenants, Math.min(warmUpSeconds, seconds));
  const viaApi = await apiRate(plane, tenants, seconds);
  const pgbench = findProgram('pgbench');
  const statementsAlone = pgbench && (await pgbenchRate([pgbench, databaseUrl, script], writers, seconds));
  return { writers, viaApi, statementsAlone: statementsAlone || undefined };
}

/** pgbench numbers its clients from 0. */
function writerName(n: number): string {
  return `writer-${n}`;
}

async function write({ writer }: MeasuredControlPlane, scope: string, text: string): Promise<void> {
  await writer.apply({ scope, resources: [backend(scope, 'backend-0', text)], requestId: randomUUID() });
}

async function apiRate(plane: MeasuredControlPlane, tenants: readonly string[], seconds: number): Promise<number> {
  const startedMs = nowMs();
  const untilMs = startedMs + seconds * 1_000;
  let count = 0;
  const writer = async (scope: string) => {
    for (; nowMs() < untilMs; count += 1) await write(plane, scope, `change-${count}`);
  };
  await Promise.all(tenants.map(writer));
  return (count * 1_000) / (nowMs() - startedMs);
}

async function pgbenchRate(command: readonly string[], writers: number, seconds: number): Promise<number> {
  const [pgbench = '', url = '', script = ''] = command;
  const args = ['-n', '-M', 'prepared', '-c', `${writers}`, '-j', '1', '-T', `${seconds}`, '-f', script, url];
  const { stdout } = await promisify(execFile)(pgbench, args);
  const failed = Number(/number of failed transactions: (\d+)/.exec(stdout)?.[1] ?? 0);
  const rate = Number(/tps = ([\d.]+)/.exec(stdout)?.[1]);
  if (failed > 0 || Number.isNaN(rate)) throw new Error(`pgbench failed:\n${stdout}`);
  return rate;
}

/** One commit through a control plane whose statements are listened to, as a script. */
async function recordScript({ plane, databaseUrl }: CommitRateOptions): Promise<string> {
  const tap = new StatementTap();
  const { port } = new URL(databaseUrl);
  const proxy: TcpProxy = await startTcpProxy({
    ports: [Number(port)],
    onClientBytes: (id, bytes) => tap.read(id, bytes),
  });
  try {
    const tapped = databaseUrl.replace(`:${port}/`, `:${proxy.port}/`);
    await using replica = await startMeasured({ databaseUrl: tapped, operatorToken: plane.operatorToken });
    const scope = writerName(0);
    await write(replica, scope, 'before');
    const requestId = randomUUID();
    tap.clear();
    const { revision } = await replica.admin.config.apply({
      scope,
      resources: [backend(scope, 'backend-0', 'recorded')],
      requestId,
    });
    return pgbenchScript(tap.transactionWith(requestId), { scope, revision, requestId });
  } finally {
    await proxy.stop();
  }
}
