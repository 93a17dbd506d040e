import { execFile } from 'node:child_process';

/**
 * Command prefix under which a child is signalled when the thread that spawned it dies, by whatever means: spawn from
 * the main thread, and put it last before the program. Empty where the system has no such thing (macOS).
 */
export async function leash(signal: 'INT' | 'TERM' | 'KILL'): Promise<readonly string[]> {
  if (process.platform !== 'linux') return [];
  const prefix = ['setpriv', '--pdeathsig', signal];
  return (await succeeds([...prefix, 'true'])) ? prefix : [];
}

/** Whether a command exists and exits with 0. */
export function succeeds(command: readonly string[]): Promise<boolean> {
  const [file = '', ...args] = command;
  return new Promise((resolve) => {
    execFile(file, args, (error) => resolve(error === null));
  });
}
