import type { Machine } from '../src/machine.ts';
import type { ChangeCost } from './changes.ts';
import type { ColdStart } from './cold-start.ts';
import type { CommitRate } from './commit-rate.ts';
import type { FleetCost } from './fleet-run.ts';
import type { FleetOptions } from './options.ts';

/** Everything that one run found out. */
export interface FleetResults {
  readonly machine: Machine;
  readonly seconds: number;
  readonly limitations: readonly string[];
  readonly options: FleetOptions;
  readonly fleets: readonly FleetCost[];
  readonly commitRate: CommitRate | undefined;
  readonly coldStart: ColdStart | undefined;
}

interface Aim {
  readonly title: string;
  readonly aim: string;
  readonly measured: number | undefined;
  readonly unit: string;
  readonly met: (measured: number) => boolean;
}

/** test/bench/fleet/RESULTS.md */
export function renderResults(results: FleetResults): string {
  const { machine, seconds, limitations, options } = results;
  const notes = limitations.map((text) => `**NOTE**: ${text}.`);
  return [
    '# What a fleet costs its control plane',
    '',
    'Written by `npm run bench:fleet`; what is measured, and how, stands in README.md.',
    '',
    `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB; Node ${machine.node}; commit ${machine.commit}; ${machine.date} UTC; took ${Math.round(seconds)} s.`,
    `Postgres with fsync, control plane, fleet and writers share the machine; plaintext, loopback. ${options.tenants} tenants of ${options.resourcesPerTenant} resources,`,
    `each seen by ${options.nodesPerTenant} nodes; ${options.scopedPerSecond} changes a second of one tenant each, ${options.everyonePerSecond} a second of one that every node sees.`,
    '',
    ...(notes.length === 0 ? [] : [...notes.map((note) => `- ${note}`), '']),
    '## Aims',
    '',
    '| | aim | measured | |',
    '| --- | --- | ---: | --- |',
    ...aims(results).map(aimRow),
    '',
    '## By size',
    '',
    ...fleetTable(results),
    '',
    ...otherLines(results),
    '',
  ].join('\n');
}

function aims({ fleets, commitRate, coldStart }: FleetResults): readonly Aim[] {
  const of = (nodes: number) => fleets.find((fleet) => fleet.nodes === nodes);
  const thousand = of(1_000);
  const tenThousand = of(10_000);
  const lost = fleets.map((fleet) => fleet.scoped.lost + (fleet.everyone?.lost ?? 0));
  return [
    atMost('1,000 nodes: one tenant changes, request → node, p99', 8, 'ms', thousand?.scoped.p99Ms),
    atMost('… of it after the answer to the commit, p99', 4, 'ms', thousand?.scoped.afterCommitP99Ms),
    atMost('1,000 nodes: everybody’s tenant changes, request → node, p99', 50, 'ms', thousand?.everyone?.p99Ms),
    atMost('… CPU of the control plane a receiver', 50, 'µs', thousand?.everyone?.cpuUsPerReceiver),
    atMost('1,000 nodes reconnect at once: converged', 2, 's', seconds(thousand?.reconnect.milliseconds)),
    atMost('… resources sent', 0, '', thousand?.reconnect.resources),
    atMost('10,000 nodes: connected and configured', 20, 's', seconds(tenThousand?.arrival.milliseconds)),
    atMost('10,000 nodes: one tenant changes, request → node, p99', 25, 'ms', tenThousand?.scoped.p99Ms),
    atMost('resident memory of a stream, largest fleet', 60, 'KB', kilobytes(fleets.at(-1)?.residentPerStream)),
    atMost('changes lost', 0, '', lost.length === 0 ? undefined : lost.reduce((sum, each) => sum + each, 0)),
    atMost(`cold start of a replica`, 3, 's', seconds(coldStart?.milliseconds)),
    atLeast('commits, of what the statements alone reach', 0.7, '×', ratio(commitRate)),
  ];
}

function atMost(title: string, limit: number, unit: string, measured: number | undefined): Aim {
  return { title, aim: `≤ ${limit} ${unit}`.trim(), unit, measured, met: (value) => value <= limit };
}

function atLeast(title: string, limit: number, unit: string, measured: number | undefined): Aim {
  return { title, aim: `≥ ${limit} ${unit}`.trim(), unit, measured, met: (value) => value >= limit };
}

function aimRow({ title, aim, measured, unit, met }: Aim): string {
  if (measured === undefined) return `| ${title} | ${aim} | not measured | – |`;
  return `| ${title} | ${aim} | ${figure(measured)} ${unit} | ${met(measured) ? 'met' : '**missed**'} |`;
}

function fleetTable({ fleets }: FleetResults): string[] {
  const rows: [title: string, of: (fleet: FleetCost) => string][] = [
    ['tenants that a node sees', ({ tenantsPerNode }) => String(tenantsPerNode + 1)],
    ['all connected and configured, s', ({ arrival }) => figure(arrival.milliseconds / 1_000)],
    ['… CPU ms a node', ({ cpuUsPerArrival }) => figure(cpuUsPerArrival / 1_000)],
    ['… sent away first, times', ({ arrival }) => String(arrival.deferred)],
    ['… KB sent to a node', ({ nodes, arrival }) => figure(arrival.bytes / nodes / 1_000)],
    ['all reconnected, s', ({ reconnect }) => figure(reconnect.milliseconds / 1_000)],
    ['… resources and KB sent in all', ({ reconnect }) => `${reconnect.resources}, ${figure(reconnect.bytes / 1_000)}`],
    ['resident KB a stream; after a collection', (one) => memoryCell(one.residentPerStream, one.collectedPerStream)],
    ['heap KB a stream', ({ heapPerStream }) => figure(heapPerStream / 1_000)],
    ['cores when nothing changes', ({ idleCores }) => idleCores.toFixed(3)],
    ['one tenant changes: p50, p99 ms', ({ scoped }) => latencyCell(scoped)],
    ['… after the answer, p99 ms', ({ scoped }) => figure(scoped.afterCommitP99Ms)],
    ['… CPU ms a change, API included', ({ scoped }) => figure(scoped.cpuUsPerChange / 1_000)],
    ['… commits, refused', ({ scoped }) => `${scoped.commits}, ${scoped.failed}`],
    ['… delivered, lost', ({ scoped }) => `${scoped.deliveries}, ${scoped.lost}`],
    ['everybody’s changes: p50, p99 ms', ({ everyone }) => (everyone ? latencyCell(everyone) : '–')],
    ['… CPU µs a receiver', ({ everyone }) => (everyone ? figure(everyone.cpuUsPerReceiver) : '–')],
    ['… delivered, lost', ({ everyone }) => (everyone ? `${everyone.deliveries}, ${everyone.lost}` : '–')],
  ];
  return [
    `| nodes | ${fleets.map(({ nodes }) => nodes).join(' | ')} |`,
    `| --- | ${fleets.map(() => '---:').join(' | ')} |`,
    ...rows.map(([title, of]) => `| ${title} | ${fleets.map(of).join(' | ')} |`),
  ];
}

function otherLines({ commitRate, coldStart }: FleetResults): string[] {
  return [
    ...(commitRate === undefined
      ? []
      : [
          `- ${commitRate.writers} writers in tenants of their own: ${figure(commitRate.viaApi)} commits a second through the API; ${
            commitRate.statementsAlone === undefined
              ? 'pgbench is missing, so that there is nothing to compare with'
              : `${figure(commitRate.statementsAlone)} by pgbench with the recorded statements`
          }.`,
        ]),
    ...(coldStart === undefined
      ? []
      : [
          `- A replica reads ${coldStart.resources} resources and serves after ${figure(coldStart.milliseconds / 1_000)} s (${figure(coldStart.emptyMs / 1_000)} s with an empty database), ${figure(coldStart.cpuMs / 1_000)} s of it on a processor; it then has ${figure(coldStart.residentBytes / 2 ** 20)} MiB.`,
        ]),
  ];
}

function latencyCell({ p50Ms, p99Ms }: ChangeCost): string {
  return `${figure(p50Ms)}, ${figure(p99Ms)}`;
}

function memoryCell(resident: number, collected: number): string {
  return `${figure(resident / 1_000)}; ${figure(collected / 1_000)}`;
}

function ratio(rate: CommitRate | undefined): number | undefined {
  return rate?.statementsAlone === undefined ? undefined : rate.viaApi / rate.statementsAlone;
}

function seconds(milliseconds: number | undefined): number | undefined {
  return milliseconds === undefined ? undefined : milliseconds / 1_000;
}

function kilobytes(bytes: number | undefined): number | undefined {
  return bytes === undefined ? undefined : bytes / 1_000;
}

/** Three digits that count. */
function figure(value: number): string {
  return value >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(3)));
}
