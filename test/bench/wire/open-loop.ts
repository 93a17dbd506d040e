import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

import { onCore, otherCore } from '../src/machine.ts';

export interface OpenLoopPlan {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Connections at most; what finds none free counts as not sent. */
  readonly connections: number;
  /** An answer counts when it comes within this time from when its request was due. */
  readonly deadlineMs: number;
  readonly sliceMs: number;
  readonly phases: readonly { readonly rate: number; readonly seconds: number }[];
}

export interface PhaseResult {
  readonly offered: number;
  readonly notSent: number;
  /** Answered with a result in time. */
  readonly good: number;
  readonly late: number;
  /** Answered with 503. */
  readonly refused: number;
  readonly failed: number;
  readonly failures: Readonly<Record<string, number>>;
  /** Of the good ones, from when they were due. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly goodPerSlice: readonly (number | null)[];
}

export interface OpenLoopResult {
  readonly phases: readonly PhaseResult[];
}

/** Runs the generator in a process of its own, on the core of load and upstream. */
export async function runOpenLoop(plan: OpenLoopPlan): Promise<OpenLoopResult> {
  const entry = new URL('open-loop-process.ts', import.meta.url).pathname;
  const [program = '', ...args] = onCore(otherCore, [process.execPath, entry, JSON.stringify(plan)]);
  const { stdout } = await promisify(execFile)(program, args, { maxBuffer: 1 << 24 });
  const result = /^RESULT (\{.*\})$/m.exec(stdout)?.[1];
  if (result === undefined) throw new Error(`the load generator said no result: ${stdout}`);
  return JSON.parse(result) as OpenLoopResult;
}
