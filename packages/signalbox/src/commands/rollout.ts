import { type Rollout, Rollout_State as State } from '@signalbox/proto/signalbox/admin/v1/rollout_service_pb.ts';
import { Command } from 'commander';
import type { Cli } from '../cli.ts';
import { type AdminClient, adminClient, plain } from '../client/admin-client.ts';
import { followRollout } from '../client/rollout.ts';
import { Failure } from '../failure.ts';
import { parseCount } from '../input/option-values.ts';
import { scopeNamed } from '../input/scope.ts';
import { emit, type Format, outputOption } from '../output/emit.ts';
import { examples } from '../output/examples.ts';
import { renderRollout, renderRollouts } from '../output/rollout-view.ts';
import { style } from '../output/style.ts';

interface OutputOptions {
  readonly output: Format;
}

interface ListOptions extends OutputOptions {
  readonly tenant?: string;
  readonly all?: true;
  readonly limit: number;
}

interface ShowOptions extends OutputOptions {
  readonly tenant?: string;
  readonly watch?: true;
}

interface ChangeOptions extends OutputOptions {
  readonly tenant?: string;
  readonly revision?: number;
  readonly message?: string;
}

/** `rollout`: revisions on their way to nodes in stages. */
export function rolloutCommand(cli: Cli): Command {
  return new Command('rollout')
    .description('See revisions that reach nodes in stages, and promote, pause, resume or abort them.')
    .addCommand(listCommand(cli))
    .addCommand(showCommand(cli))
    .addCommand(promoteCommand(cli))
    .addCommand(
      changeCommand(cli, 'pause', 'Keep a rollout where it is. Faults take it back all the same.', {
        change: async (client, request) => (await client.rollouts.pauseRollout(request)).rollout,
        example: ['signalbox rollout pause -m "release freeze"', 'no further stage until it is resumed'],
      }),
    )
    .addCommand(
      changeCommand(cli, 'resume', 'Let a rollout go on that is paused or halted. Its stage is watched anew.', {
        change: async (client, request) => (await client.rollouts.resumeRollout(request)).rollout,
        example: ['signalbox rollout resume', ''],
      }),
    )
    .addCommand(
      changeCommand(cli, 'abort', 'Take a rollout back: a new revision has the content of the one before.', {
        change: async (client, request) => (await client.rollouts.abortRollout(request)).rollout,
        example: ['signalbox rollout abort -m "customers see 403"', 'all nodes get the revision before'],
      }),
    )
    .addHelpText(
      'after',
      examples(
        ['signalbox rollout list', 'what is under way'],
        ['signalbox rollout show --watch', 'live, until it has ended'],
        ['signalbox rollout promote', 'to the next stage, now'],
      ),
    );
}

function listCommand(cli: Cli): Command {
  return new Command('list')
    .description('List rollouts that are under way, newest first.')
    .option('-t, --tenant <name>', 'only of this tenant')
    .option('-a, --all', 'also those that have ended')
    .option('-n, --limit <count>', 'how many, at most 1000', parseCount, 50)
    .addOption(outputOption())
    .addHelpText(
      'after',
      examples(
        ['signalbox rollout list', 'of every tenant that you may see'],
        ['signalbox rollout list --all -t acme', 'the history of one'],
      ),
    )
    .action(async ({ tenant = '', all, limit, output }: ListOptions) => {
      const client = await adminClient(cli);
      const { rollouts } = await client.rollouts.listRollouts({ scope: tenant, underWay: !all, limit });
      await emit(cli, output, {
        data: rollouts.map(plain),
        table: (paint) => renderRollouts(rollouts, cli.clock.now(), paint),
      });
    });
}

function showCommand(cli: Cli): Command {
  return new Command('show')
    .description('Show one rollout: its stages, its nodes, how they do, and what has happened.')
    .argument('[revision]', 'of this revision; the newest unless given', parseCount)
    .option('-t, --tenant <name>', 'tenant')
    .option('-w, --watch', 'show it again on every change until it has ended')
    .addOption(outputOption())
    .addHelpText(
      'after',
      examples(
        ['signalbox rollout show', "the tenant's newest rollout"],
        ['signalbox rollout show 12 -t acme -o json', 'one of the past, with every field'],
        ['signalbox rollout show --watch', 'exit status 1 when it is taken back or halted'],
      ),
    )
    .action(async (number: number | undefined, options: ShowOptions) => {
      const client = await adminClient(cli);
      const scope = scopeNamed(client.target, options.tenant);
      const revision = BigInt(number ?? 0);
      if (options.watch) return watch(cli, client, { scope, revision }, options.output);
      const state = await client.rollouts.getRollout({ scope, revision });
      return emit(cli, options.output, { data: plain(state), table: (paint) => renderRollout(state, paint) });
    });
}

async function watch(
  cli: Cli,
  client: AdminClient,
  what: { readonly scope: string; readonly revision: bigint },
  output: Format,
): Promise<void> {
  let last: Rollout | undefined;
  for await (const state of followRollout(client, { ...what, clock: cli.clock, signal: cli.interrupted })) {
    last = state.rollout;
    if (output === 'table') {
      const clear = cli.out.isTerminal ? '\u001b[H\u001b[2J' : '';
      cli.out.write(clear + renderRollout(state, style(cli.out.colours)));
    } else await emit(cli, output, { data: plain(state), table: () => '' });
  }
  if (last && isBad(last)) {
    throw new Failure(`revision ${last.revision} of ${last.scope} was taken back: ${last.reason}`);
  }
}

function isBad({ state }: Rollout): boolean {
  return state === State.ROLLED_BACK || state === State.HALTED;
}

function promoteCommand(cli: Cli): Command {
  return new Command('promote')
    .description('Move a rollout on to its next stage, or to all nodes, without waiting any longer.')
    .option('-t, --tenant <name>', 'tenant')
    .option('--revision <revision>', 'only if this is the revision that is rolled out', parseCount)
    .option('--all', 'to all nodes at once, past all stages')
    .option('-m, --message <text>', 'why; shown with the rollout')
    .addOption(outputOption())
    .addHelpText(
      'after',
      examples(
        ['signalbox rollout promote', 'to the next stage'],
        ['signalbox rollout promote --all -m "urgent fix"', 'to everybody'],
      ),
    )
    .action(async (options: ChangeOptions & { readonly all?: true }) => {
      const client = await adminClient(cli);
      const request = { ...requestOf(client, options), all: options.all ?? false };
      await showChanged(cli, (await client.rollouts.promoteRollout(request)).rollout, options.output);
    });
}

type ChangeRequest = ReturnType<typeof requestOf>;

function changeCommand(
  cli: Cli,
  name: string,
  description: string,
  how: {
    readonly change: (client: AdminClient, request: ChangeRequest) => Promise<Rollout | undefined>;
    readonly example: readonly [string, string];
  },
): Command {
  return new Command(name)
    .description(description)
    .option('-t, --tenant <name>', 'tenant')
    .option('--revision <revision>', 'only if this is the revision that is rolled out', parseCount)
    .option('-m, --message <text>', 'why; shown with the rollout')
    .addOption(outputOption())
    .addHelpText('after', examples(how.example))
    .action(async (options: ChangeOptions) => {
      const client = await adminClient(cli);
      await showChanged(cli, await how.change(client, requestOf(client, options)), options.output);
    });
}

function requestOf(client: AdminClient, { tenant, revision, message }: ChangeOptions) {
  const scope = scopeNamed(client.target, tenant);
  return { scope, revision: BigInt(revision ?? 0), reason: message ?? '' };
}

async function showChanged(cli: Cli, rollout: Rollout | undefined, output: Format): Promise<void> {
  await emit(cli, output, {
    data: rollout ? plain(rollout) : {},
    table: (paint) => renderRollout({ rollout, events: [] }, paint),
  });
}
