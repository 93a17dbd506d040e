import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import type { OutcomeEvent } from '@signalbox/audit';

import { freePort } from './free-port.ts';
import { httpCodecSettings } from './http-codec.ts';
import { nodeEnvironment } from './node-environment.ts';
import { readEvents } from './system-node.ts';
import { until } from './until.ts';

export interface ProxyProcessOptions {
  /** File or folder of resources to serve. Absent: a control plane tells it, which the variables name. */
  readonly config?: string;
  /** What outlives the process; absent: a folder that goes with it. */
  readonly state?: string;
  /** No file of the process can grow beyond this: a disk that is full, as far as the process can tell. */
  readonly maxFileKib?: number;
  /** So many workers under a supervisor, as `signalbox proxy --workers` starts them. */
  readonly workers?: number;
  /** Variables on top of those that put it on free ports. */
  readonly env?: Readonly<Record<string, string>>;
}

/** A proxy in a process of its own, as an operator runs it. */
export interface ProxyProcess {
  readonly pid: number;
  readonly adminUrl: string;
  /** Resolves with the exit status, or the signal that ended it. */
  readonly exited: Promise<number | NodeJS.Signals>;
  /** Standard output and error so far. */
  readonly output: () => string;
  endpoint(tenant: string, route: string): string;
  events(): Promise<readonly OutcomeEvent[]>;
  signal(signal: NodeJS.Signals): void;
  /** Kills it if it still runs, and removes its state. */
  stop(): Promise<void>;
}

const main = fileURLToPath(new URL('../../../packages/proxy/src/main.ts', import.meta.url));
const cli = fileURLToPath(new URL('../../../packages/signalbox/src/main.ts', import.meta.url));

/** A machine that does other things too takes its time to start a process. */
const startMs = 100_000;

/** Starts it without waiting: see {@link proxyReady}. */
export async function startProxyProcess(options: ProxyProcessOptions): Promise<ProxyProcess> {
  const { config, env = {}, maxFileKib, workers } = options;
  const state = options.state ?? (await mkdtemp(join(tmpdir(), 'signalbox-proxy-')));
  const [port, adminPort] = [await freePort(), await freePort()];
  const entry = workers === undefined ? [main] : [cli, 'proxy', '--workers', String(workers)];
  const command = [process.execPath, ...entry, ...(config === undefined ? [] : ['--config', config])];
  const [program = '', ...args] = maxFileKib === undefined ? command : limited(maxFileKib, command);
  const child = spawn(program, args, {
    env: {
      ...nodeEnvironment(),
      SIGNALBOX_PROXY_STATE: state,
      SIGNALBOX_PROXY_LISTEN: `127.0.0.1:${port}`,
      SIGNALBOX_PROXY_ADMIN_LISTEN: `127.0.0.1:${adminPort}`,
      ...httpCodecSettings(),
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  const hear = (chunk: Buffer) => void (output = (output + chunk.toString('utf8')).slice(-64_000));
  child.stdout.on('data', hear);
  child.stderr.on('data', hear);
  const exited = once(child, 'exit').then(([code, signal]) => (code ?? signal) as number | NodeJS.Signals);
  return {
    pid: child.pid as number,
    adminUrl: `http://127.0.0.1:${adminPort}`,
    exited,
    output: () => output,
    endpoint: (tenant, route) => `http://127.0.0.1:${port}/${tenant}/${route}/mcp`,
    events: () => readEvents(join(state, 'events.jsonl')),
    signal: (signal) => void child.kill(signal),
    stop: async () => {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
      await exited;
      if (options.state === undefined) await rm(state, { recursive: true, force: true });
    },
  };
}

/** The shell counts in halves of a KiB. A process of Node gets an error instead of the signal that goes with this limit. */
function limited(maxFileKib: number, command: readonly string[]): readonly string[] {
  return ['sh', '-c', `ulimit -f ${maxFileKib * 2} && exec "$@"`, 'sh', ...command];
}

/** Waits until it says that it is ready. @throws with its output when it does not or ends. */
export async function proxyReady(proxy: ProxyProcess): Promise<void> {
  let ended = false;
  void proxy.exited.then(() => void (ended = true));
  const state = await until(
    'the proxy to be ready',
    async () => {
      if (ended) return 'ended';
      const response = await fetch(`${proxy.adminUrl}/readyz`).catch(() => undefined);
      return response?.ok === true ? 'ready' : undefined;
    },
    startMs,
  );
  if (state === 'ended') throw new Error(`the proxy ended:\n${proxy.output()}`);
}
