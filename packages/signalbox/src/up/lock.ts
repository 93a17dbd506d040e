import { readFileSync, rmSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Failure } from '../failure.ts';

/** Whoever holds the data folder. */
interface Holder {
  readonly pid: number;
  /** Tells two processes with the same id apart; empty where the system does not say. */
  readonly started: string;
}

/**
 * Takes a data folder for this process. A lock whose holder is gone, even by SIGKILL, is taken over.
 * @throws Failure if another `up` runs there.
 */
export async function lockFolder(folder: string): Promise<Disposable> {
  const path = join(folder, 'up.lock');
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const self: Holder = { pid: process.pid, started: startOf(process.pid) };
  for (let attempt = 0; attempt < 3; attempt += 1) {
    try {
      await writeFile(path, JSON.stringify(self), { flag: 'wx', mode: 0o600 });
      return { [Symbol.dispose]: () => rmSync(path, { force: true }) };
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
    }
    const holder = parseHolder(await readFile(path, 'utf8').catch(() => ''));
    if (holder && isRunning(holder)) {
      throw new Failure(
        `signalbox up already runs on ${folder} (process ${holder.pid}): use it, stop it, or choose another --data-dir`,
      );
    }
    await rm(path, { force: true });
  }
  throw new Failure(`${path} changes hands all the time: is another signalbox up starting on this folder?`);
}

function parseHolder(text: string): Holder | undefined {
  try {
    const { pid, started } = JSON.parse(text) as Partial<Holder>;
    return typeof pid === 'number' && typeof started === 'string' ? { pid, started } : undefined;
  } catch {
    return undefined;
  }
}

function isRunning({ pid, started }: Holder): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
  return startOf(pid) === started;
}

/** Start time of a process in ticks since boot, from `/proc`; empty without it, and for a process that is a mere corpse. */
function startOf(pid: number): string {
  try {
    const status = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The second field, the command in parentheses, may itself hold spaces and parentheses.
    const fields = status.slice(status.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? '' : (fields[19] ?? '');
  } catch {
    return '';
  }
}
