import { readdirSync, readFileSync } from 'node:fs';

/** Linux counts processor time in hundredths of a second (USER_HZ). */
const tickUs = 10_000;

interface Stat {
  readonly parent: number;
  readonly cpuUs: number;
}

function readStat(pid: number): Stat | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // After the command, which may hold blanks: state, ppid, …, utime (14th field), stime (15th).
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return { parent: Number(fields[1]), cpuUs: (Number(fields[11]) + Number(fields[12])) * tickUs };
  } catch {
    return undefined;
  }
}

/** A process and everything below it. */
function tree(pid: number): number[] {
  const all = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  const parents = all.map((name): [number, number | undefined] => [Number(name), readStat(Number(name))?.parent]);
  const found = [pid];
  for (const member of found) for (const [child, parent] of parents) if (parent === member) found.push(child);
  return found;
}

/** Processor time of a process tree so far, user and system, in µs. */
export function cpuUs(pid: number): number {
  return tree(pid).reduce((sum, member) => sum + (readStat(member)?.cpuUs ?? 0), 0);
}

/** Resident memory of a process tree, in bytes. Pages that its processes share are counted once for each. */
export function residentBytes(pid: number): number {
  return tree(pid).reduce((sum, member) => sum + residentOf(member), 0);
}

function residentOf(pid: number): number {
  try {
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1_024;
  } catch {
    return 0;
  }
}
