import type { JsonObject } from '@bufbuild/protobuf';
import { Command } from 'commander';
import type { Cli } from '../cli.ts';
import { type AdminClient, adminClient, plain } from '../client/admin-client.ts';
import { Failure } from '../failure.ts';
import { parseCount, parseDuration } from '../input/option-values.ts';
import { scopeNamed } from '../input/scope.ts';
import { renderChanges, summariseChanges } from '../output/change-diff.ts';
import { emit, type Format, outputOption } from '../output/emit.ts';
import { style } from '../output/style.ts';
import { failUnlessApplied, watchPropagation } from '../output/watch-propagation.ts';
import { examples } from '../output/examples.ts';

interface RollbackOptions {
  readonly to: number | 'previous';
  readonly tenant?: string;
  readonly message?: string;
  readonly confirmRemoval?: true;
  readonly ifMatch?: number;
  readonly wait: boolean;
  readonly timeout: number;
  readonly output: Format;
}

/** `rollback`: a new revision with the content of an earlier one. */
export function rollbackCommand(cli: Cli): Command {
  return new Command('rollback')
    .description('Return to an earlier revision: a new revision gets its content. Nothing is lost.')
    .requiredOption('--to <revision>', 'the revision whose content comes back, or "previous"', parseTarget)
    .option('-t, --tenant <name>', 'tenant, or operator')
    .option('-m, --message <text>', 'why; shown in revisions')
    .option('--confirm-removal', 'removing more than half of the scope is meant')
    .option('--if-match <revision>', 'only if this is the newest revision', parseCount)
    .option('--wait', 'watch the nodes until all have answered; the default', true)
    .option('--no-wait', 'do not watch the nodes')
    .option('--timeout <duration>', 'how long to watch the nodes', parseDuration, 30_000)
    .addOption(outputOption())
    .addHelpText(
      'after',
      examples(
        ['signalbox revisions', 'find the revision'],
        ['signalbox rollback --to 3', 'return to it'],
        ['signalbox rollback --to previous', 'take back the newest revision'],
        ['signalbox rollback --to 3 -t acme -m "403s since 4"', 'of another tenant, with a reason'],
      ),
    )
    .action((options: RollbackOptions) => rollback(cli, options));
}

async function rollback(cli: Cli, options: RollbackOptions): Promise<void> {
  const client = await adminClient(cli);
  const scope = scopeNamed(client.target, options.tenant);
  const target = await resolveTarget(client, scope, options);
  const response = await client.config.rollback({
    scope,
    requestId: cli.random.uuid(),
    message: options.message ?? '',
    confirmRemoval: options.confirmRemoval ?? false,
    ...target,
  });
  const quiet = options.output !== 'table';
  if (!quiet) {
    const paint = style(cli.out.colours);
    cli.out.write(`${paint.strong(scope)}: ${summariseChanges(response.changes)}, revision ${response.revision}\n`);
    cli.out.write(renderChanges(scope, response.changes, paint));
  }
  const watched = response.committed && options.wait && !response.staged;
  if (!quiet && response.staged) cli.out.write('  it reaches nodes in stages; see signalbox rollout show\n');
  const outcome = watched
    ? await watchPropagation(cli, client, { scope, revision: response.revision, timeoutMs: options.timeout, quiet })
    : undefined;
  if (quiet) {
    const propagation = outcome
      ? { verdict: outcome.verdict, propagation: outcome.last ? plain(outcome.last) : null }
      : {};
    const data = { scope, ...(plain(response) as JsonObject), ...propagation };
    await emit(cli, options.output, { data, table: () => '' });
  }
  failUnlessApplied(new Map(outcome ? [[scope, outcome]] : []), options.timeout);
}

function parseTarget(text: string): number | 'previous' {
  return text === 'previous' ? text : parseCount(text);
}

/** `previous` is the one before the newest, and only if nobody commits in between. */
async function resolveTarget(
  client: AdminClient,
  scope: string,
  { to, ifMatch }: RollbackOptions,
): Promise<{ toRevision: bigint; ifMatch?: bigint }> {
  if (to !== 'previous') {
    return { toRevision: BigInt(to), ...(ifMatch === undefined ? {} : { ifMatch: BigInt(ifMatch) }) };
  }
  const newest = (await client.config.listRevisions({ scope, limit: 1 })).revisions[0]?.revision ?? 0n;
  if (newest < 2n)
    throw new Failure(`${scope} has no revision before its newest, ${newest}: there is nothing to return to`);
  return { toRevision: newest - 1n, ifMatch: ifMatch === undefined ? newest : BigInt(ifMatch) };
}
