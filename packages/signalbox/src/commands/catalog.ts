import { timestampMs } from '@bufbuild/protobuf/wkt';
import type { Catalog } from '@signalbox/proto/signalbox/admin/v1/catalog_service_pb.ts';
import { Command, Option } from 'commander';
import type { Cli } from '../cli.ts';
import { type AdminClient, adminClient, plain } from '../client/admin-client.ts';
import { Failure } from '../failure.ts';
import { parseCount, parseDuration } from '../input/option-values.ts';
import { scopeNamed } from '../input/scope.ts';
import {
  renderCatalog,
  renderCatalogChanges,
  renderCatalogs,
  renderCatalogVersions,
  renderWeights,
} from '../output/catalog-view.ts';
import { emit, type Format, outputOption } from '../output/emit.ts';
import { examples } from '../output/examples.ts';
import { printableLine } from '../output/printable.ts';

interface CommonOptions {
  readonly tenant?: string;
  readonly output: Format;
}

const kinds = ['server', 'tool', 'prompt', 'resource', 'template'] as const;

/** `catalog`: what the MCP servers behind backends have, and how that has changed. */
export function catalogCommand(cli: Cli): Command {
  return new Command('catalog')
    .description('See what the MCP servers behind backends have, as nodes have found it, and how that has changed.')
    .addCommand(listCommand(cli))
    .addCommand(showCommand(cli))
    .addCommand(historyCommand(cli))
    .addCommand(diffCommand(cli))
    .addCommand(refreshCommand(cli))
    .addCommand(weightCommand(cli))
    .addHelpText(
      'after',
      examples(
        ['signalbox catalog list', 'every MCP backend of the tenant'],
        ['signalbox catalog show weather', 'its tools, prompts, resources and templates'],
        ['signalbox catalog diff weather', 'what changed last'],
        ['signalbox catalog refresh weather --wait', 'let a node look now'],
      ),
    );
}

function listCommand(cli: Cli): Command {
  return command(
    'list',
    'List the MCP backends of a tenant, what they have, and when a node has looked last.',
    ['signalbox catalog list -t acme', 'one line a backend'],
    ['signalbox catalog list -o json', 'with digests'],
  ).action(async ({ tenant, output }: CommonOptions) => {
    const client = await adminClient(cli);
    const scope = scopeNamed(client.target, tenant);
    const catalogs = await everyCatalog(client, scope);
    await emit(cli, output, {
      data: catalogs.map(plain),
      table: (paint) => renderCatalogs(catalogs, { scope, nowMs: cli.clock.now() }, paint),
    });
  });
}

async function everyCatalog(client: AdminClient, scope: string): Promise<readonly Catalog[]> {
  const catalogs: Catalog[] = [];
  let after = '';
  do {
    const page = await client.catalogs.listCatalogs({ scope, limit: 1_000, after });
    catalogs.push(...page.catalogs);
    after = page.next;
  } while (after !== '');
  return catalogs;
}

interface ShowOptions extends CommonOptions {
  readonly kind?: (typeof kinds)[number];
  readonly name?: string;
  readonly at?: number;
}

function showCommand(cli: Cli): Command {
  return command(
    'show',
    'Show what one backend has. With -o json also the descriptors, as the server sent them, and their digests.',
    ['signalbox catalog show weather', 'everything, by kind'],
    ['signalbox catalog show weather --name get_forecast -o json', 'one descriptor'],
    ['signalbox catalog show weather --at 3', 'as it was at version 3'],
  )
    .argument('<backend>', 'name of the Backend')
    .addOption(new Option('-k, --kind <kind>', 'only of this kind').choices(kinds))
    .option('--name <name>', 'only the one of this name or URI')
    .option('--at <version>', 'as it was at this version', parseCount)
    .action(async (backend: string, { tenant, output, kind, name = '', at = 0 }: ShowOptions) => {
      const client = await adminClient(cli);
      const scope = scopeNamed(client.target, tenant);
      const request = { scope, backend, name, version: BigInt(at), kinds: kind ? [kind] : [] };
      const found = await client.catalogs.getCatalog(request);
      await emit(cli, output, {
        data: plain(found),
        table: (paint) => renderCatalog(found, cli.clock.now(), paint),
      });
    });
}

function historyCommand(cli: Cli): Command {
  return command(
    'history',
    'List the versions of what a backend has, newest first: when it changed, what, and which node saw it.',
    ['signalbox catalog history weather', 'one line a version'],
  )
    .argument('<backend>', 'name of the Backend')
    .option('-n, --limit <count>', 'how many, at most 1000', parseCount, 50)
    .action(async (backend: string, { tenant, output, limit }: CommonOptions & { readonly limit: number }) => {
      const client = await adminClient(cli);
      const scope = scopeNamed(client.target, tenant);
      const history = await client.catalogs.listCatalogVersions({ scope, backend, limit });
      await emit(cli, output, {
        data: plain(history),
        table: (paint) => renderCatalogVersions(history, cli.clock.now(), paint),
      });
    });
}

interface DiffOptions extends CommonOptions {
  readonly from?: number;
  readonly to?: number;
  readonly exitCode?: true;
}

function diffCommand(cli: Cli): Command {
  return command(
    'diff',
    'Show what was added, removed and changed between two versions of what a backend has; the last change unless told otherwise.',
    ['signalbox catalog diff weather', 'the newest version against the one before'],
    [
      'signalbox catalog diff weather --from 2 --exit-code',
      'what changed since version 2; exit status 1 if anything did',
    ],
  )
    .argument('<backend>', 'name of the Backend')
    .option('--from <version>', 'the version before --to unless given', parseCount)
    .option('--to <version>', 'the newest unless given', parseCount)
    .option('--exit-code', 'exit with status 1 when there is a difference')
    .action(async (backend: string, { tenant, output, from = 0, to = 0, exitCode }: DiffOptions) => {
      const client = await adminClient(cli);
      const scope = scopeNamed(client.target, tenant);
      const difference = await client.catalogs.diffCatalog({ scope, backend, from: BigInt(from), to: BigInt(to) });
      await emit(cli, output, {
        data: plain(difference),
        table: (paint) => renderCatalogChanges(difference, paint),
      });
      const { length } = difference.changes;
      if (exitCode && length > 0) throw new Failure(`${backend} has ${length} changes`);
    });
}

interface RefreshOptions extends CommonOptions {
  readonly wait?: true;
  readonly timeout: number;
}

function refreshCommand(cli: Cli): Command {
  return command(
    'refresh',
    'Let nodes look now at what a backend has, or all backends of the tenant.',
    ['signalbox catalog refresh', 'all backends of the tenant'],
    ['signalbox catalog refresh weather --wait', 'return when a node has looked'],
  )
    .argument('[backend]', 'name of the Backend; all unless given', '')
    .option('-w, --wait', 'return when nodes have looked')
    .option('--timeout <duration>', 'longest time to wait', parseDuration, 60_000)
    .action(async (backend: string, { tenant, output, wait, timeout }: RefreshOptions) => {
      const client = await adminClient(cli);
      const scope = scopeNamed(client.target, tenant);
      const { catalogs: before } = await client.catalogs.refreshCatalogs({ scope, backend });
      const catalogs = wait ? await looked(cli, client, before, timeout) : before;
      await emit(cli, output, {
        data: catalogs.map(plain),
        table: (paint) => renderCatalogs(catalogs, { scope, nowMs: cli.clock.now() }, paint),
      });
    });
}

const pollMs = 200;

/** What is known once nodes have looked at all of them again. @throws Failure if that takes too long. */
async function looked(
  cli: Cli,
  client: AdminClient,
  before: readonly Catalog[],
  timeoutMs: number,
): Promise<readonly Catalog[]> {
  const [first] = before;
  if (!first) return [];
  const times = new Map(before.map(({ backend, checkedAt }) => [backend, checkedAt ? timestampMs(checkedAt) : 0]));
  const deadline = cli.clock.monotonic() + timeoutMs;
  for (;;) {
    const all = (await everyCatalog(client, first.scope)).filter(({ backend }) => times.has(backend));
    const waiting = all.filter(
      ({ backend, checkedAt }) => (checkedAt ? timestampMs(checkedAt) : 0) <= (times.get(backend) ?? 0),
    );
    if (waiting.length === 0) return all;
    if (cli.clock.monotonic() >= deadline) {
      const names = waiting.map(({ backend }) => printableLine(backend)).join(', ');
      throw new Failure(
        `no node has looked at ${names} in time: see signalbox nodes, and SIGNALBOX_PROXY_CATALOG of the nodes`,
        3,
      );
    }
    await cli.clock.sleep(pollMs, cli.interrupted);
  }
}

function weightCommand(cli: Cli): Command {
  return command(
    'weight',
    "Show how much of a model's context the tools of each virtual server take, for a caller who may see all of them.",
    ['signalbox catalog weight', 'every virtual server of the tenant'],
    ['signalbox catalog weight assistant -o json', 'one of them'],
  )
    .argument('[virtual-server]', 'name of the VirtualServer; all unless given', '')
    .action(async (virtualServer: string, { tenant, output }: CommonOptions) => {
      const client = await adminClient(cli);
      const scope = scopeNamed(client.target, tenant);
      const { weights } = await client.catalogs.weighVirtualServers({ scope, virtualServer });
      await emit(cli, output, {
        data: weights.map(plain),
        table: (paint) => renderWeights(weights, scope, paint),
      });
    });
}

function command(name: string, description: string, ...lines: readonly (readonly [string, string])[]): Command {
  return new Command(name)
    .description(description)
    .option('-t, --tenant <name>', 'tenant')
    .addOption(outputOption())
    .addHelpText('after', examples(...lines));
}
