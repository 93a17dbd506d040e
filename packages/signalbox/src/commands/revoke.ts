import type { JsonObject } from '@bufbuild/protobuf';
import type { Resource } from '@signalbox/proto/signalbox/admin/v1/config_service_pb.ts';
import { Command } from 'commander';
import type { Cli } from '../cli.ts';
import { type AdminClient, adminClient } from '../client/admin-client.ts';
import { commitChange, type CommitOptions, withCommitOptions } from '../client/commit-change.ts';
import { Failure, usage } from '../failure.ts';
import { collect } from '../input/option-values.ts';
import { scopeNamed } from '../input/scope.ts';
import { emit, type Format, outputOption } from '../output/emit.ts';
import { examples } from '../output/examples.ts';
import { renderTable } from '../output/table.ts';

/** `revoke`: tokens of callers that are not accepted any more. */
export function revokeCommand(cli: Cli): Command {
  return new Command('revoke')
    .description(
      'Refuse tokens (JWTs) of callers from now on, on every node, though they have not expired. A Policy each.',
    )
    .addCommand(addCommand(cli))
    .addCommand(liftCommand(cli))
    .addCommand(listCommand(cli))
    .addHelpText(
      'after',
      examples(
        ['signalbox revoke add --subject alice --issued-before now', 'all that she has; new ones are accepted'],
        ['signalbox revoke add --token-id 7f3a -r "in a log file"', 'one token, by its jti'],
        ['signalbox revoke list', 'what is refused, and why'],
        ['signalbox revoke lift revoked-1a2b3c4d', 'take one back'],
      ),
    );
}

interface AddOptions extends CommitOptions {
  readonly tokenId?: readonly string[];
  readonly subject?: readonly string[];
  readonly issuer?: string;
  readonly issuedBefore?: string;
  readonly reason?: string;
}

function addCommand(cli: Cli): Command {
  const command = new Command('add')
    .description(
      'Refuse tokens by their id, by subject, or by when they were issued. What is open with them ends within 2 s.',
    )
    .option('--token-id <jti>', 'one token; may be repeated', collect)
    .option('--subject <sub>', 'all tokens of a subject; may be repeated', collect)
    .option('--issuer <iss>', 'only tokens of this issuer')
    .option('--issued-before <time>', 'only tokens of the subjects, or of everybody, issued before: RFC 3339, or now')
    .option('-r, --reason <text>', 'why; shown to operators, never to callers')
    .addHelpText('after', examples(['signalbox revoke add --issued-before now', 'everybody has to sign in again']));
  return withCommitOptions(command).action(async (options: AddOptions) => {
    const { tokenId, subject, issuer, issuedBefore, reason } = options;
    if (!tokenId && !subject && issuedBefore === undefined)
      throw usage('say which tokens: --token-id, --subject or --issued-before');
    const client = await adminClient(cli);
    const scope = scopeNamed(client.target, options.tenant);
    const revocation: JsonObject = {
      ...(issuer !== undefined && { issuer }),
      ...(tokenId && { tokenIds: [...tokenId] }),
      ...(subject && { subjects: [...subject] }),
      ...(issuedBefore !== undefined && { issuedBefore: timeOf(cli, issuedBefore) }),
      ...(reason !== undefined && { reason }),
    };
    const name = `revoked-${cli.random.uuid().slice(0, 8)}`;
    const spec = { target: { tenant: {} }, revocations: [revocation] };
    const change = { scope, resources: [{ kind: 'Policy', tenant: scope, name, spec }] };
    await commitChange(cli, client, { ...change, message: reason ?? 'tokens revoked' }, options);
  });
}

function timeOf(cli: Cli, text: string): string {
  return text === 'now' ? new Date(cli.clock.now()).toISOString() : text;
}

function liftCommand(cli: Cli): Command {
  const command = new Command('lift')
    .description('Accept tokens again that a revocation refuses, unless they have expired.')
    .argument('<policy>', 'name of the Policy, as revoke list shows it')
    .addHelpText(
      'after',
      examples(['signalbox revoke lift revoked-1a2b3c4d', 'after a day no token is left that it is about']),
    );
  return withCommitOptions(command).action(async (name: string, options: CommitOptions) => {
    const client = await adminClient(cli);
    const scope = scopeNamed(client.target, options.tenant);
    const known = (await policies(client, scope)).find((policy) => policy.name === name);
    if (!known) throw new Failure(`${scope} has no policy ${name} that revokes tokens`);
    if (!known.isPure) throw new Failure(`policy ${name} says more: take \`revocations\` out of it and apply it`);
    const refs = [{ kind: 'Policy', tenant: scope, name }];
    await commitChange(cli, client, { scope, delete: refs, message: `revocation ${name} lifted` }, options);
  });
}

function listCommand(cli: Cli): Command {
  return new Command('list')
    .description('List revocations of tokens.')
    .option('-t, --tenant <name>', 'tenant')
    .addOption(outputOption())
    .addHelpText('after', examples(['signalbox revoke list -o json', 'for scripts']))
    .action(async ({ tenant, output }: { readonly tenant?: string; readonly output: Format }) => {
      const client = await adminClient(cli);
      const scope = scopeNamed(client.target, tenant);
      const found = await policies(client, scope);
      await emit(cli, output, {
        data: found.map(({ name, revision, revocations }) => ({ tenant: scope, policy: name, revision, revocations })),
        table: (paint) =>
          found.length === 0
            ? `no token is revoked in ${scope}\n`
            : renderTable(
                ['policy', 'tokens', 'issuer', 'issued before', 'revision', 'reason'],
                found.flatMap(rowsOf),
                paint,
              ),
      });
    });
}

interface Revoked {
  readonly issuer?: string;
  readonly tokenIds?: readonly string[];
  readonly subjects?: readonly string[];
  readonly issuedBefore?: string;
  readonly reason?: string;
}

interface RevokingPolicy {
  readonly name: string;
  readonly revision: string;
  readonly revocations: readonly JsonObject[];
  /** The policy says nothing else. */
  readonly isPure: boolean;
}

async function policies(client: AdminClient, scope: string): Promise<readonly RevokingPolicy[]> {
  const { resources } = await client.config.list({ scope, kind: 'Policy' });
  return resources.flatMap(revokingPolicy).toSorted((a, b) => a.name.localeCompare(b.name));
}

function revokingPolicy({ document, revision }: Resource): RevokingPolicy[] {
  const spec = document?.spec as { revocations?: readonly JsonObject[] } | undefined;
  if (!document || !spec?.revocations) return [];
  const isPure = Object.keys(spec).length === 2;
  return [{ name: document.name, revision: String(revision), revocations: spec.revocations, isPure }];
}

function rowsOf({ name, revision, revocations }: RevokingPolicy): string[][] {
  return revocations.map((each) => {
    const { issuer = 'any', tokenIds = [], subjects = [], issuedBefore = '-', reason = '' } = each as Revoked;
    const tokens = [...tokenIds.map((id) => `jti ${id}`), ...subjects.map((subject) => `sub ${subject}`)];
    return [name, tokens.join(', ') || 'all', issuer, issuedBefore, revision, reason];
  });
}
