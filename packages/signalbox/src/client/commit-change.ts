import type { JsonObject, MessageInitShape } from '@bufbuild/protobuf';
import type { ApplyRequestSchema } from '@signalbox/proto/signalbox/admin/v1/config_service_pb.ts';
import type { Command } from 'commander';
import type { Cli } from '../cli.ts';
import { parseDuration } from '../input/option-values.ts';
import { renderChanges, summariseChanges } from '../output/change-diff.ts';
import { emit, type Format, outputOption } from '../output/emit.ts';
import { style } from '../output/style.ts';
import { failUnlessApplied, watchPropagation } from '../output/watch-propagation.ts';
import { type AdminClient, plain } from './admin-client.ts';

/** Options of commands that commit a small change; see {@link withCommitOptions}. */
export interface CommitOptions {
  readonly tenant?: string;
  readonly wait: boolean;
  readonly timeout: number;
  readonly output: Format;
}

export function withCommitOptions(command: Command): Command {
  return command
    .option('-t, --tenant <name>', 'tenant')
    .option('--wait', 'watch the nodes until all have answered; the default', true)
    .option('--no-wait', 'do not watch the nodes')
    .option('--timeout <duration>', 'how long to watch the nodes', parseDuration, 30_000)
    .addOption(outputOption());
}

/** Commits a change of one scope, shows it and follows it to the nodes. @throws Failure when a node did not apply it. */
export async function commitChange(
  cli: Cli,
  client: AdminClient,
  change: MessageInitShape<typeof ApplyRequestSchema> & { readonly scope: string },
  { wait, timeout: timeoutMs, output }: CommitOptions,
): Promise<void> {
  const { scope } = change;
  const response = await client.config.apply({ requestId: cli.random.uuid(), ...change });
  const quiet = output !== 'table';
  if (!quiet) {
    const paint = style(cli.out.colours);
    cli.out.write(`${paint.strong(scope)}: ${summariseChanges(response.changes)}, revision ${response.revision}\n`);
    cli.out.write(renderChanges(scope, response.changes, paint));
    if (response.staged) cli.out.write('  it reaches nodes in stages; see signalbox rollout show\n');
  }
  const watched = response.committed && wait && !response.staged;
  const outcome = watched
    ? await watchPropagation(cli, client, { scope, revision: response.revision, timeoutMs, quiet })
    : undefined;
  if (quiet) {
    const propagation = outcome && { verdict: outcome.verdict, propagation: outcome.last ? plain(outcome.last) : null };
    const data = { scope, ...(plain(response) as JsonObject), ...propagation };
    await emit(cli, output, { data, table: () => '' });
  }
  failUnlessApplied(new Map(outcome ? [[scope, outcome]] : []), timeoutMs);
}
