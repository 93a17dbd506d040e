import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { getCompileCacheDir } from 'node:module';
import { dirname } from 'node:path';
import { leash } from './leash.ts';

export interface NodeProcessOptions {
  /** For errors. */
  readonly name: string;
  /** Module to run. It must end when its standard input ends, which happens when this process is gone. */
  readonly entry: string;
  readonly args: readonly string[];
  /** All that the child sees of the environment, but for the compile cache: it is not ours to hand on. */
  readonly environment: Readonly<Record<string, string>>;
  /** What the child writes on standard error when it can be used. */
  readonly ready: string;
}

export interface RunningProcess {
  readonly pid: number;
  /** Resolves when the child has ended for whatever reason, with the last lines of its standard error. */
  readonly exited: Promise<string>;
  /** SIGTERM; SIGKILL when the signal aborts. */
  stop(deadline?: AbortSignal): Promise<void>;
}

/** Standard error kept for errors, in characters. */
const logLimit = 4_000;

/**
 * Starts a Node child on this very Node. It cannot outlive this process: its standard input ends with it, and on Linux the
 * kernel kills it.
 * @throws Error with the child's standard error when it ends before it is ready.
 */
export async function startNodeProcess(options: NodeProcessOptions): Promise<RunningProcess> {
  const [command = '', ...args] = [...(await leash('KILL')), process.execPath, options.entry, ...options.args];
  // A session of its own: Ctrl-C in the terminal is for us, and we stop it after those who use it.
  const child = spawn(command, args, {
    env: { ...options.environment, ...compileCache() },
    stdio: ['pipe', 'ignore', 'pipe'],
    detached: true,
  });
  let log = '';
  const exited = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('exit', () => resolve(log));
  });
  const ready = new Promise<true>((resolve) => {
    child.stderr.on('data', (chunk: Buffer) => {
      log = (log + chunk.toString()).slice(-logLimit);
      if (log.includes(options.ready)) resolve(true);
    });
  });
  const first = await Promise.race([ready, exited]);
  if (first !== true) throw new Error(`${options.name} did not start. It said:\n${first.trim()}`);
  return { pid: child.pid ?? 0, exited, stop: (deadline) => stop(child, deadline) };
}

/** Code that Node has compiled for this process, if it keeps any, is there for its children. */
function compileCache(): Readonly<Record<string, string>> {
  const ofThisNode = getCompileCacheDir();
  return ofThisNode === undefined ? {} : { NODE_COMPILE_CACHE: dirname(ofThisNode) };
}

async function stop(child: ChildProcess, deadline?: AbortSignal): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  const atOnce = () => child.kill('SIGKILL');
  child.kill(deadline?.aborted ? 'SIGKILL' : 'SIGTERM');
  deadline?.addEventListener('abort', atOnce, { once: true });
  await gone;
  deadline?.removeEventListener('abort', atOnce);
}
