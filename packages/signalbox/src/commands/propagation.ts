import {
  type NodePropagation,
  NodePropagation_State as State,
  type Propagation,
} from '@signalbox/proto/signalbox/admin/v1/config_service_pb.ts';
import { Command } from 'commander';
import type { Cli } from '../cli.ts';
import { type AdminClient, adminClient, plain } from '../client/admin-client.ts';
import { followPropagation } from '../client/propagation.ts';
import { parseCount, parseDuration } from '../input/option-values.ts';
import { scopeNamed } from '../input/scope.ts';
import { emit, type Format, outputOption } from '../output/emit.ts';
import { examples } from '../output/examples.ts';
import { printableLine } from '../output/printable.ts';
import { milliseconds, propagationSummary } from '../output/propagation-summary.ts';
import type { Style } from '../output/style.ts';
import { type Cell, renderTable } from '../output/table.ts';
import { localTime } from '../output/time.ts';
import { failUnlessApplied, watchPropagation } from '../output/watch-propagation.ts';

interface PropagationOptions {
  readonly tenant?: string;
  readonly wait?: true;
  readonly timeout: number;
  readonly output: Format;
}

/** `propagation`: who runs a revision, on all replicas. */
export function propagationCommand(cli: Cli): Command {
  return new Command('propagation')
    .description('Show which nodes run a revision, which do not and why, and how fast it got there.')
    .argument('[revision]', 'the newest unless given', parseCount)
    .option('-t, --tenant <name>', 'tenant, or operator')
    .option('-w, --wait', 'follow it until every node has answered')
    .option('--timeout <duration>', 'how long to follow it', parseDuration, 30_000)
    .addOption(outputOption())
    .addHelpText(
      'after',
      `
A revision is complete when every node that is connected to any replica runs it or a newer one, and so does every node that was
connected when it was committed. With --wait the exit status is 0 then, 1 if a node refused it, and 3 if one has not answered.
` +
        examples(
          ['signalbox propagation', 'how far is the newest revision?'],
          ['signalbox propagation 7 -t acme', 'who runs revision 7 of acme?'],
          ['signalbox propagation --wait --timeout 2m', 'wait until it is everywhere'],
        ),
    )
    .action((revision: number | undefined, options: PropagationOptions) =>
      showPropagation(cli, BigInt(revision ?? 0), options),
    );
}

async function showPropagation(cli: Cli, revision: bigint, options: PropagationOptions): Promise<void> {
  const client = await adminClient(cli);
  const scope = scopeNamed(client.target, options.tenant);
  if (options.wait) return await wait(cli, client, { scope, revision, options });
  const { propagation } = await client.config.getPropagation({ scope, revision }, { signal: cli.interrupted });
  if (!propagation) return;
  await emit(cli, options.output, {
    data: plain(propagation),
    table: (paint) => renderPropagation(propagation, paint),
  });
}

async function wait(
  cli: Cli,
  client: AdminClient,
  { scope, revision, options }: { scope: string; revision: bigint; options: PropagationOptions },
): Promise<void> {
  const { timeout: timeoutMs, output } = options;
  const outcome =
    output === 'table'
      ? await watchPropagation(cli, client, { scope, revision, timeoutMs, quiet: false })
      : await followPropagation(client, {
          ...{ scope, revision, timeoutMs, clock: cli.clock, signal: cli.interrupted },
          onChange: () => undefined,
        });
  const data = { verdict: outcome.verdict, propagation: outcome.last ? plain(outcome.last) : null };
  if (output !== 'table') await emit(cli, output, { data, table: () => '' });
  failUnlessApplied(new Map([[scope, outcome]]), timeoutMs);
}

/** For people: a line for the whole, one a node, and why nodes refused it. */
export function renderPropagation(propagation: Propagation, paint: Style): string {
  const { scope, revision, committedAt, nodes, counts, replicas } = propagation;
  const when = revision === 0n ? '' : `, committed ${localTime(committedAt)}`;
  const head = `${paint.strong(`${scope} revision ${revision}`)}${when}\n${propagationSummary(propagation, paint)}`;
  const late = replicas.filter(({ offeredRevision }) => offeredRevision < revision);
  const behind = late.map((one) => paint.doubtful(`replica ${printableLine(one.replica)} does not offer it yet\n`));
  if (nodes.length === 0) return head + behind.join('');
  const rows = nodes.map(nodeRow);
  const table = renderTable(['node', 'state', 'runs', 'after', 'replica'], rows, paint);
  const all = (counts?.connected ?? 0) + (counts?.disconnected ?? 0) + (counts?.leftUnanswered ?? 0);
  const hidden = Math.max(0, all - nodes.length);
  const more = hidden > 0 ? paint.dim(`… and ${hidden} more nodes\n`) : '';
  return `${head}${behind.join('')}${table}${more}${nodes.map(renderRefusals).join('')}`;
}

function nodeRow({ node, state, appliedRevision, appliedAfterMs, replica }: NodePropagation): Cell[] {
  const after = appliedAfterMs > 0 ? milliseconds(appliedAfterMs) : '-';
  return [node, stateCell(state), appliedRevision === 0n ? '-' : String(appliedRevision), after, replica || '-'];
}

function stateCell(state: State): Cell {
  switch (state) {
    case State.APPLIED:
      return { text: 'applied', as: 'good' };
    case State.REFUSED:
      return { text: 'refused', as: 'bad' };
    case State.LEFT_UNANSWERED:
      return { text: 'left without an answer', as: 'bad' };
    case State.DISCONNECTED:
      return { text: 'not connected', as: 'dim' };
    case State.SENT:
      return { text: 'has it', as: 'doubtful' };
    case State.PENDING:
    case State.STATE_UNSPECIFIED:
    default:
      return { text: 'waits', as: 'doubtful' };
  }
}

function renderRefusals({ node, refusals }: NodePropagation): string {
  const lines = refusals.map(
    ({ resource, type, message }) => `  ${printableLine(`${resource || type}: ${message}`)}\n`,
  );
  return lines.length === 0 ? '' : `${printableLine(node)} refused it:\n${lines.join('')}`;
}
