import type { Resource } from '@signalbox/proto/signalbox/admin/v1/config_service_pb.ts';
import { Command } from 'commander';
import type { Cli } from '../cli.ts';
import { type AdminClient, adminClient } from '../client/admin-client.ts';
import { commitChange, type CommitOptions, withCommitOptions } from '../client/commit-change.ts';
import { Failure } from '../failure.ts';
import { scopeNamed } from '../input/scope.ts';
import { emit, type Format, outputOption } from '../output/emit.ts';
import { examples } from '../output/examples.ts';
import { renderTable } from '../output/table.ts';

/** `quarantine`: backends of which nothing is listed or called for now. */
export function quarantineCommand(cli: Cli): Command {
  return new Command('quarantine')
    .description('Keep a backend away from everybody until it is released, whatever rules say. A Policy each.')
    .addCommand(addCommand(cli))
    .addCommand(releaseCommand(cli))
    .addCommand(listCommand(cli))
    .addHelpText(
      'after',
      examples(
        ['signalbox quarantine add weather -r "its tools changed overnight"', 'calls and streams end within 2 s'],
        ['signalbox quarantine list', 'what is away, and why'],
        ['signalbox quarantine release weather', 'everything is as before'],
      ),
    );
}

interface AddOptions extends CommitOptions {
  readonly reason: string;
}

function addCommand(cli: Cli): Command {
  const command = new Command('add')
    .description('Put a backend into quarantine: its calls and streams end, and it is missing from lists.')
    .argument('<backend>', 'name of the Backend')
    .requiredOption('-r, --reason <text>', 'why; shown to operators, never to callers')
    .addHelpText('after', examples(['signalbox quarantine add weather -r "see incident 42"', 'of the tenant in use']));
  return withCommitOptions(command).action(async (backend: string, options: AddOptions) => {
    const client = await adminClient(cli);
    const scope = scopeNamed(client.target, options.tenant);
    const known = (await quarantines(client, scope)).find((one) => one.backend === backend);
    const spec = { target: { backend }, quarantine: { reason: options.reason } };
    const name = known?.policy ?? `${prefix}${backend}`;
    const message = `quarantine of ${backend}: ${options.reason}`;
    const resource = { kind: 'Policy', tenant: scope, name, spec };
    await commitChange(cli, client, { scope, resources: [resource], message }, options);
  });
}

function releaseCommand(cli: Cli): Command {
  const command = new Command('release')
    .description('End the quarantine of a backend: rules decide again.')
    .argument('<backend>', 'name of the Backend')
    .addHelpText('after', examples(['signalbox quarantine release weather', 'clients hear that lists changed']));
  return withCommitOptions(command).action(async (backend: string, options: CommitOptions) => {
    const client = await adminClient(cli);
    const scope = scopeNamed(client.target, options.tenant);
    const known = (await quarantines(client, scope)).filter((one) => one.backend === backend);
    if (known.length === 0) throw new Failure(`backend ${backend} of ${scope} is not in quarantine`);
    const mixed = known.find(({ isPure }) => !isPure);
    if (mixed) {
      throw new Failure(
        `policy ${mixed.policy} says more than the quarantine: take \`quarantine\` out of it and apply it`,
      );
    }
    const refs = known.map(({ policy: name }) => ({ kind: 'Policy', tenant: scope, name }));
    await commitChange(cli, client, { scope, delete: refs, message: `release of ${backend}` }, options);
  });
}

function listCommand(cli: Cli): Command {
  return new Command('list')
    .description('List backends in quarantine.')
    .option('-t, --tenant <name>', 'tenant')
    .addOption(outputOption())
    .addHelpText('after', examples(['signalbox quarantine list -o json', 'for scripts']))
    .action(async ({ tenant, output }: { readonly tenant?: string; readonly output: Format }) => {
      const client = await adminClient(cli);
      const scope = scopeNamed(client.target, tenant);
      const found = await quarantines(client, scope);
      await emit(cli, output, {
        data: found.map(({ isPure: _, ...one }) => ({ tenant: scope, ...one })),
        table: (paint) =>
          found.length === 0
            ? `no backend of ${scope} is in quarantine\n`
            : renderTable(
                ['backend', 'policy', 'revision', 'reason'],
                found.map(({ backend, policy, revision, reason }) => [backend, policy, revision, reason]),
                paint,
              ),
      });
    });
}

/** Of policies that were made by this command. */
const prefix = 'quarantine-';

interface Quarantined {
  readonly backend: string;
  readonly policy: string;
  readonly reason: string;
  readonly revision: string;
  /** The policy says nothing else. */
  readonly isPure: boolean;
}

async function quarantines(client: AdminClient, scope: string): Promise<readonly Quarantined[]> {
  const { resources } = await client.config.list({ scope, kind: 'Policy' });
  return resources.flatMap(quarantineOf).toSorted((a, b) => a.backend.localeCompare(b.backend));
}

function quarantineOf({ document, revision }: Resource): Quarantined[] {
  const spec = document?.spec as { target?: { backend?: string }; quarantine?: { reason?: string } } | undefined;
  const backend = spec?.target?.backend;
  if (!document || !spec?.quarantine || backend === undefined) return [];
  const { reason = '' } = spec.quarantine;
  const isPure = Object.keys(spec).length === 2;
  return [{ backend, policy: document.name, reason, revision: String(revision), isPure }];
}
