import type { JsonObject } from '@bufbuild/protobuf';
import { Command } from 'commander';
import type { Cli } from '../cli.ts';
import { adminClient, plain } from '../client/admin-client.ts';
import { parseCount } from '../input/option-values.ts';
import { scopeNamed } from '../input/scope.ts';
import { renderChanges, summariseChanges } from '../output/change-diff.ts';
import { emit, type Format, outputOption } from '../output/emit.ts';
import { printable } from '../output/printable.ts';
import { propagationSummary } from '../output/propagation-summary.ts';
import { renderTable } from '../output/table.ts';
import { localTime } from '../output/time.ts';
import { examples } from '../output/examples.ts';

interface RevisionsOptions {
  readonly tenant?: string;
  readonly limit: number;
  readonly output: Format;
}

/** `revisions`: who changed what, when and why. */
export function revisionsCommand(cli: Cli): Command {
  return new Command('revisions')
    .description('List revisions, newest first; or show the changes of one, and how far it got.')
    .argument('[revision]', 'show this one', parseCount)
    .option('-t, --tenant <name>', 'tenant, or operator')
    .option('-n, --limit <count>', 'how many, at most 1000', parseCount, 20)
    .addOption(outputOption())
    .addHelpText(
      'after',
      examples(
        ['signalbox revisions', "the tenant's newest revisions"],
        ['signalbox revisions 7', 'what revision 7 changed, and which nodes run it'],
        ['signalbox revisions -t operator', 'of gateways and tenants'],
      ),
    )
    .action((revision: number | undefined, options: RevisionsOptions) =>
      revision === undefined ? listRevisions(cli, options) : showRevision(cli, BigInt(revision), options),
    );
}

async function listRevisions(cli: Cli, options: RevisionsOptions): Promise<void> {
  const client = await adminClient(cli);
  const scope = scopeNamed(client.target, options.tenant);
  const { revisions } = await client.config.listRevisions({ scope, limit: options.limit });
  await emit(cli, options.output, {
    data: revisions.map(plain),
    table: (style) => {
      if (revisions.length === 0) return `${scope} has no revision\n`;
      const rows = revisions.map((one) => {
        return [String(one.revision), localTime(one.at), one.cause, String(one.changeCount), one.author, one.message];
      });
      return renderTable(['revision', 'at', 'cause', 'changes', 'author', 'message'], rows, style);
    },
  });
}

async function showRevision(cli: Cli, revision: bigint, options: RevisionsOptions): Promise<void> {
  const client = await adminClient(cli);
  const scope = scopeNamed(client.target, options.tenant);
  const response = await client.config.getRevision({ scope, revision });
  const { propagation } = await client.config.getPropagation({ scope, revision });
  await emit(cli, options.output, {
    data: { ...(plain(response) as JsonObject), propagation: propagation ? plain(propagation) : null },
    table: (style) => {
      const about = response.revision;
      const origin = `${about?.cause ?? ''} by ${about?.author ?? ''} at ${localTime(about?.at)}`;
      const head = `${style.strong(`${scope} revision ${revision}`)}: ${summariseChanges(response.changes)}, ${printable(origin)}\n`;
      const message = about?.message ? `${printable(about.message)}\n` : '';
      const nodes = propagation ? propagationSummary(propagation, style) : '';
      return head + message + renderChanges(scope, response.changes, style) + nodes;
    },
  });
}
