import { timestampMs } from '@bufbuild/protobuf/wkt';
import {
  type Rollout,
  Rollout_Phase as Phase,
  Rollout_State as State,
  type RolloutEvent,
  type RolloutHealth,
  type RolloutProgress,
  type StageOfRollout,
} from '@signalbox/proto/signalbox/admin/v1/rollout_service_pb.ts';
import { age } from './age.ts';
import { printableLine } from './printable.ts';
import type { Style } from './style.ts';
import { type Cell, renderTable } from './table.ts';
import { localTime } from './time.ts';

/** What an answer about one rollout says. */
export interface RolloutState {
  readonly rollout?: Rollout | undefined;
  readonly progress?: RolloutProgress | undefined;
  readonly events: readonly RolloutEvent[];
}

const states: ReadonlyMap<State, Exclude<Cell, string>> = new Map([
  [State.RUNNING, { text: 'running', as: 'doubtful' }],
  [State.PAUSED, { text: 'paused', as: 'doubtful' }],
  [State.HALTED, { text: 'halted', as: 'bad' }],
  [State.COMPLETED, { text: 'completed', as: 'good' }],
  [State.ROLLED_BACK, { text: 'rolled back', as: 'bad' }],
  [State.SUPERSEDED, { text: 'superseded', as: 'dim' }],
]);

function stateOf({ state }: Rollout): Exclude<Cell, string> {
  return states.get(state) ?? { text: '-', as: 'dim' };
}

/** One row a rollout. */
export function renderRollouts(rollouts: readonly Rollout[], nowMs: number, paint: Style): string {
  if (rollouts.length === 0) {
    return 'no rollout; a tenant whose Tenant resource or policy has a rollout gets one with its next revision\n';
  }
  const heads = ['tenant', 'revision', 'state', 'stage', 'started', 'author', 'reason'];
  const rows = rollouts.map((rollout): Cell[] => [
    rollout.scope,
    `${rollout.baseRevision} → ${rollout.revision}`,
    stateOf(rollout),
    `${rollout.stage} of ${rollout.stages.length}`,
    rollout.startedAt ? `${age(nowMs, timestampMs(rollout.startedAt))} ago` : '',
    rollout.author,
    rollout.reason,
  ]);
  return renderTable(heads, rows, paint);
}

/** Everything about one rollout: its stages, how far it is, how its nodes do, and what has happened. */
export function renderRollout({ rollout, progress, events }: RolloutState, paint: Style): string {
  if (!rollout) return '';
  const { scope, revision, baseRevision, author, requiredByOperator, reason } = rollout;
  const { text, as } = stateOf(rollout);
  const whose = requiredByOperator ? 'stages required by the operator' : 'stages of the tenant';
  const head = `${paint.strong(`${scope} revision ${revision}`)} after ${baseRevision}, by ${author}: ${paint[as](text)} (${whose})`;
  const lines = [
    head,
    ...(reason === '' ? [] : [`  ${printableLine(reason)}`]),
    ...rollout.stages.map((stage, index) => stageLine(rollout, stage, index, progress, paint)),
    ...(progress ? progressLines(progress, paint) : []),
    ...events.map((event) => paint.dim(eventLine(event))),
  ];
  return `${lines.join('\n')}\n`;
}

function stageLine(
  { state, stage }: Rollout,
  { percent, groups, soakMs, manual }: StageOfRollout,
  ...[index, progress, paint]: [index: number, progress: RolloutProgress | undefined, paint: Style]
): string {
  const isPast = index + 1 < stage || state === State.COMPLETED;
  const isPresent = index + 1 === stage && progress !== undefined;
  const who = [...(percent > 0 ? [`${percent} % of the nodes`] : []), ...groups.map((group) => `group ${group}`)];
  const then = [...(soakMs > 0n ? [`soak ${duration(Number(soakMs))}`] : []), ...(manual ? ['promotion by hand'] : [])];
  const mark = isPast ? paint.good('✔') : isPresent ? paint.doubtful('▶') : paint.dim('·');
  const waits = isPresent ? `  ${paint.doubtful(waitsFor(progress))}` : '';
  return `  ${mark} stage ${index + 1}: ${who.join(' and ')}${then.length > 0 ? `, ${then.join(', ')}` : ''}${waits}`;
}

/** What a rollout that is under way waits for, in a few words; empty if it does not run. */
export function waitsFor({ phase, members, applied, remainingMs }: RolloutProgress): string {
  switch (phase) {
    case Phase.WAITING_FOR_NODES:
      return 'waits for a node';
    case Phase.PROGRESSING:
      return `${applied} of ${members} nodes run it`;
    case Phase.SOAKING:
      return `${applied} of ${members} nodes run it, ${duration(Number(remainingMs))} to go`;
    case Phase.AWAITING_PROMOTION:
      return `${applied} of ${members} nodes run it, waits to be promoted`;
    case Phase.PHASE_UNSPECIFIED:
    default:
      return '';
  }
}

function progressLines({ nodes, members, memberNodes, candidate, base, incomplete }: RolloutProgress, paint: Style) {
  const more = members - memberNodes.length;
  const named = [...memberNodes.map(printableLine), ...(more > 0 ? [`${more} more`] : [])].join(', ');
  return [
    `  reached ${members} of ${nodes} nodes${named === '' ? '' : `: ${named}`}`,
    ...(candidate ? [`  with it     ${healthText(candidate)}`] : []),
    ...(base ? [`  without it  ${healthText(base)}`] : []),
    ...(incomplete === '' ? [] : [paint.bad(`  nothing moves on: ${printableLine(incomplete)}`)]),
  ];
}

function healthText({ requests, denials, upstreamErrors, p99Ms }: RolloutHealth): string {
  const share = (count: bigint) => (requests === 0n ? '0' : ((100 * Number(count)) / Number(requests)).toFixed(1));
  return `${requests} requests, ${share(denials)} % denied, ${share(upstreamErrors)} % failed upstream, p99 ${p99Ms.toFixed(1)} ms`;
}

function eventLine({ at, event, stage, actor, detail }: RolloutEvent): string {
  const who = actor === '' ? '' : ` by ${actor}`;
  return printableLine(
    `  ${localTime(at)}  ${event.padEnd(15)}  stage ${stage}${who}${detail === '' ? '' : `: ${detail}`}`,
  );
}

function duration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)}ms`;
  const parts = [
    [Math.floor(ms / 3_600_000), 'h'],
    [Math.floor(ms / 60_000) % 60, 'm'],
    [Math.floor(ms / 1_000) % 60, 's'],
  ] as const;
  return parts.flatMap(([count, unit]) => (count > 0 ? [`${count}${unit}`] : [])).join('');
}
