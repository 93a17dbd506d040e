import type { JwtIssuer } from '@signalbox/test-harness';

import { medianOf } from '../src/rounds.ts';
import { type LoadOptions, runLoad } from '../src/load.ts';
import { otherCore } from '../src/machine.ts';
import { startMeasuredProxy } from './measured-proxy.ts';
import { type PhaseResult, runOpenLoop } from './open-loop.ts';

export interface OverloadFigures {
  /** Calls a second of a closed loop of 64 connections: what is offered is a multiple of it. */
  readonly capacity: number;
  /** The mean of it and the same again behind the overload: what goodput is a share of. */
  readonly peak: number;
  /** In time at 5 × capacity, as a share of the peak. */
  readonly goodput: number;
  readonly p99Ms: number;
  readonly refusedPerSecond: number;
  /** From the end of the overload until all that is offered at 0.5 × capacity is answered in time again. */
  readonly recoveryMs: number;
  readonly failed: number;
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
    const capacity = medianOf(await throughputs(load));
    const { phases } = await runOpenLoop({
      ...{ url: proxy.url, headers: proxy.headers, connections: 4_000, deadlineMs: 1_000, sliceMs },
      phases: [
        { rate: capacity * 5, seconds: overloadSeconds },
        { rate: capacity * 0.5, seconds: recoverySeconds },
      ],
    });
    const [during, after] = phases as [PhaseResult, PhaseResult];
    const peak = (capacity + medianOf(await throughputs(load))) / 2;
    return {
      capacity,
      peak,
      goodput: during.good / overloadSeconds / peak,
      p99Ms: during.p99Ms,
      refusedPerSecond: during.refused / overloadSeconds,
      recoveryMs: recoveryOf(after, capacity * 0.5),
      failed: phases.reduce((sum, { failed }) => sum + failed, 0),
    };
  } finally {
    await proxy.process.stop();
  }
}

/** Calls a second of a closed loop. */
async function throughputs(load: Omit<LoadOptions, 'connections' | 'seconds'>): Promise<readonly number[]> {
  const found: number[] = [];
  for (let i = 0; i < 3; i += 1) {
    const { calls, durationUs } = await runLoad({ ...load, connections: 64, seconds: 2 });
    found.push(calls / (durationUs / 1e6));
  }
  return found;
}

/** The end of the last slice in which less than 80 % of what was offered was answered in time. */
function recoveryOf({ goodPerSlice }: PhaseResult, rate: number): number {
  const enough = (rate * sliceMs * 0.8) / 1_000;
  const slices = Array.from({ length: (recoverySeconds * 1_000) / sliceMs }, (_, i) => goodPerSlice[i] ?? 0);
  return (slices.findLastIndex((good) => good < enough) + 1) * sliceMs;
}
