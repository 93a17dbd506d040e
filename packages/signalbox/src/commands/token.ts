import { Secret } from '@signalbox/runtime/secret';
import type { Token } from '@signalbox/proto/signalbox/admin/v1/token_service_pb.ts';
import { Role, TokenForm } from '@signalbox/proto/signalbox/admin/v1/token_service_pb.ts';
import { Command, Option } from 'commander';
import type { Cli } from '../cli.ts';
import { adminClient, plain } from '../client/admin-client.ts';
import { usage } from '../failure.ts';
import { apiKeyHash, newApiKey } from '../input/api-key.ts';
import { collect, parseDuration } from '../input/option-values.ts';
import { emit, type Format, outputOption } from '../output/emit.ts';
import { type Cell, renderTable } from '../output/table.ts';
import { localTime } from '../output/time.ts';
import { examples } from '../output/examples.ts';

const roles = {
  operator: Role.OPERATOR,
  'tenant-admin': Role.TENANT_ADMIN,
  developer: Role.DEVELOPER,
  auditor: Role.AUDITOR,
  node: Role.NODE,
  relay: Role.RELAY,
} as const;
type RoleName = keyof typeof roles;

interface OutputOptions {
  readonly output: Format;
}

interface CreateOptions extends OutputOptions {
  readonly role: RoleName;
  readonly tenant?: readonly string[];
  readonly tenantSelector?: string;
  readonly gateway?: string;
  readonly family?: string;
  readonly ttl?: number;
  readonly join?: true;
  readonly certificate?: true;
  readonly node?: string;
  readonly group?: readonly string[];
}

/** `token`: credentials for the API and for nodes, and API keys for policies. */
export function tokenCommand(cli: Cli): Command {
  return new Command('token')
    .description('Tokens of people, scripts and nodes for the control plane; and API keys for agents.')
    .addCommand(createCommand(cli))
    .addCommand(listCommand(cli))
    .addCommand(revokeCommand(cli))
    .addCommand(generateCommand(cli))
    .addCommand(hashCommand(cli))
    .addHelpText(
      'after',
      examples(
        ['signalbox token create ci --role developer --tenant acme --ttl 90d', 'for a pipeline'],
        ['signalbox token create edge-1 --role node --gateway default', 'for a proxy'],
        ['signalbox token list', 'who has access, and who used it'],
      ),
    );
}

function createCommand(cli: Cli): Command {
  return new Command('create')
    .description('Create a token. It is printed once and stored only as a hash.')
    .argument('<name>', 'shown as author of revisions and as identity of nodes')
    .addOption(new Option('--role <role>', 'what it may do').choices(Object.keys(roles)).makeOptionMandatory())
    .option('-t, --tenant <name>', 'only this tenant; may be repeated', collect)
    .option(
      '--tenant-selector <labels>',
      'for nodes: tenants with these labels, as they are at the moment; key=value, key in (a, b), !key',
    )
    .option('--gateway <name>', 'gateway of a node or relay')
    .option(
      '--family <name>',
      'what its nodes are: native (our own proxies), envoy or agentgateway; native unless given',
    )
    .option('--join', 'for a node that fetches its certificate with it, once; valid for ten minutes')
    .option('--certificate', 'no secret: what nodes may receive that come with a certificate')
    .option('--node <id>', 'with --join or --certificate: only this node')
    .option('--group <name>', 'group of its nodes, which stages of rollouts name; may be repeated', collect)
    .option('--ttl <duration>', 'how long it is valid; without it, until revoked', parseDuration)
    .addOption(outputOption())
    .addHelpText(
      'after',
      examples(
        ['signalbox token create alice --role tenant-admin --tenant acme', ''],
        ['signalbox token create edge-1 --role node --gateway default -o json', 'for a script: .secret'],
        [
          'signalbox token create gold --role node --gateway default --tenant-selector tier=gold',
          'nodes for the tenants with a label',
        ],
        ['signalbox token create eu --role relay --gateway default', 'SIGNALBOX_RELAY_TOKEN of signalbox relay'],
        [
          'signalbox token create edge --role node --gateway default --join',
          'SIGNALBOX_PROXY_JOIN_TOKEN of a new node',
        ],
        [
          'signalbox token create edge --role node --gateway default --certificate',
          'nodes with certificates of your own',
        ],
      ),
    )
    .action((name: string, options: CreateOptions) => create(cli, name, options));
}

async function create(cli: Cli, name: string, options: CreateOptions): Promise<void> {
  const subscribes = options.role === 'node' || options.role === 'relay';
  if (options.gateway !== undefined && !subscribes) throw usage('--gateway goes with --role node or relay');
  if (options.tenantSelector !== undefined && !subscribes)
    throw usage('--tenant-selector goes with --role node or relay');
  if (options.family !== undefined && options.role !== 'node') throw usage('--family goes with --role node');
  if (options.group !== undefined && options.role !== 'node') throw usage('--group goes with --role node');
  if (options.join && options.certificate) throw usage('--join and --certificate exclude each other');
  const client = await adminClient(cli);
  const response = await client.tokens.createToken({
    name,
    role: roles[options.role],
    tenants: [...(options.tenant ?? [])],
    tenantSelector: options.tenantSelector ?? '',
    gateway: options.gateway ?? '',
    family: options.family ?? '',
    form: options.join ? TokenForm.JOIN : options.certificate ? TokenForm.CERTIFICATE : TokenForm.BEARER,
    node: options.node ?? '',
    groups: [...(options.group ?? [])],
    ttlSeconds: BigInt(Math.ceil((options.ttl ?? 0) / 1_000)),
  });
  await emit(cli, options.output, {
    data: plain(response),
    table: (style) =>
      options.certificate
        ? `${response.token?.id ?? ''}\n`
        : `${response.secret}\n${style.dim(`This is the only time that it is shown. Its id is ${response.token?.id ?? ''}.`)}\n`,
  });
}

function listCommand(cli: Cli): Command {
  return new Command('list')
    .description('List tokens, without their secrets.')
    .addOption(outputOption())
    .addHelpText('after', examples(['signalbox token list', ''], ['signalbox token list -o json', 'with every field']))
    .action(async ({ output }: OutputOptions) => {
      const client = await adminClient(cli);
      const { tokens } = await client.tokens.listTokens({});
      await emit(cli, output, {
        data: tokens.map(plain),
        table: (style) => {
          const heads = ['id', 'name', 'role', 'tenants', 'gateway', 'created', 'last used', 'state'];
          return renderTable(
            heads,
            tokens.map((token) => tokenRow(token, cli.clock.now())),
            style,
          );
        },
      });
    });
}

function tokenRow(token: Token, nowMs: number): Cell[] {
  const role = Object.entries(roles).find(([, value]) => value === token.role)?.[0] ?? '-';
  const times = [localTime(token.createdAt), localTime(token.lastUsedAt) || 'never'];
  return [
    token.id,
    token.name,
    role,
    [...token.tenants, ...(token.tenantSelector === '' ? [] : [`{${token.tenantSelector}}`])].join(',') || '-',
    token.gateway || '-',
    ...times,
    stateOf(token, nowMs),
  ];
}

function stateOf(token: Token, nowMs: number): Cell {
  if (token.revokedAt) return { text: `revoked ${localTime(token.revokedAt)}`, as: 'bad' };
  if (!token.expiresAt) return { text: 'valid', as: 'good' };
  const expired = Number(token.expiresAt.seconds) * 1_000 <= nowMs;
  const text = `${expired ? 'expired' : 'valid until'} ${localTime(token.expiresAt)}`;
  return { text, as: expired ? 'bad' : 'good' };
}

function revokeCommand(cli: Cli): Command {
  return new Command('revoke')
    .description('Revoke a token, at once and for good.')
    .argument('<id>', 'from token list')
    .addOption(outputOption())
    .addHelpText('after', examples(['signalbox token revoke 0192f0c1-…', '']))
    .action(async (id: string, { output }: OutputOptions) => {
      const client = await adminClient(cli);
      await client.tokens.revokeToken({ id });
      await emit(cli, output, { data: { id, revoked: true }, table: () => `${id} is revoked\n` });
    });
}

function generateCommand(cli: Cli): Command {
  return new Command('generate')
    .description(
      'Make a token for SIGNALBOX_BOOTSTRAP_TOKEN. Nothing is sent or stored: the control plane creates it at its start.',
    )
    .addOption(outputOption())
    .addHelpText('after', examples(['SIGNALBOX_BOOTSTRAP_TOKEN=$(signalbox token generate)', 'keep it in a vault']))
    .action(async ({ output }: OutputOptions) => {
      // What only this command needs does not slow the others down.
      const { newToken } = await import('@signalbox/control-plane');
      const { id, text } = newToken(cli.random);
      await emit(cli, output, { data: { id, secret: text.reveal() }, table: () => `${text.reveal()}\n` });
    });
}

function hashCommand(cli: Cli): Command {
  return new Command('hash')
    .description('Make an API key for an agent, and the hash by which a Policy accepts it. Nothing is sent or stored.')
    .option('--stdin', 'hash the key on standard input in place of a new one')
    .addOption(outputOption())
    .addHelpText(
      'after',
      examples(['signalbox token hash', 'a new key'], ['signalbox token hash --stdin < key.txt', 'one that exists']),
    )
    .action(async (options: OutputOptions & { readonly stdin?: true }) => {
      const key = options.stdin ? new Secret((await cli.readInput()).trim()) : newApiKey(cli.random);
      if (key.reveal() === '') throw usage('--stdin: there is no key on standard input');
      const sha256 = apiKeyHash(key);
      const snippet = `spec:\n  authentication:\n    apiKeys:\n      - { subject: NAME, sha256: ${sha256} }\n`;
      await emit(cli, options.output, {
        data: { ...(options.stdin ? {} : { key: key.reveal() }), sha256 },
        table: (style) => {
          const shown = options.stdin ? '' : `key     ${key.reveal()}\n`;
          return `${shown}sha256  ${sha256}\n\n${style.dim('In a Policy:')}\n${snippet}`;
        },
      });
    });
}
