import { type LoadOptions, type LoadResult, runLoad } from './load.ts';
import { otherCore } from './machine.ts';
import { cpuUs, residentBytes } from './process-cost.ts';

/** Medians over the rounds. */
export interface CallCost {
  readonly callsPerSecond: number;
  /** Processor time of the gateway, user and system, for a call; its inverse is the throughput of a full core. */
  readonly cpuUsPerCall: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly residentBytes: number;
  readonly bytesPerSecond: number;
  readonly failed: number;
}

/** A load on a process. */
export interface Measured {
  readonly name: string;
  readonly pid: number;
  readonly load: Omit<LoadOptions, 'connections' | 'seconds' | 'core'>;
}

export interface Rounds {
  readonly rounds: number;
  /** Of each measured round. */
  readonly seconds: number;
  /** Before the first round. */
  readonly warmUpSeconds: number;
}

/** Connections that call at the same time. */
export const connections = 32;

/** Costs by name. All take turns within each round, so that a noisy minute meets all of them. */
export async function takeTurns(
  all: readonly Measured[],
  { rounds, seconds, warmUpSeconds }: Rounds,
): Promise<ReadonlyMap<string, CallCost>> {
  const samples = new Map<string, Sample[]>(all.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds; round += 1) {
    for (const { name, pid, load: what } of all) {
      const options = { ...what, connections, core: otherCore };
      if (round === 0) await runLoad({ ...options, seconds: warmUpSeconds });
      const before = cpuUs(pid);
      const load = await runLoad({ ...options, seconds });
      const spent = cpuUs(pid) - before;
      samples.get(name)?.push({ load, cpuUs: spent, residentBytes: residentBytes(pid) });
    }
  }
  return new Map([...samples].map(([name, taken]) => [name, summarize(taken)]));
}

interface Sample {
  readonly load: LoadResult;
  readonly cpuUs: number;
  readonly residentBytes: number;
}

function summarize(samples: readonly Sample[]): CallCost {
  const median = (value: (sample: Sample) => number) => medianOf(samples.map(value));
  return {
    callsPerSecond: median(({ load }) => load.calls / (load.durationUs / 1e6)),
    cpuUsPerCall: median((sample) => sample.cpuUs / sample.load.calls),
    p50Us: median(({ load }) => load.p50Us),
    p99Us: median(({ load }) => load.p99Us),
    residentBytes: median((sample) => sample.residentBytes),
    bytesPerSecond: median(({ load }) => load.bytes / (load.durationUs / 1e6)),
    failed: samples.reduce((sum, { load }) => sum + load.failed, 0),
  };
}

export function medianOf(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}
