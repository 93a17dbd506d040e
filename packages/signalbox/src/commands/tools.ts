import { Secret } from '@signalbox/runtime/secret';
import { Command, Option } from 'commander';
import type { Cli } from '../cli.ts';
import { adminClient } from '../client/admin-client.ts';
import { routeEndpoint } from '../client/mcp-endpoint.ts';
import { type Era, eras } from '../client/mcp-era.ts';
import { findCliFile } from '../client/target.ts';
import { usage } from '../failure.ts';
import { emit, type Format, outputOption } from '../output/emit.ts';
import { renderTable } from '../output/table.ts';
import { examples } from '../output/examples.ts';

interface ToolsOptions {
  readonly route?: string;
  readonly url?: string;
  readonly token?: string;
  readonly anonymous?: true;
  readonly era: Era;
  readonly output: Format;
}

/** Characters of a description in a table. */
const descriptionLength = 80;

const details = `
The credential is that of --token, else SIGNALBOX_MCP_TOKEN, else, for the gateway that up runs, the demo's API key.
`;

/** `tools`: what a principal sees through the proxy. */
export function toolsCommand(cli: Cli): Command {
  return new Command('tools')
    .description('List the tools that a principal sees: asks through the proxy, as an agent would.')
    .option('-r, --route <tenant/route>', 'a route, by name')
    .option('-u, --url <url>', 'any MCP endpoint, in place of a route')
    .option('--token <credential>', 'API key or JWT of the principal')
    .option('--anonymous', 'send no credential')
    .addOption(
      new Option('--era <era>', 'protocol era: ask the server, 2026-07-28, or 2025-11-25')
        .choices(eras)
        .default('auto'),
    )
    .addOption(outputOption())
    .addHelpText(
      'after',
      details +
        examples(
          ['signalbox tools --route demo/railway', 'what the demo key sees'],
          ['signalbox tools --url http://127.0.0.1:8080/demo/railway/mcp --token "$KEY"', 'by address'],
          ['signalbox tools -r demo/everything --era legacy -o json', 'with schemas'],
        ),
    )
    .action((options: ToolsOptions) => tools(cli, options));
}

async function tools(cli: Cli, options: ToolsOptions): Promise<void> {
  if ((options.route === undefined) === (options.url === undefined)) throw usage('name one of --route and --url');
  if (options.url !== undefined && !URL.canParse(options.url)) throw usage(`--url: "${options.url}" is not a URL`);
  const url = options.url ?? (await routeEndpoint(cli, await adminClient(cli), options.route ?? ''));
  const token = await credential(cli, url, options);
  const { listTools } = await import('../client/mcp-tools.ts');
  const list = await listTools({ url, token, era: options.era, signal: cli.interrupted });
  await emit(cli, options.output, {
    data: { url, ...list },
    table: (style) => {
      const head = `${list.server} at ${url}, ${list.protocolVersion}\n`;
      if (list.tools.length === 0) return `${head}no tool is visible to this principal; see signalbox explain\n`;
      const rows = list.tools.map((tool) => [tool.name, summary(tool.description ?? tool.title ?? '')]);
      return style.dim(head) + renderTable(['tool', 'description'], rows, style);
    },
  });
}

/** The demo key goes to the gateway that `up` runs and nowhere else. */
async function credential(cli: Cli, url: string, options: ToolsOptions): Promise<Secret | undefined> {
  if (options.anonymous) return undefined;
  const given = options.token ?? cli.environment['SIGNALBOX_MCP_TOKEN'];
  if (given) return new Secret(given);
  const file = await findCliFile(cli);
  const own = file && URL.canParse(file.gatewayUrl) && new URL(file.gatewayUrl).origin === new URL(url).origin;
  return own ? file.key : undefined;
}

function summary(description: string): string {
  const line = description.split('\n', 1)[0] ?? '';
  const characters = Array.from(line);
  return characters.length > descriptionLength ? `${characters.slice(0, descriptionLength - 1).join('')}…` : line;
}
