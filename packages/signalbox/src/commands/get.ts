import { isKind, kinds, operatorScope } from '@signalbox/config/kind';
import type { Resource } from '@signalbox/proto/signalbox/admin/v1/config_service_pb.ts';
import { Command } from 'commander';
import type { Cli } from '../cli.ts';
import { type AdminClient, adminClient, plain } from '../client/admin-client.ts';
import { usage } from '../failure.ts';
import { kindNamed, scopeNamed } from '../input/scope.ts';
import { emit, type Format, outputOption } from '../output/emit.ts';
import { renderTable } from '../output/table.ts';
import { examples } from '../output/examples.ts';

interface GetOptions {
  readonly tenant?: string;
  readonly all?: true;
  readonly output: Format;
}

/** `get`: resources as they are in the newest revision. */
export function getCommand(cli: Cli): Command {
  return new Command('get')
    .description('Show resources of the newest revision.')
    .argument('[kind]', `${kinds.join(', ')}; in any case, singular or plural`)
    .argument('[name]', 'one resource of the kind')
    .option('-t, --tenant <name>', 'tenant, or operator for gateways and tenants')
    .option('-A, --all', 'of the operator and all tenants')
    .addOption(outputOption())
    .addHelpText(
      'after',
      examples(
        ['signalbox get', 'everything of the tenant'],
        ['signalbox get routes -A', 'the routes of all tenants'],
        ['signalbox get policy railway -o yaml', 'one resource, as apply reads it'],
        ['signalbox get gateways', "the operator's"],
      ),
    )
    .action((kind: string | undefined, name: string | undefined, options: GetOptions) =>
      get(cli, { kind, name }, options),
    );
}

interface Wanted {
  readonly kind: string | undefined;
  readonly name: string | undefined;
}

async function get(cli: Cli, wanted: Wanted, options: GetOptions): Promise<void> {
  if (options.all && (options.tenant || wanted.name)) throw usage('--all goes without --tenant and without a name');
  const client = await adminClient(cli);
  const kind = wanted.kind === undefined ? undefined : kindNamed(wanted.kind);
  const scopes = options.all ? await allScopes(client) : [scopeNamed(client.target, options.tenant, kind)];
  const found: Resource[] = [];
  for (const scope of scopes) {
    if (kind && wanted.name) {
      const { resource } = await client.config.get({ scope, kind, name: wanted.name });
      if (resource) found.push(resource);
    } else {
      found.push(...(await client.config.list({ scope, kind: kind ?? '' })).resources);
    }
  }
  const sorted = found.toSorted((one, other) => orderOf(one).localeCompare(orderOf(other)));
  await emit(cli, options.output, {
    data: sorted.map(plain),
    documents: sorted.map(envelope),
    table: (style) => {
      if (sorted.length === 0) return `no ${kind ?? 'resource'} in ${scopes.join(', ')}\n`;
      const rows = sorted.map(({ document, revision, digest }) => {
        return [
          document?.kind ?? '',
          document?.tenant || operatorScope,
          document?.name ?? '',
          String(revision),
          digest.slice(0, 12),
        ];
      });
      return renderTable(['kind', 'tenant', 'name', 'revision', 'digest'], rows, style);
    },
  });
}

async function allScopes(client: AdminClient): Promise<readonly string[]> {
  const { tenants } = await client.tenants.listTenants({});
  return [operatorScope, ...tenants.map((tenant) => tenant.name).toSorted()];
}

/** Operator first, then by tenant; kinds in dependency order, so that the YAML can be applied as it is. */
function orderOf({ document }: Resource): string {
  const kind = document?.kind ?? '';
  return [document?.tenant ?? '', isKind(kind) ? kinds.indexOf(kind) : 9, document?.name].join('\u0000');
}

/** The document as `apply` reads it. */
function envelope({ document }: Resource): unknown {
  return {
    apiVersion: 'signalbox.dev/v1',
    kind: document?.kind,
    metadata: { ...(document?.tenant ? { tenant: document.tenant } : {}), name: document?.name },
    spec: document?.spec ?? {},
  };
}
