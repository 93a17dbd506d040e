import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

import { freePort, until } from '@signalbox/test-harness';

/** A replica in a process of its own, which can be killed. */
export interface ReplicaProcess extends AsyncDisposable {
  /** Of discovery. */
  readonly address: string;
  readonly apiUrl: string;
  /** SIGKILL. Resolves when it is gone. */
  kill(): Promise<void>;
}

const main = fileURLToPath(new URL('../../../packages/control-plane/src/main.ts', import.meta.url));

/** Starts it on a database, and waits until it serves. */
export async function startReplicaProcess(
  databaseUrl: string,
  settings: Readonly<Record<string, string>> = {},
): Promise<ReplicaProcess> {
  const [api, discovery] = [await freePort(), await freePort()];
  const child = spawn(process.execPath, [main], {
    env: {
      PATH: process.env['PATH'],
      DATABASE_URL: databaseUrl,
      SIGNALBOX_API_LISTEN: `127.0.0.1:${api}`,
      SIGNALBOX_DISCOVERY_LISTEN: `127.0.0.1:${discovery}`,
      SIGNALBOX_LOG_LEVEL: 'error',
      ...settings,
    },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const exited = once(child, 'exit');
  const kill = async () => {
    child.kill('SIGKILL');
    await exited;
  };
  const apiUrl = `http://127.0.0.1:${api}`;
  try {
    const serves = async () => ((await fetch(`${apiUrl}/readyz`).catch(() => undefined))?.ok ? true : undefined);
    await until('the replica to serve', serves, 40_000);
  } catch (error) {
    await kill();
    throw error;
  }
  return { address: `127.0.0.1:${discovery}`, apiUrl, kill, [Symbol.asyncDispose]: kill };
}
