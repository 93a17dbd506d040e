import type { Node } from '@signalbox/proto/signalbox/admin/v1/node_service_pb.ts';
import { timestampMs } from '@bufbuild/protobuf/wkt';
import { Command } from 'commander';
import type { Cli } from '../cli.ts';
import { type AdminClient, adminClient, plain } from '../client/admin-client.ts';
import { parseDuration } from '../input/option-values.ts';
import { age } from '../output/age.ts';
import { emit, type Format, outputOption } from '../output/emit.ts';
import { printableLine } from '../output/printable.ts';
import { style, type Style } from '../output/style.ts';
import { type Cell, renderTable } from '../output/table.ts';
import { localTime } from '../output/time.ts';
import { examples } from '../output/examples.ts';

interface NodesOptions {
  readonly tenant?: string;
  readonly watch?: true;
  readonly interval: number;
  readonly output: Format;
}

/** `nodes`: every subscriber, what it runs, and why it refused what it does not. */
export function nodesCommand(cli: Cli): Command {
  return new Command('nodes')
    .description('Show every node: who it is, what it should run, what it runs, and why it refused what it does not.')
    .option('-t, --tenant <name>', 'only nodes that serve this tenant')
    .option('-w, --watch', 'show it again on every change until Ctrl-C')
    .option('--interval <duration>', 'how often to look with --watch', parseDuration, 1_000)
    .addOption(outputOption())
    .addHelpText(
      'after',
      examples(
        ['signalbox nodes', 'all nodes'],
        ['signalbox nodes --watch', 'keep looking'],
        ['signalbox nodes -o json', 'with every field'],
      ),
    )
    .action(async (options: NodesOptions) => {
      const client = await adminClient(cli);
      if (options.watch) {
        await watchNodes(cli, client, options).catch((error: unknown) => {
          // Ctrl-C is how it ends.
          if (!cli.interrupted.aborted) throw error;
        });
      } else await showNodes(cli, client, options);
    });
}

async function listNodes(cli: Cli, client: AdminClient, options: NodesOptions): Promise<readonly Node[]> {
  const { nodes } = await client.nodes.listNodes({ scope: options.tenant ?? '' }, { signal: cli.interrupted });
  return nodes.toSorted((one, other) => one.id.localeCompare(other.id));
}

async function showNodes(cli: Cli, client: AdminClient, options: NodesOptions): Promise<void> {
  const nodes = await listNodes(cli, client, options);
  await emit(cli, options.output, {
    data: nodes.map(plain),
    table: (paint) => renderNodes(nodes, cli.clock.now(), paint),
  });
}

async function watchNodes(cli: Cli, client: AdminClient, options: NodesOptions): Promise<void> {
  let before = '';
  while (!cli.interrupted.aborted) {
    const nodes = await listNodes(cli, client, options);
    const shown = JSON.stringify(nodes.map((node) => plain({ ...node, lastSeen: undefined } as Node)));
    if (shown !== before) {
      if (options.output !== 'table') await emit(cli, options.output, { data: nodes.map(plain), table: () => '' });
      else
        cli.out.write(
          (cli.out.isTerminal ? '\u001b[H\u001b[2J' : '') + renderNodes(nodes, cli.clock.now(), style(cli.out.colours)),
        );
      before = shown;
    }
    await cli.clock.sleep(options.interval, cli.interrupted).catch(() => undefined);
  }
}

/** For people: one row a node and scope, and below it what was refused. */
export function renderNodes(nodes: readonly Node[], nowMs: number, paint: Style): string {
  if (nodes.length === 0) return 'no node has connected yet; signalbox up and signalbox proxy start one\n';
  const heads = ['node', 'gateway', 'identity', 'version', 'connected', 'scope', 'desired', 'applied', 'last ack'];
  const rows = nodes.flatMap((node) => nodeRows(node, nowMs));
  const refusals = nodes.map((node) => renderRefusal(node, nowMs, paint)).join('');
  return renderTable(heads, rows, paint) + refusals;
}

function nodeRows(node: Node, nowMs: number): Cell[][] {
  const connected: Cell = node.connected
    ? { text: since(node.connectedSince, nowMs), as: 'good' }
    : { text: `no, seen ${since(node.lastSeen, nowMs)} ago`, as: 'bad' };
  const about = [node.id, node.gateway, node.identity, node.version, connected];
  const lastAck = node.lastAckAt ? `${since(node.lastAckAt, nowMs)} ago` : 'never';
  if (node.scopes.length === 0) return [[...about, '-', '-', '-', lastAck]];
  return node.scopes.map((scope, index) => {
    const current = scope.appliedRevision === scope.desiredRevision;
    const applied: Cell = { text: String(scope.appliedRevision), as: current ? 'good' : 'bad' };
    const first = index === 0 ? about : about.map(() => '');
    return [...first, scope.scope, String(scope.desiredRevision), applied, index === 0 ? lastAck : ''];
  });
}

function renderRefusal(node: Node, nowMs: number, paint: Style): string {
  const nack = node.lastNack;
  if (!nack) return '';
  const when = nack.at ? `${since(nack.at, nowMs)} ago (${localTime(nack.at)})` : '';
  const state = nack.current ? 'and runs an older one because of it' : 'since then put right';
  const head = `${node.id} refused revision ${nack.revision} of ${nack.scope} ${when}, ${state}:`;
  const lines = nack.refusals.map(
    ({ resource, type, message }) => `  ${printableLine(`${resource || type}: ${message}`)}\n`,
  );
  const line = printableLine(head);
  return `${nack.current ? paint.bad(line) : paint.dim(line)}\n${lines.join('')}`;
}

function since(timestamp: Node['lastSeen'], nowMs: number): string {
  return timestamp ? age(nowMs, timestampMs(timestamp)) : '-';
}
