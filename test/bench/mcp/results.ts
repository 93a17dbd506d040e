import type { IdleStreamCost } from '../src/idle-streams.ts';
import type { Machine } from '../src/machine.ts';
import { type CallCost, connections } from '../src/rounds.ts';
import { type Costs, type Part, parts, rounds } from './measure.ts';
import { listedTools, type Scene } from './scene.ts';

/** Everything that one run found out. */
export interface Results {
  readonly machine: Machine;
  readonly seconds: number;
  readonly load: string;
  readonly scene: Pick<Scene, 'ways' | 'skipped'>;
  readonly limitations: readonly string[];
  readonly costs: Costs;
  readonly sessions: (IdleStreamCost & { readonly count: number }) | undefined;
}

interface Aim {
  readonly title: string;
  readonly aim: string;
  readonly measured: number | undefined;
  readonly text: (measured: number) => string;
  readonly met: (measured: number) => boolean;
}

/** test/bench/mcp/RESULTS.md */
export function renderResults(results: Results): string {
  const { machine, seconds, load, scene, limitations } = results;
  const notes = [
    ...scene.skipped.map((why) => `**SKIPPED** ${why}.`),
    ...limitations.map((text) => `**NOTE**: ${text}.`),
  ];
  return [
    '# What MCP costs the gateway',
    '',
    'Written by `npm run bench:mcp`; what is measured, and how, stands in README.md. Compare figures of one run only.',
    '',
    `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB; Node ${machine.node}; commit ${machine.commit}; ${machine.date} UTC; took ${Math.round(seconds)} s.`,
    `Load: ${load}, ${connections} keep-alive connections; medians of ${rounds} rounds.`,
    '',
    ...(notes.length === 0 ? [] : [...notes.map((note) => `- ${note}`), '']),
    '## Aims',
    '',
    'Ratios are of processor time for a call: above 1 × the gateway is the cheaper one.',
    '',
    '| | aim | measured | |',
    '| --- | --- | ---: | --- |',
    ...aims(results).map(aimRow),
    ...parts.flatMap((part) => ['', `## ${part.title}`, '', ...table(results, part)]),
    '',
  ].join('\n');
}

function aims({ costs, sessions }: Results): readonly Aim[] {
  const [small, medium, large, list] = parts as readonly [Part, Part, Part, Part];
  const cpu = (way: string, { title }: Part) => costs.get(`${way}/${title}`)?.cpuUsPerCall;
  /** How many times as cheap `way` is as `other`. */
  const ratio = (title: string, [way, other]: readonly [string, string], part: Part, least: number): Aim => {
    const [own, theirs] = [cpu(way, part), cpu(other, part)];
    return {
      title: `${title}, ${part.title}`,
      aim: `≥ ${least} ×`,
      measured: own === undefined || theirs === undefined ? undefined : theirs / own,
      text: (measured) => `${measured.toFixed(2)} ×`,
      met: (measured) => measured >= least,
    };
  };
  const members = (part: Part): Aim => ({
    ...ratio('cost of one of two members, against one server', ['legacy', 'members'], part, 0),
    aim: '≤ 1.15 ×',
    met: (measured) => measured <= 1.15,
  });
  return [
    ratio('same era, against nginx `proxy_pass`', ['legacy', 'nginx'], small, 0.35),
    ratio('same era, against nginx `proxy_pass`', ['legacy', 'nginx'], medium, 0.45),
    ratio('same era, against nginx `proxy_pass`', ['legacy', 'nginx'], large, 0.7),
    ...[small, medium].flatMap((part) => [
      ratio('legacy client of a modern server, against our own same era', ['to-modern', 'legacy'], part, 0.6),
      ratio('modern client of a legacy server, against our own same era', ['to-legacy', 'modern'], part, 0.6),
    ]),
    ...[small, medium, large].map(members),
    ...[small, medium].map((part) =>
      ratio('one of two members, against Envoy’s `mcp_router`', ['members', 'envoy'], part, 1),
    ),
    ratio('same era, against the SDK-built gateway', ['legacy', 'sdk'], small, 12),
    {
      title: `tools/list of ${listedTools} tools`,
      aim: '≥ 2,000/s',
      measured: costs.get(`list/${list.title}`)?.callsPerSecond,
      text: (measured) => `${measured.toFixed(0)}/s`,
      met: (measured) => measured >= 2_000,
    },
    {
      title: `memory of a node with ${sessions?.count ?? 0} open legacy sessions, ${sessions?.streams ?? 0} of them with a stream`,
      aim: '≤ 400 MB',
      measured: sessions && sessions.residentBytes / 1e6,
      text: (measured) => `${measured.toFixed(0)} MB`,
      met: (measured) => measured <= 400,
    },
  ];
}

function aimRow({ title, aim, measured, text, met }: Aim): string {
  return measured === undefined
    ? `| ${title} | ${aim} | not measured | – |`
    : `| ${title} | ${aim} | ${text(measured)} | ${met(measured) ? 'met' : '**missed**'} |`;
}

function table({ scene, costs }: Results, part: Part): string[] {
  const rows = part.ways.flatMap((name) => {
    const cost = costs.get(`${name}/${part.title}`);
    const title = scene.ways.find((way) => way.name === name)?.title ?? name;
    return cost ? [`| ${[title, ...cells(cost)].join(' | ')} |`] : [];
  });
  return [
    '| | CPU µs a call | calls/s | p50 ms | p99 ms | MB/s out | RSS MiB | failed |',
    '| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |',
    ...rows,
  ];
}

function cells(cost: CallCost): string[] {
  return [
    cost.cpuUsPerCall.toFixed(1),
    cost.callsPerSecond.toFixed(0),
    (cost.p50Us / 1_000).toFixed(2),
    (cost.p99Us / 1_000).toFixed(2),
    (cost.bytesPerSecond / 1e6).toFixed(0),
    (cost.residentBytes / 2 ** 20).toFixed(0),
    String(cost.failed),
  ];
}
