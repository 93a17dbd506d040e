import {
  capabilities,
  type Capability,
  defaultEnvoyOptions,
  envoyBootstrap,
} from '@signalbox/control-plane/projections';
import { Command, Option } from 'commander';
import type { Cli } from '../cli.ts';
import { usage } from '../failure.ts';
import { parsePort } from '../input/option-values.ts';
import { emit, type Format, outputOption } from '../output/emit.ts';
import { examples } from '../output/examples.ts';
import { renderJson } from '../output/json.ts';
import { type Cell, renderTable } from '../output/table.ts';

/** `external`: proxies of others that take their configuration from here. */
export function externalCommand(cli: Cli): Command {
  return new Command('external')
    .description('Proxies that are not ours: what they can do, and how to start them.')
    .addCommand(capabilitiesCommand(cli))
    .addCommand(bootstrapCommand(cli))
    .addHelpText(
      'after',
      examples(
        ['signalbox external capabilities', 'which feature works on which data plane'],
        ['signalbox external bootstrap envoy --gateway edge > envoy.yaml', 'a file to start a stock Envoy with'],
      ),
    );
}

function capabilitiesCommand(cli: Cli): Command {
  return new Command('capabilities')
    .description('Show which feature works on which data plane. A gateway lists its data planes in spec.dataPlanes.')
    .addOption(outputOption())
    .addHelpText('after', examples(['signalbox external capabilities -o json', 'for a script']))
    .action(({ output }: { readonly output: Format }) => {
      const matrix = capabilities();
      const data = matrix.map(({ feature, planes }) => ({ feature, ...planes }));
      return emit(cli, output, {
        data,
        table: (style) => renderTable(['feature', 'native', 'envoy', 'note on envoy'], matrix.map(rowOf), style),
      });
    });
}

function rowOf({ feature, planes }: Capability): readonly Cell[] {
  const colour = { yes: 'good', partly: 'doubtful', no: 'bad' } as const;
  const cell = ({ support }: Capability['planes']['envoy']): Cell => ({ text: support, as: colour[support] });
  return [feature, cell(planes.native), cell(planes.envoy), planes.envoy.note];
}

function bootstrapCommand(cli: Cli): Command {
  return new Command('bootstrap')
    .description('Print what a proxy that is not ours is started with.')
    .addCommand(envoyCommand(cli));
}

interface EnvoyOptions {
  readonly gateway: string;
  readonly node: string;
  readonly discovery: string;
  readonly tls: boolean;
  readonly caFile: string;
  readonly adminPort: number;
  readonly output: 'yaml' | 'json';
}

const placeholder = 'REPLACE-WITH-A-NODE-TOKEN';

function envoyCommand(cli: Cli): Command {
  return new Command('envoy')
    .description(
      'Print the bootstrap of a stock Envoy, 1.40 or newer. The token of the node is read from SIGNALBOX_PROXY_TOKEN.',
    )
    .option('--gateway <name>', 'gateway that it serves; it lists ENVOY in spec.dataPlanes', 'default')
    .option('--node <id>', 'identity of the node', 'envoy-1')
    .option('--discovery <host:port>', 'address of discovery', '127.0.0.1:7071')
    .option('--tls', 'connect to discovery with TLS', false)
    .option('--ca-file <path>', 'certificates of authorities, with --tls', defaultEnvoyOptions.trustedCaFile)
    .option('--admin-port <port>', "port of Envoy's administration on 127.0.0.1", parsePort, 9901)
    .addOption(new Option('-o, --output <format>', 'how to print').choices(['yaml', 'json']).default('yaml'))
    .addHelpText(
      'after',
      examples(
        ['signalbox token create envoy-1 --role node --gateway edge --family envoy', 'the token'],
        ['SIGNALBOX_PROXY_TOKEN=… signalbox external bootstrap envoy --gateway edge > envoy.yaml', ''],
        ['envoy -c envoy.yaml', 'all else comes from discovery'],
      ),
    )
    .action((options: EnvoyOptions) => printBootstrap(cli, options));
}

async function printBootstrap(cli: Cli, options: EnvoyOptions): Promise<void> {
  const token = cli.environment['SIGNALBOX_PROXY_TOKEN'];
  if (!token) cli.err.write(`SIGNALBOX_PROXY_TOKEN is not set: put a node token in place of ${placeholder}\n`);
  const bootstrap = envoyBootstrap({
    nodeId: options.node,
    gateway: options.gateway,
    discovery: { ...addressOf(options.discovery), tls: options.tls },
    token: token || placeholder,
    adminPort: options.adminPort,
    trustedCaFile: options.caFile,
  });
  if (options.output === 'json') return cli.out.write(renderJson(bootstrap));
  const { renderYaml } = await import('../output/yaml.ts');
  cli.out.write(renderYaml(bootstrap));
}

function addressOf(text: string): { readonly host: string; readonly port: number } {
  const [, host, port] = /^(\[[^\]]+\]|[^:]+):(\d{1,5})$/.exec(text) ?? [];
  if (host === undefined || port === undefined)
    throw usage(`--discovery: expected host:port, not ${JSON.stringify(text)}`);
  return { host: host.replace(/^\[(.*)\]$/, '$1'), port: parsePort(port) };
}
