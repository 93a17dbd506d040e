import type { DumpConfigResponse } from '@signalbox/proto/signalbox/admin/v1/dump_service_pb.ts';
import { Command } from 'commander';
import type { Cli } from '../cli.ts';
import { adminClient, plain } from '../client/admin-client.ts';
import { collect } from '../input/option-values.ts';
import { emit, type Format, outputOption } from '../output/emit.ts';
import { examples } from '../output/examples.ts';
import type { Style } from '../output/style.ts';
import { renderTable } from '../output/table.ts';

interface DumpOptions {
  readonly gateway: string;
  readonly family: string;
  readonly tenant?: readonly string[];
  readonly nodeVersion: string;
  readonly output: Format;
}

/** `config-dump`: what discovery sends. */
export function configDumpCommand(cli: Cli): Command {
  return new Command('config-dump')
    .description('Show what the nodes of a gateway get from discovery, as it is now. Secrets are left out.')
    .option('--gateway <name>', 'gateway that the nodes serve', 'default')
    .option('--family <name>', 'what the nodes are: native (our own proxies), envoy or agentgateway', 'native')
    .option('-t, --tenant <name>', 'what a credential for this tenant gets; may be repeated', collect)
    .option('--node-version <version>', 'what a node of this version gets, such as 1.39.3', '')
    .addOption(outputOption())
    .addHelpText(
      'after',
      examples(
        ['signalbox config-dump --family envoy -o yaml', 'clusters, endpoints, listeners and routes of Envoys'],
        ['signalbox config-dump --family agentgateway --tenant acme', 'names and versions, for one tenant'],
      ),
    )
    .action((options: DumpOptions) => dump(cli, options));
}

async function dump(cli: Cli, options: DumpOptions): Promise<void> {
  const { gateway, family, tenant: tenants = [], nodeVersion: version } = options;
  const client = await adminClient(cli);
  const response = await client.dump.dumpConfig(
    { gateway, family, tenants: [...tenants], version },
    { signal: cli.interrupted },
  );
  await emit(cli, options.output, { data: plain(response), table: (style) => renderDump(response, style) });
}

/** For people: names, not contents. */
export function renderDump({ scopes, resources }: DumpConfigResponse, style: Style): string {
  const revisions = scopes.map(({ scope, revision }) => `${scope}@${revision}`).join(' ');
  if (resources.length === 0) return `nothing is sent, of ${revisions}: see spec.dataPlanes of the gateway\n`;
  const rows = resources.map(({ type, name, version }) => [type.slice(type.lastIndexOf('/') + 1), name, version]);
  return `${renderTable(['type', 'name', 'version'], rows, style)}${style.dim(`of ${revisions}`)}\n`;
}
