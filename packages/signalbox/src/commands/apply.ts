import { create, type JsonObject } from '@bufbuild/protobuf';
import type { ApplyResponse } from '@signalbox/proto/signalbox/admin/v1/config_service_pb.ts';
import { ApplyResponseSchema, Change_Operation } from '@signalbox/proto/signalbox/admin/v1/config_service_pb.ts';
import { Command } from 'commander';
import type { Cli } from '../cli.ts';
import { type AdminClient, adminClient, plain } from '../client/admin-client.ts';
import { apiFailure } from '../client/api-failure.ts';
import { withNewTenants } from '../client/new-tenant.ts';
import type { PropagationOutcome } from '../client/propagation.ts';
import type { StagedOutcome } from '../client/rollout.ts';
import { Failure, usage } from '../failure.ts';
import { resourcesOf } from '../input/apply-request.ts';
import { collect, parseCount, parseDuration } from '../input/option-values.ts';
import { locatedProblem } from '../input/located-problem.ts';
import type { ScopeDocuments } from '../input/resource-files.ts';
import { renderChanges, summariseChanges } from '../output/change-diff.ts';
import { emit, type Format, outputOption } from '../output/emit.ts';
import { style } from '../output/style.ts';
import { failUnlessApplied, watchPropagation } from '../output/watch-propagation.ts';
import { failUnlessStaged, watchStaged } from '../output/watch-staged.ts';
import { examples } from '../output/examples.ts';

interface ApplyOptions {
  readonly file: readonly string[];
  readonly dryRun?: true;
  readonly prune?: true;
  readonly yes?: true;
  readonly confirmRemoval?: true;
  readonly message?: string;
  readonly ifMatch?: number;
  readonly wait: boolean;
  /** Also for a revision that was there before. */
  readonly waitAnyway?: boolean;
  readonly timeout: number;
  readonly output: Format;
}

const details = `
Every scope (the operator's, and each tenant) gets one revision with all of its changes, or none: what a node would refuse is
refused here, with file and line. Then the nodes are watched until each has applied the revision or said why not.
\${env:NAME} in a file is replaced before it is sent.

Exit status: 0 applied everywhere (or nothing to do), 1 refused by the control plane or a node, 3 committed, but a node has not
answered in time or left without an answer.
`;

/** `apply`: commits resources and follows them to the nodes. */
export function applyCommand(cli: Cli): Command {
  return new Command('apply')
    .description('Commit resources and watch them reach every node.')
    .requiredOption('-f, --file <path>', 'file, folder, or - for standard input; may be repeated', collect)
    .option('--dry-run', 'check and show the changes, commit nothing')
    .option('--prune', 'also delete what the scopes have and the files lack')
    .option('-y, --yes', 'delete without asking')
    .option('--confirm-removal', 'removing more than half of a scope is meant')
    .option('-m, --message <text>', 'why; shown in revisions')
    .option('--if-match <revision>', 'only if this is the newest revision (one scope)', parseCount)
    .option(
      '--wait',
      'watch the nodes until all have answered, also if nothing changes; the default after a change',
      true,
    )
    .option('--no-wait', 'do not watch the nodes')
    .option('--timeout <duration>', 'how long to watch the nodes', parseDuration, 30_000)
    .addOption(outputOption())
    .addHelpText(
      'after',
      details +
        examples(
          ['signalbox apply -f deploy/demo', 'a folder'],
          ['signalbox apply -f acme.yaml --dry-run', 'what would change?'],
          ['signalbox apply -f acme/ --prune -m "retire crm"', 'make the tenant equal to the folder'],
          ['signalbox get -o yaml | sed … | signalbox apply -f -', 'change by script'],
        ),
    )
    .action((options: ApplyOptions, command: Command) =>
      apply(cli, { ...options, waitAnyway: command.getOptionValueSource('wait') === 'cli' && options.wait }),
    );
}

/** What happened to one scope. */
interface ScopeResult {
  readonly scope: string;
  readonly response: ApplyResponse;
  readonly propagation: PropagationOutcome | undefined;
  /** Of a revision that reaches nodes in stages. */
  readonly rollout?: StagedOutcome;
}

/** One call of the command. */
interface ApplyCall {
  readonly cli: Cli;
  readonly client: AdminClient;
  readonly options: ApplyOptions;
  readonly inNewTenant: ReturnType<typeof withNewTenants>;
}

async function apply(cli: Cli, options: ApplyOptions): Promise<void> {
  const client = await adminClient(cli);
  const { readResourceFiles } = await import('../input/resource-files.ts');
  const sets = await readResourceFiles(cli, options.file, client.target.file?.variables ?? {});
  if (options.ifMatch !== undefined && sets.length > 1) {
    throw usage(`--if-match guards one scope, the files have ${sets.map(({ scope }) => scope).join(', ')}`);
  }
  const call: ApplyCall = { cli, client, options, inNewTenant: withNewTenants(sets) };
  const results: ScopeResult[] = [];
  for (const set of sets) {
    try {
      results.push(await applyScope(call, set));
    } catch (error) {
      throw explainPartial(error, results, set);
    }
  }
  if (options.output !== 'table') await emit(cli, options.output, { data: results.map(plainResult), table: () => '' });
  const outcomes = results.flatMap(({ scope, propagation }) => (propagation ? [[scope, propagation] as const] : []));
  const staged = results.flatMap(({ scope, rollout }) => (rollout ? [[scope, rollout] as const] : []));
  failUnlessStaged(new Map(staged), options.timeout);
  failUnlessApplied(new Map(outcomes), options.timeout);
}

async function applyScope(call: ApplyCall, set: ScopeDocuments): Promise<ScopeResult> {
  const { cli, client, options, inNewTenant } = call;
  const confirmed = options.prune && !options.dryRun ? await confirmDeletions(call, set) : undefined;
  const ifMatch = options.ifMatch === undefined ? confirmed : BigInt(options.ifMatch);
  const request = {
    ...resourcesOf(set),
    prune: options.prune ?? false,
    dryRun: options.dryRun ?? false,
    confirmRemoval: options.confirmRemoval ?? false,
    requestId: cli.random.uuid(),
    message: options.message ?? '',
    ...(ifMatch === undefined ? {} : { ifMatch }),
  };
  const response = await client.config.apply(request, { signal: cli.interrupted }).catch((error: unknown) => {
    if (!options.dryRun) throw error;
    return create(ApplyResponseSchema, inNewTenant(set, error));
  });
  if (options.output === 'table') showResponse(cli, set, response, options);
  const isWatched = response.committed ? options.wait : options.waitAnyway && !options.dryRun;
  if (!isWatched) return { scope: set.scope, response, propagation: undefined };
  const watched = {
    ...{ scope: set.scope, revision: response.revision, timeoutMs: options.timeout },
    quiet: options.output !== 'table',
  };
  if (response.staged) {
    const rollout = await watchStaged(cli, client, watched);
    return { scope: set.scope, response, propagation: undefined, rollout };
  }
  return { scope: set.scope, response, propagation: await watchPropagation(cli, client, watched) };
}

/** @returns the revision on which the deletions were confirmed: a later one is not touched. */
async function confirmDeletions({ cli, client, options }: ApplyCall, set: ScopeDocuments): Promise<bigint | undefined> {
  if (options.yes) return undefined;
  const { changes, revision } = await client.config.diff(
    { ...resourcesOf(set), prune: true, confirmRemoval: true },
    { signal: cli.interrupted },
  );
  const deleted = changes.filter((change) => change.operation === Change_Operation.DELETE);
  if (deleted.length === 0) return undefined;
  const names = deleted.map(({ kind, name }) => `${kind} ${set.scope}/${name}`).join(', ');
  // Nobody can answer where nobody watches, or when standard input holds the resources.
  if (!cli.out.isTerminal || options.file.includes('-'))
    throw new Failure(`this deletes ${names}: add --yes if that is meant`);
  const answer = await cli.ask(`This deletes ${names}. Go on? [y/N] `);
  if (!/^y(es)?$/i.test(answer.trim())) throw new Failure('nothing was changed');
  return revision;
}

function showResponse(cli: Cli, set: ScopeDocuments, response: ApplyResponse, options: ApplyOptions): void {
  const paint = style(cli.out.colours);
  const summary = summariseChanges(response.changes);
  const where = response.committed
    ? `revision ${response.revision}`
    : `${options.dryRun ? 'dry run on ' : ''}revision ${response.revision}`;
  cli.out.write(`${paint.strong(set.scope)}: ${summary}, ${where}\n`);
  cli.out.write(renderChanges(set.scope, response.changes, paint));
  for (const warning of response.warnings) {
    cli.out.write(`${paint.doubtful('warning:')} ${locatedProblem(set.documents)(warning)}\n`);
  }
}

/** Scopes are committed one after the other: says which were, when a later one is refused. */
function explainPartial(error: unknown, done: readonly ScopeResult[], set: ScopeDocuments): unknown {
  if (!(error instanceof Error) || error.name !== 'ConnectError') return error;
  const failure = apiFailure(error, locatedProblem(set.documents));
  const committed = done.filter(({ response }) => response.committed).map(({ scope }) => scope);
  const note = committed.length > 0 ? `\n  Committed before this: ${committed.join(', ')}.` : '';
  return new Failure(`${set.scope}: ${failure.message}${note}`, 1, { cause: error });
}

function plainResult({ scope, response, propagation, rollout }: ScopeResult) {
  return {
    scope,
    ...(plain(response) as JsonObject),
    ...(propagation
      ? { verdict: propagation.verdict, propagation: propagation.last ? plain(propagation.last) : null }
      : {}),
    ...(rollout
      ? { verdict: rollout.verdict, rollout: rollout.last?.rollout ? plain(rollout.last.rollout) : null }
      : {}),
  };
}
