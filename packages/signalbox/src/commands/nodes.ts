import type { ListNodesResponse, Node, Replica } from '@signalbox/proto/signalbox/admin/v1/node_service_pb.ts';
import { timestampMs } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError } from '@connectrpc/connect';
import { Command } from 'commander';
import type { Cli } from '../cli.ts';
import { type AdminClient, adminClient, plain } from '../client/admin-client.ts';
import { age } from '../output/age.ts';
import { emit, type Format, outputOption } from '../output/emit.ts';
import { printableLine } from '../output/printable.ts';
import type { Style } from '../output/style.ts';
import { type Cell, renderTable } from '../output/table.ts';
import { localTime } from '../output/time.ts';
import { examples } from '../output/examples.ts';

interface NodesOptions {
  readonly tenant?: string;
  readonly watch?: true;
  readonly members?: true;
  readonly output: Format;
}

/** Before a stream that has ended is opened again, in milliseconds. */
const reconnectMs = 500;

/** `nodes`: every subscriber, what it runs, and why it refused what it does not. */
export function nodesCommand(cli: Cli): Command {
  return new Command('nodes')
    .description(
      'Show every node of every replica: who it is, what it should run, what it runs, and why it refused what it does not.',
    )
    .option('-t, --tenant <name>', 'only nodes that serve this tenant')
    .option('-w, --watch', 'show it again on every change until Ctrl-C')
    .option('-m, --members', 'also members of virtual servers that do well; the others are always shown')
    .addOption(outputOption())
    .addHelpText(
      'after',
      examples(
        ['signalbox nodes', 'all nodes'],
        ['signalbox nodes --members', 'and how every member of virtual servers does'],
        ['signalbox nodes --watch', 'see changes as they happen'],
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

/** What both the answer and each message of the stream hold. */
type NodeList = Pick<ListNodesResponse, 'nodes' | 'replicas' | 'incomplete'>;

async function showNodes(cli: Cli, client: AdminClient, options: NodesOptions): Promise<void> {
  const list = await client.nodes.listNodes({ scope: options.tenant ?? '' }, { signal: cli.interrupted });
  await emitNodes(cli, list, options);
}

/** Follows the nodes; when the stream has lasted its time, or the control plane goes away, asks again. */
async function watchNodes(cli: Cli, client: AdminClient, options: NodesOptions): Promise<void> {
  const signal = cli.interrupted;
  let hasBegun = false;
  while (!signal.aborted) {
    try {
      for await (const list of client.nodes.watchNodes({ scope: options.tenant ?? '' }, { signal })) {
        hasBegun = true;
        if (options.output === 'table' && cli.out.isTerminal) cli.out.write('\u001b[H\u001b[2J');
        await emitNodes(cli, list, options);
      }
    } catch (error) {
      const { code } = ConnectError.from(error);
      if (!hasBegun || (code !== Code.DeadlineExceeded && code !== Code.Unavailable)) throw error;
    }
    await cli.clock.sleep(reconnectMs, signal).catch(() => undefined);
  }
}

function emitNodes(cli: Cli, list: NodeList, { output, members }: NodesOptions): Promise<void> {
  const nowMs = cli.clock.now();
  return emit(cli, output, {
    data: list.nodes.map(plain),
    table: (paint) => renderNodes(list, nowMs, paint) + renderMembers(list, { nowMs, all: members === true }, paint),
  });
}

/** For people: one row a node and scope, and below it what was refused, and replicas if there are several. */
export function renderNodes({ nodes, replicas, incomplete }: NodeList, nowMs: number, paint: Style): string {
  const doubt = incomplete === '' ? '' : `${paint.doubtful(printableLine(incomplete))}\n`;
  if (nodes.length === 0) return `no node has connected yet; signalbox up and signalbox proxy start one\n${doubt}`;
  const isOne = replicas.length < 2;
  const heads = ['node', 'gateway', 'identity', 'version', 'connected', 'scope', 'desired', 'applied', 'last ack'];
  const rows = nodes.flatMap((node) => nodeRows(node, nowMs));
  const table = isOne
    ? renderTable(heads, rows, paint)
    : renderTable([...heads, 'replica'], withReplicas(nodes, rows), paint);
  const refusals = nodes.map((node) => renderRefusal(node, nowMs, paint)).join('');
  const gone = replicas.filter(({ alive }) => !alive).map((replica) => renderGone(replica, nowMs, paint));
  return `${table}${refusals}${gone.join('')}${doubt}`;
}

/** How members of virtual servers do at nodes that are connected; only those that do not do well unless `all`. */
export function renderMembers(
  { nodes }: Pick<NodeList, 'nodes'>,
  { nowMs, all }: { readonly nowMs: number; readonly all: boolean },
  paint: Style,
): string {
  const there = nodes.filter(({ connected }) => connected);
  const shown = there
    .flatMap(({ id, members }) => members.map((member) => ({ ...member, id })))
    .filter(({ condition }) => all || condition !== 'reachable')
    .map((member) => ({ ...member, name: `${member.tenant}/${member.backend}` }))
    .toSorted((a, b) => a.name.localeCompare(b.name));
  const rows = shown.map(({ id, name, condition, failures, since: at }): Cell[] => [
    ...[name, id],
    { text: condition || 'unknown', as: condition === 'reachable' ? 'good' : 'bad' },
    since(at, nowMs),
    failures === 0 ? '-' : `${failures} in a row`,
  ]);
  const leftOut = there.reduce((sum, { membersLeftOut }) => sum + membersLeftOut, 0);
  const more = leftOut === 0 ? '' : `${paint.dim(`… and ${leftOut} more members that nodes did not name`)}\n`;
  if (rows.length === 0) return all ? `no member of a virtual server has been called yet\n${more}` : '';
  return `\n${renderTable(['member', 'node', 'is', 'since', 'failures'], rows, paint)}${more}`;
}

function withReplicas(nodes: readonly Node[], rows: readonly Cell[][]): Cell[][] {
  const names = nodes.flatMap((node) => [node.replica, ...Array.from({ length: rowCount(node) - 1 }, () => '')]);
  return rows.map((row, index) => [...row, names[index] ?? '']);
}

function renderGone(replica: Replica, nowMs: number, paint: Style): string {
  return `${paint.dim(printableLine(`replica ${replica.name} has been gone for ${since(replica.goneSince, nowMs)}`))}\n`;
}

/** Scopes that a node has rows for: those in which it lags, and a few others. */
const shownScopes = 10;

function rowCount({ scopes }: Node): number {
  return Math.max(1, Math.min(scopes.length, shownScopes) + (scopes.length > shownScopes ? 1 : 0));
}

function nodeRows(node: Node, nowMs: number): Cell[][] {
  const connected: Cell = node.connected
    ? { text: since(node.connectedSince, nowMs), as: 'good' }
    : { text: `no, seen ${since(node.lastSeen, nowMs)} ago`, as: 'bad' };
  const about = [node.id, node.gateway, node.identity, node.version, connected];
  const lastAck = node.lastAckAt ? `${since(node.lastAckAt, nowMs)} ago` : 'never';
  if (node.scopes.length === 0) return [[...about, '-', '-', '-', lastAck]];
  const hidden = node.scopeCount - shownScopes;
  const rows = node.scopes.slice(0, shownScopes).map((scope, index): Cell[] => {
    const current = scope.appliedRevision === scope.desiredRevision;
    const applied: Cell = { text: String(scope.appliedRevision), as: current ? 'good' : 'bad' };
    const first = index === 0 ? about : about.map(() => '');
    return [...first, scope.scope, String(scope.desiredRevision), applied, index === 0 ? lastAck : ''];
  });
  if (node.scopes.length <= shownScopes) return rows;
  const more = `… and ${hidden} more, ${Math.max(0, node.behindCount - shownScopes)} of them behind`;
  return [...rows, [...about.map(() => ''), more, '', '', '']];
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
