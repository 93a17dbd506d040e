import { systemClock } from '@signalbox/runtime';
import type { JwtIssuer } from '@signalbox/test-harness';

import { medianOf } from '../src/rounds.ts';
import { type LoadOptions, runLoad } from '../src/load.ts';
import { otherCore } from '../src/machine.ts';
import { cpuUs } from '../src/process-cost.ts';
import { startMeasuredProxy } from './measured-proxy.ts';
import { type PhaseResult, runOpenLoop } from './open-loop.ts';

export interface OverloadFigures {
  /** Calls a second of a closed loop of 64 connections: what is offered is a multiple of it. */
  readonly capacity: number;
  /** The mean of it and the same again behind the overload: what goodput is a share of. */
  readonly peak: number;
  /** In time at 5 × capacity, as a share of the peak. */
  readonly goodput: number;
  /** The same with each divided by the processor time that it took: what counts where others use the machine. */
  readonly cpuGoodput: number;
  readonly p99Ms: number;
  readonly refusedPerSecond: number;
  /** From the end of the overload until what is offered at 0.5 × capacity is answered in time again. */
  readonly recoveryMs: number;
  readonly failed: number;
  /** Of each phase, by what happened; status 299: an error inside an answer. */
  readonly failures: readonly Readonly<Record<string, number>>[];
}

/** Rules that every call is evaluated against: so costly that one generator can offer five times what is served. */
const rules = [
  ...Array.from({ length: 100 }, (_, i) => `args.text.contains("never-${i}") && args.text.size() > ${i}`),
  'tool.name == "small"',
];
const sliceMs = 250;
const recoverySeconds = 6;
const overloadSeconds = 8;

/** @param sheds false: the node lets everybody in. */
export async function measureOverload(
  upstreamUrl: string,
  issuer: JwtIssuer,
  sheds: boolean,
): Promise<OverloadFigures> {
  const env: Record<string, string> = sheds
    ? {}
    : { SIGNALBOX_PROXY_OVERLOAD_DELAY: '1000000', SIGNALBOX_PROXY_MAX_CALLS: '1000000' };
  const proxy = await startMeasuredProxy({ upstreamUrl, issuer, rules, env });
  try {
    const load = { url: proxy.url, tool: 'small', argumentBytes: 200, headers: proxy.headers, core: otherCore };
    await runLoad({ ...load, connections: 64, seconds: 3 });
    const closedBefore = await throughputs(load, proxy.process.pid);
    const capacity = medianOf(closedBefore.map(({ perSecond }) => perSecond));
    const began = cpuUs(proxy.process.pid);
    let spentUs = 0;
    using _sample = systemClock.timer(overloadSeconds * 1_000, () => (spentUs = cpuUs(proxy.process.pid) - began));
    const { phases } = await runOpenLoop({
      ...{ url: proxy.url, headers: proxy.headers, connections: 4_000, deadlineMs: 1_000, sliceMs },
      phases: [
        { rate: capacity * 5, seconds: overloadSeconds },
        { rate: capacity * 0.5, seconds: recoverySeconds },
      ],
    });
    const [during, after] = phases as [PhaseResult, PhaseResult];
    const closed = [...closedBefore, ...(await throughputs(load, proxy.process.pid))];
    const peak = medianOf(closed.map(({ perSecond }) => perSecond));
    const perCpuSecond = medianOf(closed.map((each) => each.perCpuSecond));
    return {
      capacity,
      peak,
      goodput: during.good / overloadSeconds / peak,
      cpuGoodput: during.good / (spentUs / 1e6) / perCpuSecond,
      p99Ms: during.p99Ms,
      refusedPerSecond: during.refused / overloadSeconds,
      recoveryMs: recoveryOf(after, capacity * 0.5),
      failed: phases.reduce((sum, { failed }) => sum + failed, 0),
      failures: phases.map(({ failures }) => failures),
    };
  } finally {
    await proxy.process.stop();
  }
}

interface Throughput {
  readonly perSecond: number;
  readonly perCpuSecond: number;
}

/** Of a closed loop. */
async function throughputs(
  load: Omit<LoadOptions, 'connections' | 'seconds'>,
  pid: number,
): Promise<readonly Throughput[]> {
  const found: Throughput[] = [];
  for (let i = 0; i < 3; i += 1) {
    const before = cpuUs(pid);
    const { calls, durationUs } = await runLoad({ ...load, connections: 64, seconds: 2 });
    found.push({ perSecond: calls / (durationUs / 1e6), perCpuSecond: calls / ((cpuUs(pid) - before) / 1e6) });
  }
  return found;
}

/** The end of the first slice in which 80 % of what was offered was answered in time, and in the next one, too. */
function recoveryOf({ goodPerSlice }: PhaseResult, rate: number): number {
  const enough = (rate * sliceMs * 0.8) / 1_000;
  const isGood = (slice: number) => (goodPerSlice[slice] ?? 0) >= enough;
  const slices = (recoverySeconds * 1_000) / sliceMs;
  const first = Array.from({ length: slices }, (_, i) => i).find((i) => isGood(i) && isGood(i + 1));
  return ((first ?? slices) + 1) * sliceMs;
}
