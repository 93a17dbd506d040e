import { agentgatewayBootstrap, defaultEnvoyOptions, envoyBootstrap } from '@signalbox/control-plane/projections';
import { Command, Option } from 'commander';
import type { Cli } from '../cli.ts';
import { usage } from '../failure.ts';
import { parsePort } from '../input/option-values.ts';
import { examples } from '../output/examples.ts';
import { renderJson } from '../output/json.ts';

/** `external bootstrap`: what a proxy of others is started with. */
export function bootstrapCommand(cli: Cli): Command {
  return new Command('bootstrap')
    .description('Print what a proxy that is not ours is started with.')
    .addCommand(envoyCommand(cli))
    .addCommand(agentgatewayCommand(cli));
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

interface AgentgatewayOptions {
  readonly gateway: string;
  readonly node: string;
  readonly discovery: string;
  readonly tls: boolean;
  readonly caFile: string;
  readonly tokenFile: string;
  readonly output: 'env' | 'json';
}

function agentgatewayCommand(cli: Cli): Command {
  return new Command('agentgateway')
    .description(
      'Print the environment of a stock agentgateway, of August 2026 or newer. Its SESSION_KEY, which all nodes of a gateway ' +
        'share, is read from the variable of that name, or made.',
    )
    .option('--gateway <name>', 'gateway that it serves; it lists AGENTGATEWAY in spec.dataPlanes', 'default')
    .option('--node <id>', 'identity of the node', 'agentgateway-1')
    .option('--discovery <host:port>', 'address of discovery', '127.0.0.1:7071')
    .option('--tls', 'connect to discovery with TLS', false)
    .option('--ca-file <path>', 'certificates of authorities, with --tls', defaultEnvoyOptions.trustedCaFile)
    .option(
      '--token-file <path>',
      'file with its node token and nothing else, no line break either',
      'agentgateway.token',
    )
    .addOption(new Option('-o, --output <format>', 'how to print').choices(['env', 'json']).default('env'))
    .addHelpText(
      'after',
      examples(
        ['signalbox token create agw-1 --role node --gateway edge --family agentgateway', 'the token'],
        [`printf %s '…' > agentgateway.token`, 'the file with it'],
        ['signalbox external bootstrap agentgateway --gateway edge > agentgateway.env', ''],
        [`(set -a; . ./agentgateway.env; exec agentgateway -c '{}')`, 'all else comes from discovery'],
      ),
    )
    .action((options: AgentgatewayOptions) => printEnvironment(cli, options));
}

function printEnvironment(cli: Cli, options: AgentgatewayOptions): void {
  const bootstrap = agentgatewayBootstrap({
    nodeId: options.node,
    gateway: options.gateway,
    discovery: { ...addressOf(options.discovery), tls: options.tls },
    tokenFile: options.tokenFile,
    trustedCaFile: options.caFile,
    sessionKey: sessionKey(cli),
  });
  if (options.output === 'json') return cli.out.write(renderJson(bootstrap));
  const lines = Object.entries(bootstrap.environment).map(([name, value]) => `${name}=${shellWord(value)}\n`);
  const command = ['agentgateway', ...bootstrap.arguments].map(shellWord).join(' ');
  cli.out.write(`# ${command}\n${lines.join('')}`);
}

function sessionKey(cli: Cli): string {
  const given = cli.environment['SESSION_KEY'];
  if (given) {
    if (!/^[0-9a-f]{64}$/i.test(given)) throw usage('SESSION_KEY: expected 64 hexadecimal digits');
    return given;
  }
  cli.err.write(
    'SESSION_KEY is new: give the same to all nodes of the gateway, or their sessions stay with one node\n',
  );
  return cli.random.bytes(32).toString('hex');
}

function shellWord(text: string): string {
  return /^[\w./:@~%+,=[\]-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

function addressOf(text: string): { readonly host: string; readonly port: number } {
  const [, host, port] = /^(\[[^\]]+\]|[^:]+):(\d{1,5})$/.exec(text) ?? [];
  if (host === undefined || port === undefined)
    throw usage(`--discovery: expected host:port, not ${JSON.stringify(text)}`);
  return { host: host.replace(/^\[(.*)\]$/, '$1'), port: parsePort(port) };
}
