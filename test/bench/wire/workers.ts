import type { JwtIssuer } from '@signalbox/test-harness';

import { medianOf } from '../src/rounds.ts';
import { runLoad } from '../src/load.ts';
import { otherCore } from '../src/machine.ts';
import { cpuUs } from '../src/process-cost.ts';
import { type MeasuredProxy, startMeasuredProxy } from './measured-proxy.ts';

export interface WorkerFigures {
  /** µs of processor time a call, supervisor included. */
  readonly oneWorkerUs: number;
  readonly twoWorkersUs: number;
  /** Throughput of two full cores against one: 2 × the one's cost by the two's. */
  readonly ratio: number;
  /** Least share of the calls that one of the two has served, over the rounds. */
  readonly leastShare: number;
  /** Throughput of a full core with 1,000 connections against 32. */
  readonly connectionsRatio: number;
}

const rules = ['tool.name in ["small"]'];
const rounds = 5;

/** Interleaved: a noisy minute meets both. */
export async function measureWorkers(upstreamUrl: string, issuer: JwtIssuer): Promise<WorkerFigures> {
  const one = await startMeasuredProxy({ upstreamUrl, issuer, rules, workers: 1 });
  const two = await startMeasuredProxy({ upstreamUrl, issuer, rules, workers: 2 });
  try {
    const costs = { one: [] as number[], two: [] as number[], many: [] as number[] };
    for (let round = 0; round <= rounds; round += 1) {
      const [a, b, c] = [await costOf(one, 32), await costOf(two, 64), await costOf(one, 1_000)];
      if (round === 0) continue;
      costs.one.push(a);
      costs.two.push(b);
      costs.many.push(c);
    }
    const [oneWorkerUs, twoWorkersUs] = [medianOf(costs.one), medianOf(costs.two)];
    return {
      ...{ oneWorkerUs, twoWorkersUs, ratio: (2 * oneWorkerUs) / twoWorkersUs },
      leastShare: Math.min(...(await sharesOf(two))),
      connectionsRatio: oneWorkerUs / medianOf(costs.many),
    };
  } finally {
    await Promise.all([one.process.stop(), two.process.stop()]);
  }
}

async function costOf(proxy: MeasuredProxy, connections: number): Promise<number> {
  const before = cpuUs(proxy.process.pid);
  const { url, headers } = proxy;
  const { calls } = await runLoad({
    url,
    headers,
    tool: 'small',
    argumentBytes: 1_024,
    connections,
    seconds: 2,
    core: otherCore,
  });
  return (cpuUs(proxy.process.pid) - before) / calls;
}

/** How the kernel has spread the calls over the workers. */
async function sharesOf({ adminUrl }: MeasuredProxy): Promise<readonly number[]> {
  const metrics = await (await fetch(`${adminUrl}/metrics`)).text();
  const served = [...metrics.matchAll(/^signalbox_request_duration_seconds_count\{worker="\d"\} (\d+)$/gm)].map(
    ([, count]) => Number(count),
  );
  const all = served.reduce((sum, count) => sum + count, 0);
  return served.map((count) => count / all);
}
