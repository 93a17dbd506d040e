import { rounds, sizes } from './calls.ts';
import type { PropagationCost, Stalls, SwapCost } from './configuration.ts';
import type { IdleStreamCost } from './idle-streams.ts';
import type { Machine } from './machine.ts';
import { type CallCost, connections } from './rounds.ts';
import type { Skipped, Target } from './targets.ts';

/** Everything that one run found out. */
export interface Results {
  readonly machine: Machine;
  readonly seconds: number;
  readonly load: string;
  readonly targets: readonly Pick<Target, 'name' | 'title'>[];
  readonly skipped: readonly Skipped[];
  readonly limitations: readonly string[];
  /** By `<target>/<tool>`. */
  readonly calls: ReadonlyMap<string, CallCost>;
  readonly idleStreams: IdleStreamCost | undefined;
  readonly propagation: PropagationCost | undefined;
  readonly swap: SwapCost | undefined;
}

interface Goal {
  readonly title: string;
  readonly aim: string;
  readonly measured: number | undefined;
  readonly digits: number;
  readonly unit: string;
  /** Said after the figure. */
  readonly more?: string;
  readonly met: (measured: number) => boolean;
}

/** test/bench/RESULTS.md */
export function renderResults(results: Results): string {
  const { machine, skipped, limitations, load, seconds } = results;
  const notes = [
    ...skipped.map(({ name, skipped: why }) => `**SKIPPED ${name}**: ${why}.`),
    ...limitations.map((text) => `**NOTE**: ${text}.`),
  ];
  return [
    '# What a call costs',
    '',
    'Written by `npm run bench`. Compare figures of one run only: ratios travel between machines, figures do not.',
    '',
    `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB; Node ${machine.node}; commit ${machine.commit}; ${machine.date} UTC; took ${Math.round(seconds)} s.`,
    `Load: ${load}, ${connections} keep-alive connections, tools/call with 1 KB of arguments, varying ids, lengths and trace ids. Gateway on one core,`,
    `load and upstream on the other. Targets take turns within each round; medians of ${rounds} rounds. CPU is user and system time of the gateway's`,
    'process tree for each call. The upstream row is the upstream alone, on the core that it shares with the load.',
    '',
    ...(notes.length === 0 ? [] : [...notes.map((note) => `- ${note}`), '']),
    '## Goals',
    '',
    ...goalTable(goals(results)),
    ...sizes.flatMap(({ tool, title }) => ['', `## ${title}`, '', ...callTable(results, tool)]),
    '',
    '## Configuration and streams',
    '',
    ...otherLines(results),
    '',
  ].join('\n');
}

function goals(results: Results): Goal[] {
  const small = (name: string) => results.calls.get(`${name}/small`);
  const ratio = (of: number | undefined, to: number | undefined) =>
    of === undefined || to === undefined ? undefined : of / to;
  const ours = small('signalbox');
  const throughput = (name: string) => ratio(ours?.callsPerSecond, small(name)?.callsPerSecond);
  const byCpu = (name: string) => {
    const measured = ratio(small(name)?.cpuUsPerCall, ours?.cpuUsPerCall);
    return measured === undefined ? '' : `, ${measured.toFixed(2)} × by CPU`;
  };
  return [
    {
      title: 'throughput against nginx `proxy_pass`',
      aim: '≥ 0.35 ×',
      measured: throughput('nginx'),
      more: byCpu('nginx'),
      digits: 2,
      unit: '×',
      met: (x) => x >= 0.35,
    },
    {
      title: 'throughput against the SDK-built gateway',
      aim: '≥ 12 ×',
      measured: throughput('sdk'),
      more: byCpu('sdk'),
      digits: 1,
      unit: '×',
      met: (x) => x >= 12,
    },
    {
      title: 'throughput against Envoy with jwt_authn, mcp, rbac',
      aim: '> 1 ×',
      measured: throughput('envoy'),
      more: byCpu('envoy'),
      digits: 2,
      unit: '×',
      met: (x) => x > 1,
    },
    {
      title: 'CPU of a call, 300 B result',
      aim: '≤ 45 µs (budget of the finished product)',
      measured: ours?.cpuUsPerCall,
      digits: 1,
      unit: 'µs',
      met: (x) => x <= 45,
    },
    {
      title: 'CPU of a call to one of two members, against one upstream',
      aim: '≤ 1.15 ×',
      measured: ratio(small('federation')?.cpuUsPerCall, ours?.cpuUsPerCall),
      digits: 2,
      unit: '×',
      met: (x) => x <= 1.15,
    },
    {
      title: 'longest event-loop stall of a table swap, 10,000 routes (processor time)',
      aim: '< 5 ms',
      measured: results.swap && Math.max(results.swap.oneRoute.longest.cpuMs, results.swap.everyRoute.longest.cpuMs),
      digits: 1,
      unit: 'ms',
      met: (x) => x < 5,
    },
    {
      title: 'memory of an idle SSE stream, of 5,000',
      aim: '≤ 20 KB',
      measured: results.idleStreams && results.idleStreams.residentBytesPerStream / 1_000,
      digits: 1,
      unit: 'KB',
      met: (x) => x <= 20,
    },
    {
      title: 'commit to applied on one node, p99',
      aim: '< 10 ms',
      measured: results.propagation?.p99Ms,
      digits: 1,
      unit: 'ms',
      met: (x) => x < 10,
    },
  ];
}

function goalTable(all: readonly Goal[]): string[] {
  const rows = all.map(({ title, aim, measured, digits, unit, more = '', met }) =>
    measured === undefined
      ? `| ${title} | ${aim} | not measured | – |`
      : `| ${title} | ${aim} | ${measured.toFixed(digits)} ${unit}${more} | ${met(measured) ? 'met' : '**missed**'} |`,
  );
  return ['| | aim | measured | |', '| --- | --- | ---: | --- |', ...rows];
}

function callTable({ targets, calls }: Results, tool: string): string[] {
  const nginx = calls.get(`nginx/${tool}`)?.callsPerSecond;
  const rows = targets.flatMap(({ name, title }) => {
    const cost = calls.get(`${name}/${tool}`);
    if (!cost) return [];
    const cells = [
      title,
      cost.cpuUsPerCall.toFixed(1),
      cost.callsPerSecond.toFixed(0),
      nginx === undefined ? '–' : (cost.callsPerSecond / nginx).toFixed(2),
      (cost.p50Us / 1_000).toFixed(2),
      (cost.p99Us / 1_000).toFixed(2),
      (cost.bytesPerSecond / 1e6).toFixed(0),
      (cost.residentBytes / 2 ** 20).toFixed(0),
      String(cost.failed),
    ];
    return [`| ${cells.join(' | ')} |`];
  });
  return [
    '| | CPU µs a call | calls/s | of nginx | p50 ms | p99 ms | MB/s out | RSS MiB | failed |',
    '| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |',
    ...rows,
  ];
}

function otherLines({ swap, idleStreams, propagation }: Results): string[] {
  const ms = (value: number) => `${value.toFixed(1)} ms`;
  const stalls = ({ longest, median }: Stalls) =>
    `${ms(longest.wallMs)} and ${ms(longest.cpuMs)} (medians ${ms(median.wallMs)} and ${ms(median.cpuMs)})`;
  return [
    ...(propagation === undefined
      ? []
      : [
          `- Commit to applied on one node, over ${propagation.commits} commits: p50 ${ms(propagation.p50Ms)}, p99 ${ms(propagation.p99Ms)}, which includes the commit itself;`,
          `  behind the API's answer p50 ${ms(propagation.afterAnswerP50Ms)}, p99 ${ms(propagation.afterAnswerP99Ms)}. The disk alone keeps a page in p50 ${ms(propagation.disk.p50Ms)}, p99 ${ms(propagation.disk.p99Ms)}.`,
        ]),
    ...(swap === undefined
      ? []
      : [
          `- Longest stall of a node's event loop while a tenant of ${swap.routes} routes changes, over ${swap.swaps} swaps each, by the clock and in`,
          `  processor time: one route changes, ${stalls(swap.oneRoute)}; a policy above all routes changes, ${stalls(swap.everyRoute)}.`,
          `  Commit to applied, median: ${ms(swap.appliedP50Ms)}.`,
        ]),
    ...(idleStreams === undefined
      ? []
      : [
          `- Idle legacy GET stream, over ${idleStreams.streams} streams, each with its session, client connection and upstream connection: ${(idleStreams.residentBytesPerStream / 1_000).toFixed(1)} KB`,
          `  of resident memory, ${(idleStreams.heapBytesPerStream / 1_000).toFixed(1)} KB of it JavaScript heap.`,
        ]),
  ];
}
