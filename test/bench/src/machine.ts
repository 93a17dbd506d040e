import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { cpus, loadavg, totalmem } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const repositoryRoot = fileURLToPath(new URL('../../..', import.meta.url));

/** What is built or fetched for the benchmark and kept between runs. */
export const cacheFolder = join(repositoryRoot, '.cache/bench');

const searchPath = `${process.env['PATH'] ?? ''}${delimiter}/usr/sbin`.split(delimiter);

/** Full path of a program, undefined if it is not installed. */
export function findProgram(name: string): string | undefined {
  return searchPath.map((folder) => join(folder, name)).find((path) => existsSync(path));
}

export function programExists(name: string): boolean {
  return findProgram(name) !== undefined;
}

/** Cores that may be used: gateways get the first, load and upstream the second. */
export const gatewayCore = 0;
export const otherCore = cpus().length > 1 ? 1 : 0;

/** The command, pinned to a core where that is possible. */
export function onCore(core: number, command: readonly string[]): string[] {
  return programExists('taskset') ? ['taskset', '-c', String(core), ...command] : [...command];
}

/** Processes that wanted to run in the last minute before this one began. */
const loadBefore = loadavg()[0] ?? 0;
const quietLoad = 0.5;

/** What cannot be done on this machine, and what that means for the numbers. */
export function limitations(): string[] {
  return [
    ...(loadBefore <= quietLoad
      ? []
      : [
          `the machine was busy with other things (load ${loadBefore.toFixed(1)} before the start): all figures are worse than they are on a quiet one, and ratios blurred`,
        ]),
    ...(programExists('taskset') ? [] : ['taskset is missing: nothing is pinned, compare with care']),
    ...(cpus().length > 1 ? [] : ['one core only: gateway, load and upstream share it, throughput means little']),
  ];
}

/** Files and sockets that a process may have open. */
export function openFileLimit(): number {
  const [, , hard] = /^Max open files +(\d+) +(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? [];
  return Number(hard ?? 1_024);
}

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly node: string;
  readonly commit: string;
  readonly date: string;
}

export function describeMachine(): Machine {
  const dirty = spawnSync('git', ['diff', '--quiet', 'HEAD', '--', 'packages'], { cwd: repositoryRoot }).status !== 0;
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: process.version,
    commit:
      execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: repositoryRoot, encoding: 'utf8' }).trim() +
      (dirty ? ' with changes' : ''),
    date: new Date().toISOString().slice(0, 16).replace('T', ' '),
  };
}
