import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort, httpCodecSettings } from '@signalbox/test-harness';
import { cleanEnvironment, type Finished, root } from './cli-process.ts';

/** What `up -o json` prints when all runs. */
export interface UpSummary {
  readonly endpoints: Readonly<Record<string, string>>;
  readonly api: string;
  readonly proxyAdmin: string;
  readonly mcpClient: {
    readonly mcpServers: Readonly<
      Record<string, { readonly url: string; readonly headers: Readonly<Record<string, string>> }>
    >;
  };
  readonly commands: readonly string[];
  readonly kept: readonly string[];
  readonly pid: number;
}

/** Variables that put every part on a port of its own, so that nothing meets what runs on the machine. */
export async function ownPorts(): Promise<Readonly<Record<string, string>>> {
  const ports = await Promise.all(Array.from({ length: 6 }, () => freePort()));
  return {
    SIGNALBOX_PROXY_LISTEN: `127.0.0.1:${ports[0]}`,
    SIGNALBOX_API_LISTEN: `127.0.0.1:${ports[1]}`,
    SIGNALBOX_DISCOVERY_LISTEN: `127.0.0.1:${ports[2]}`,
    SIGNALBOX_PROXY_ADMIN_LISTEN: `127.0.0.1:${ports[3]}`,
    SIGNALBOX_DEMO_EVERYTHING_PORT: String(ports[4]),
    SIGNALBOX_DEMO_RAILWAY_PORT: String(ports[5]),
  };
}

/** `signalbox up` as a child of the test. */
export class UpProcess {
  readonly #child: ChildProcess;
  #out = '';
  #err = '';
  readonly finished: Promise<Finished>;

  constructor(dataDir: string, environment: Readonly<Record<string, string>>) {
    this.#child = spawn(join(root, 'signalbox'), ['up', '--data-dir', dataDir, '-o', 'json'], {
      cwd: root,
      env: cleanEnvironment({ ...httpCodecSettings(), ...environment }),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child.stdout?.on('data', (chunk: Buffer) => (this.#out += chunk.toString()));
    this.#child.stderr?.on('data', (chunk: Buffer) => (this.#err += chunk.toString()));
    this.finished = once(this.#child, 'close').then(([status]) => {
      return { status: status as number | null, out: this.#out, err: this.#err };
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** The summary, once everything runs. */
  async ready(): Promise<UpSummary> {
    const printed = new Promise<void>((resolve) => {
      const look = () => {
        if (this.#out.endsWith('}\n')) resolve();
      };
      this.#child.stdout?.on('data', look);
      look();
    });
    const early = this.finished.then(({ status, err }) => Promise.reject(new Error(`up ended with ${status}: ${err}`)));
    await Promise.race([printed, early]);
    return JSON.parse(this.#out) as UpSummary;
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }
}

interface ProcessEntry {
  readonly pid: number;
  readonly parent: number;
  readonly zombie: boolean;
}

function processes(): readonly ProcessEntry[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const status = readFileSync(`/proc/${name}/stat`, 'utf8');
        const [state, parent] = status.slice(status.lastIndexOf(')') + 2).split(' ');
        return [{ pid: Number(name), parent: Number(parent), zombie: state === 'Z' }];
      } catch {
        return [];
      }
    });
}

/** A process and everything below it. */
export function processTree(pid: number): readonly number[] {
  const all = processes();
  const below = (parent: number): number[] =>
    all.filter((entry) => entry.parent === parent).flatMap((entry) => [entry.pid, ...below(entry.pid)]);
  return [pid, ...below(pid)];
}

/** Those that still run; a corpse that nobody has collected does not. */
export function stillRunning(pids: readonly number[]): readonly number[] {
  return processes()
    .filter(({ pid, zombie }) => pids.includes(pid) && !zombie)
    .map(({ pid }) => pid);
}

/** A process that does nothing until it is killed. */
export class WaitingProcess {
  readonly #child = spawn('cat', { stdio: ['pipe', 'ignore', 'ignore'] });

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  async kill(): Promise<void> {
    const exited = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await exited;
  }
}
