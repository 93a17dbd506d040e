import { spawn } from 'node:child_process';
import { getCompileCacheDir } from 'node:module';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { FromWorker, Handle, SpawnWorker, ToWorker } from '@signalbox/proxy';
import { leash } from './leash.ts';

const entry = fileURLToPath(new URL('./proxy-worker/main.ts', import.meta.url));

/**
 * Starts a worker of the proxy on this very Node, from the files as they are installed now. It cannot outlive this
 * process: its channel ends with it, and on Linux the kernel kills it. Its log goes where ours goes.
 */
export const spawnWorker: SpawnWorker = async (environment) => {
  const [command, ...args] = [...(await leash('KILL')), process.execPath, entry];
  const cache = getCompileCacheDir();
  // A session of its own: Ctrl-C in the terminal is for us, and we tell it.
  const child = spawn(command, args, {
    env: { ...environment, ...(cache === undefined ? {} : { NODE_COMPILE_CACHE: dirname(cache) }) },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    detached: true,
  });
  const exited = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (status, signal) => resolve(signal ?? `status ${status}`));
  });
  return {
    pid: child.pid ?? 0,
    exited,
    send: (message: ToWorker, handle?: Handle) =>
      new Promise((resolve) => {
        if (!child.connected) return resolve();
        child.send(message, handle, {}, () => resolve());
      }),
    onMessage: (listener) =>
      void child.on('message', (message, handle) => listener(message as FromWorker, handle as Handle | undefined)),
    kill: (signal) => void child.kill(signal),
  };
};
