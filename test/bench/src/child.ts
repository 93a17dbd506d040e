import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

import { systemClock } from '@signalbox/runtime';

import { onCore } from './machine.ts';

/** A process of the benchmark. */
export interface Child {
  readonly pid: number;
  /** Everything it printed so far, both streams. */
  readonly output: () => string;
  /** Resolves with the first match in what it prints. @throws when it ends or says nothing in time. */
  says(pattern: RegExp, withinMs?: number): Promise<RegExpExecArray>;
  stop(): Promise<void>;
}

const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** Starts a command pinned to a core. `taskset` executes it in its own place, so the pid is the command's. */
export function startChild(
  core: number,
  command: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Child {
  const [program = '', ...args] = onCore(core, command);
  const child = spawn(program, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  running.add(child);
  let output = '';
  const heard = new Set<() => void>();
  const hear = (chunk: Buffer) => {
    output = (output + chunk.toString('utf8')).slice(-64_000);
    for (const look of heard) look();
  };
  child.stdout.on('data', hear);
  child.stderr.on('data', hear);
  const ended = once(child, 'exit').then(() => void running.delete(child));
  return {
    pid: child.pid as number,
    output: () => output,
    says: (pattern, withinMs = 20_000) =>
      new Promise((resolve, reject) => {
        const give = (reason: string) => finish(() => reject(new Error(`${command.join(' ')}: ${reason}:\n${output}`)));
        const timer = systemClock.timer(withinMs, () => give(`said nothing like ${pattern} in ${withinMs} ms`));
        const look = () => {
          const match = pattern.exec(output);
          if (match) finish(() => resolve(match));
        };
        const finish = (settle: () => void) => {
          heard.delete(look);
          timer[Symbol.dispose]();
          settle();
        };
        heard.add(look);
        void ended.then(() => give('ended'));
        look();
      }),
    stop: async () => {
      child.kill('SIGTERM');
      using _force = systemClock.timer(5_000, () => child.kill('SIGKILL'));
      await ended;
    },
  };
}
