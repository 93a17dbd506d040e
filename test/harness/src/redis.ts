import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { access, mkdir, readdir } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { freePort } from './free-port.ts';
import { until } from './until.ts';

const run = promisify(execFile);

/** A Redis for one file of tests. */
export interface TestRedis {
  readonly url: string;
  /** In front of everything that these tests write. */
  readonly prefix: string;
  stop(): Promise<void>;
}

/**
 * The Redis that `REDIS_URL` names, or one that this starts: `redis-server` or `valkey-server` on the path, or one that
 * is put into `.cache/` once. Undefined, and said loudly, where none can be had; in CI that is a failure.
 * @param args more of its command line: then one is started in any case.
 */
export async function startTestRedis(args: readonly string[] = []): Promise<TestRedis | undefined> {
  const prefix = `test-${randomBytes(6).toString('hex')}:`;
  const given = process.env['REDIS_URL'];
  if (given !== undefined && given !== '' && args.length === 0)
    return { url: given, prefix, stop: () => Promise.resolve() };
  try {
    return { ...(await startServer(await findServer(), args)), prefix };
  } catch (error) {
    if (process.env['CI'] !== undefined) throw error;
    process.stderr.write(`\nSKIPPED: no Redis to test against: ${String(error).slice(0, 400)}\n\n`);
    return undefined;
  }
}

interface Server {
  readonly binary: string;
  /** Folder of its own libraries; empty when it needs none. */
  readonly libraries: string;
}

async function startServer({ binary, libraries }: Server, more: readonly string[]): Promise<Omit<TestRedis, 'prefix'>> {
  const port = await freePort();
  const args = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', ...more];
  const env = { ...process.env, ...(libraries === '' ? {} : { LD_LIBRARY_PATH: libraries }) };
  const child = spawn(binary, args, { env, stdio: ['ignore', 'ignore', 'ignore'] });
  const exited = once(child, 'exit');
  await until('Redis to answer', async () => {
    if (child.exitCode !== null) throw new Error(`${binary} ended with status ${child.exitCode}`);
    return (await answers(port)) ? true : undefined;
  });
  return { url: `redis://127.0.0.1:${port}`, stop: () => stopped(child, exited) };
}

async function stopped(child: ChildProcess, exited: Promise<unknown>): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
  await exited;
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write('PING\r\n'));
    const end = (did: boolean): void => {
      socket.destroy();
      resolve(did);
    };
    socket.on('data', () => end(true));
    socket.on('error', () => end(false));
  });
}

async function findServer(): Promise<Server> {
  for (const name of ['redis-server', 'valkey-server']) {
    const found = await run('which', [name]).catch(() => undefined);
    if (found) return { binary: found.stdout.trim(), libraries: '' };
  }
  return fetched();
}

/** Debian's package, unpacked without being installed. */
async function fetched(): Promise<Server> {
  const folder = fileURLToPath(new URL('../../../.cache/redis', import.meta.url));
  const binary = join(folder, 'root/usr/bin/redis-server');
  const lib = join(folder, 'root/usr/lib');
  if (!(await exists(binary))) {
    await Promise.all(
      ['lists/partial', 'cache/archives/partial', 'debs'].map((path) => mkdir(join(folder, path), { recursive: true })),
    );
    const options = [`Dir::State::Lists=${folder}/lists`, `Dir::Cache=${folder}/cache`, 'Debug::NoLocking=1'];
    const apt = options.flatMap((option) => ['-o', option]);
    await run('apt-get', [...apt, 'update', '-qq'], { timeout: 120_000 });
    const packages = ['redis-server', 'redis-tools', 'libjemalloc2', 'liblzf1'];
    await run('apt-get', [...apt, 'download', '-qq', ...packages], { cwd: join(folder, 'debs'), timeout: 120_000 });
    for (const name of await readdir(join(folder, 'debs'))) {
      await run('dpkg', ['-x', join(folder, 'debs', name), join(folder, 'root')]);
    }
  }
  const triplets = (await readdir(lib)).filter((name) => name.endsWith('-linux-gnu'));
  return { binary, libraries: triplets.map((name) => join(lib, name)).join(':') };
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
