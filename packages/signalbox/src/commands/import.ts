import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { decodeDocument } from '@signalbox/config';
import { Command, Option } from 'commander';
import type { Cli } from '../cli.ts';
import { findTarget } from '../client/target.ts';
import { Failure, usage } from '../failure.ts';
import { collect } from '../input/option-values.ts';
import { scopeNamed } from '../input/scope.ts';
import { readServerJson } from '../input/server-json.ts';
import { examples } from '../output/examples.ts';
import { renderJson } from '../output/json.ts';
import { printableLine } from '../output/printable.ts';
import { renderYamlStream } from '../output/yaml.ts';

interface ImportOptions {
  readonly tenant?: string;
  readonly name?: string;
  readonly gateway: string;
  readonly path?: string;
  readonly var?: readonly string[];
  readonly output: 'yaml' | 'json';
}

const details = `
Prints a Backend, a VirtualServer and a Route for the server's remote of type streamable-http, or without one of type sse. There is
no Policy among them: until you write one, nobody may call. Packages are refused, and so are servers that need a header.
`;

/** `import`: a `server.json` of the MCP Registry as resources. */
export function importCommand(cli: Cli): Command {
  return new Command('import')
    .description('Turn a server.json of an MCP registry into resources, as apply reads them.')
    .argument('<file>', 'server.json, the answer of a registry that holds one, or - for standard input')
    .option('-t, --tenant <name>', 'tenant of the resources')
    .option('--name <name>', "name of the resources; made of the server's unless given")
    .option('--gateway <name>', 'gateway of the route', 'default')
    .option('--path <path>', 'path of the route; /<tenant>/<name> unless given')
    .option('--var <name=value>', "a variable of the server's url; may be repeated", collect)
    .addOption(new Option('-o, --output <format>', 'how to print').choices(['yaml', 'json']).default('yaml'))
    .addHelpText(
      'after',
      details +
        examples(
          ['signalbox import server.json -t acme', 'see the resources'],
          ['signalbox import server.json -t acme | signalbox apply -f -', 'commit them'],
          ['signalbox import - -t acme --var region=eu < server.json', 'fill the variables of its url'],
        ),
    )
    .action((file: string, options: ImportOptions) => importServer(cli, file, options));
}

async function importServer(cli: Cli, file: string, options: ImportOptions): Promise<void> {
  const text = file === '-' ? await cli.readInput() : await readText(cli.cwd, file);
  const server = readServerJson(text, file === '-' ? 'standard input' : file, variablesOf(options.var ?? []));
  const tenant = options.tenant ?? scopeNamed(await findTarget(cli), undefined);
  const name = options.name ?? nameOf(server.name);
  const path = options.path ?? `/${tenant}/${name}`;
  const documents = [
    document(
      'Backend',
      { tenant, name },
      {
        mcp: { url: server.url, ...(server.isHttpSse && { transport: 'HTTP_SSE' }) },
      },
    ),
    document('VirtualServer', { tenant, name }, { members: [{ backend: name }] }),
    document('Route', { tenant, name }, { gateway: options.gateway, match: { path }, mcp: { virtualServer: name } }),
  ];
  check(documents, file);
  cli.out.write(options.output === 'json' ? renderJson(documents) : renderYamlStream(documents));
  const notes = [...server.notes, 'nobody may call it before a Policy says so'];
  for (const note of notes) cli.err.write(`note: ${printableLine(note)}\n`);
}

function document(kind: string, metadata: { readonly tenant: string; readonly name: string }, spec: object) {
  return { apiVersion: 'signalbox.dev/v1', kind, metadata, spec };
}

/** @throws Failure if what was made of the file is nothing that apply would take. */
function check(documents: readonly ReturnType<typeof document>[], file: string): void {
  const problems = documents.flatMap(({ kind, metadata, spec }) => {
    return decodeDocument({ kind, ...metadata, spec: spec as Parameters<typeof decodeDocument>[0]['spec'] }).problems;
  });
  if (problems.length === 0) return;
  const lines = problems.map(({ kind, field, message }) => `  ${kind} ${field}: ${message}`);
  throw new Failure(`${file} cannot be imported:\n${[...new Set(lines)].join('\n')}`);
}

function variablesOf(given: readonly string[]): ReadonlyMap<string, string> {
  return new Map(
    given.map((pair): [string, string] => {
      const at = pair.indexOf('=');
      if (at < 1) throw usage(`--var: expected name=value, got "${pair}"`);
      return [pair.slice(0, at), pair.slice(at + 1)];
    }),
  );
}

/** `com.example/My_Weather` → `my-weather`. */
function nameOf(server: string): string {
  const own = server.slice(server.indexOf('/') + 1).toLowerCase();
  return own
    .replaceAll(/[^a-z0-9]+/g, '-')
    .slice(0, 63)
    .replaceAll(/^-+|-+$/g, '');
}

async function readText(cwd: string, path: string): Promise<string> {
  try {
    return await readFile(resolve(cwd, path), 'utf8');
  } catch (error) {
    throw new Failure(`${path} cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
}
