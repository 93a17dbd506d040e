import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

/** The checkout. */
export const root = join(import.meta.dirname, '..', '..', '..');

export interface Finished {
  readonly status: number | null;
  readonly out: string;
  readonly err: string;
}

export interface CliCall {
  readonly cwd?: string;
  readonly environment?: Readonly<Record<string, string>>;
  readonly input?: string;
}

/** The machine's environment without anything that tells Signalbox where to go. */
export function cleanEnvironment(more: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
  const foreign = /^(SIGNALBOX_|DATABASE_URL|DEMO_|VITEST|NODE_|FORCE_COLOR)/;
  return { ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !foreign.test(name))), ...more };
}

/** Runs `./signalbox` with arguments until it ends. */
export function runCli(args: readonly string[], call: CliCall = {}): Promise<Finished> {
  return finish(join(root, 'signalbox'), args, call);
}

/** Runs a command line of the shell, in the checkout. */
export function runShell(command: string, call: CliCall = {}): Promise<Finished> {
  return finish('sh', ['-c', command], { cwd: root, ...call });
}

async function finish(command: string, args: readonly string[], call: CliCall): Promise<Finished> {
  const options = { cwd: call.cwd ?? root, env: cleanEnvironment(call.environment), timeout: 110_000 };
  const child = spawn(command, args, options);
  let out = '';
  let err = '';
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
  child.stdin.end(call.input ?? '');
  const [status] = (await once(child, 'close')) as [number | null];
  return { status, out, err };
}
