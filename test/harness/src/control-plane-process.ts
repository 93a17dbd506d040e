import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

import { freePort } from './free-port.ts';
import { nodeEnvironment } from './node-environment.ts';
import { until } from './until.ts';

/** A replica in a process of its own, that can be killed. */
export interface ControlPlaneProcess extends AsyncDisposable {
  readonly apiUrl: string;
  readonly discoveryPort: number;
  /** Ends it without warning. */
  kill(): Promise<void>;
}

const main = fileURLToPath(new URL('../../../packages/control-plane/src/main.ts', import.meta.url));

/** A process of Node on a machine that others use as well. */
const startMs = 100_000;

/**
 * Starts a replica on a database that has an operator, and waits until it serves.
 * @param addresses where, `host:port`; anywhere free without them.
 */
export async function startControlPlaneProcess(
  databaseUrl: string,
  env: Readonly<Record<string, string>> = {},
  addresses?: { readonly api: string; readonly discovery: string },
): Promise<ControlPlaneProcess> {
  const api = addresses?.api ?? `127.0.0.1:${await freePort()}`;
  const discovery = addresses?.discovery ?? `127.0.0.1:${await freePort()}`;
  const child = spawn(process.execPath, [main], {
    env: {
      ...nodeEnvironment(),
      DATABASE_URL: databaseUrl,
      SIGNALBOX_API_LISTEN: api,
      SIGNALBOX_DISCOVERY_LISTEN: discovery,
      SIGNALBOX_LOG_LEVEL: 'warn',
      ...env,
    },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let output = '';
  child.stderr.on('data', (chunk: Buffer) => void (output = (output + chunk.toString('utf8')).slice(-64_000)));
  const ended = once(child, 'exit');
  const apiUrl = `http://${api}`;
  const kill = async () => {
    child.kill('SIGKILL');
    await ended;
  };
  try {
    const look = async () => {
      if (child.exitCode !== null) return 'ended';
      return (await fetch(`${apiUrl}/readyz`)).ok ? 'ready' : undefined;
    };
    if ((await until('the replica to serve', look, startMs)) === 'ended') throw new Error(`it ended:\n${output}`);
  } catch (error) {
    await kill();
    throw error;
  }
  return { apiUrl, discoveryPort: Number(discovery.split(':').at(-1)), kill, [Symbol.asyncDispose]: kill };
}
