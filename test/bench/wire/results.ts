import type { Machine } from '../src/machine.ts';
import type { OverloadFigures } from './overload.ts';
import type { WorkerFigures } from './workers.ts';

export interface WireResults {
  readonly machine: Machine;
  readonly limitations: readonly string[];
  readonly workers: WorkerFigures | undefined;
  readonly shedding: OverloadFigures | undefined;
  /** The same without the decision: for comparison. */
  readonly lettingIn: OverloadFigures | undefined;
}

export function renderWire({ machine, limitations, workers, shedding, lettingIn }: WireResults): string {
  const rows = [...(workers ? workerRows(workers) : []), ...(shedding ? overloadRows(shedding, lettingIn) : [])];
  return `# The wire: results

${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB, Node ${machine.node}, commit ${machine.commit}, ${machine.date} UTC.
How each is measured: [README](README.md).

${limitations.map((limitation) => `- ${limitation}\n`).join('')}
| figure | measured | aim | |
| --- | ---: | ---: | --- |
${rows.join('\n')}
`;
}

function workerRows(figures: WorkerFigures): string[] {
  const { oneWorkerUs, twoWorkersUs, ratio, connectionsRatio, leastShare } = figures;
  return [
    row('two workers against one, CPU-normalised', `${ratio.toFixed(2)} ×`, '≥ 1.8 ×', ratio >= 1.8),
    `| CPU a call, one worker; two | ${oneWorkerUs.toFixed(1)} µs; ${twoWorkersUs.toFixed(1)} µs | | |`,
    `| calls at the worker that had fewer | ${(leastShare * 100).toFixed(0)} % | | |`,
    row('1,000 connections against 32', `${connectionsRatio.toFixed(2)} ×`, '≥ 0.85 ×', connectionsRatio >= 0.85),
  ];
}

function overloadRows(figures: OverloadFigures, lettingIn: OverloadFigures | undefined): string[] {
  const { goodput, cpuGoodput, recoveryMs, capacity, p99Ms, refusedPerSecond, failed } = figures;
  return [
    row('goodput at 5 × capacity', `${(goodput * 100).toFixed(0)} % of peak`, '≥ 80 %', goodput >= 0.8),
    `| the same by processor time | ${(cpuGoodput * 100).toFixed(0)} % | | |`,
    row('recovery', `${recoveryMs} ms`, '≤ 2 s', recoveryMs <= 2_000),
    `| capacity; p99 of good answers; refused; failed | ${capacity.toFixed(0)}/s; ${p99Ms.toFixed(0)} ms; ${refusedPerSecond.toFixed(0)}/s; ${failed} | | |`,
    ...(lettingIn
      ? [
          `| the same, letting everybody in | ${(lettingIn.goodput * 100).toFixed(0)} % of peak, ${(lettingIn.cpuGoodput * 100).toFixed(0)} % by processor time, p99 ${lettingIn.p99Ms.toFixed(0)} ms, recovery ${lettingIn.recoveryMs} ms | | |`,
        ]
      : []),
  ];
}

function row(figure: string, measured: string, aim: string, met: boolean): string {
  return `| ${figure} | ${measured} | ${aim} | ${met ? 'met' : 'missed'} |`;
}
