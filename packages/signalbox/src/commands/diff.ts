import { create } from '@bufbuild/protobuf';
import type { DiffResponse } from '@signalbox/proto/signalbox/admin/v1/config_service_pb.ts';
import { DiffResponseSchema } from '@signalbox/proto/signalbox/admin/v1/config_service_pb.ts';
import { Problem_Severity } from '@signalbox/proto/signalbox/admin/v1/resource_pb.ts';
import { Command } from 'commander';
import type { Cli } from '../cli.ts';
import { adminClient, plain } from '../client/admin-client.ts';
import { apiFailure } from '../client/api-failure.ts';
import { withNewTenants } from '../client/new-tenant.ts';
import { Failure } from '../failure.ts';
import { resourcesOf } from '../input/apply-request.ts';
import { collect } from '../input/option-values.ts';
import { locatedProblem } from '../input/located-problem.ts';
import type { ScopeDocuments } from '../input/resource-files.ts';
import { renderChanges, summariseChanges } from '../output/change-diff.ts';
import { emit, type Format, outputOption } from '../output/emit.ts';
import { examples } from '../output/examples.ts';

interface DiffOptions {
  readonly file: readonly string[];
  readonly prune?: true;
  readonly output: Format;
}

/** `diff`: what apply would change, with the exit status of diff(1). */
export function diffCommand(cli: Cli): Command {
  return new Command('diff')
    .description('Show what apply would change.')
    .requiredOption('-f, --file <path>', 'file, folder, or - for standard input; may be repeated', collect)
    .option('--prune', 'also show what would be deleted because the files lack it')
    .addOption(outputOption())
    .addHelpText(
      'after',
      '\nExit status, as that of diff: 0 no changes, 1 changes, 2 trouble (files or control plane).\n' +
        examples(
          ['signalbox diff -f deploy/demo', 'a folder against the newest revisions'],
          ['signalbox diff -f acme.yaml >/dev/null || echo drift', 'in a script'],
        ),
    )
    .action(async (options: DiffOptions) => {
      const changed = await diff(cli, options).catch((error: unknown) => {
        throw trouble(error);
      });
      if (changed) throw new Failure('', 1);
    });
}

function trouble(error: unknown): Failure {
  if (error instanceof Error && error.name === 'ConnectError') return new Failure(apiFailure(error).message, 2);
  return new Failure(error instanceof Error ? error.message : String(error), 2);
}

async function diff(cli: Cli, options: DiffOptions): Promise<boolean> {
  const client = await adminClient(cli);
  const { readResourceFiles } = await import('../input/resource-files.ts');
  const sets = await readResourceFiles(cli, options.file, client.target.file?.variables ?? {});
  const inNewTenant = withNewTenants(sets);
  const found: { readonly set: ScopeDocuments; readonly response: DiffResponse }[] = [];
  for (const set of sets) {
    const request = { ...resourcesOf(set), prune: options.prune ?? false, confirmRemoval: true };
    const response = await client.config
      .diff(request, { signal: cli.interrupted })
      .catch((error: unknown) => create(DiffResponseSchema, inNewTenant(set, error)));
    found.push({ set, response });
  }
  await emit(cli, options.output, {
    data: found.map(({ set, response }) => ({ scope: set.scope, ...(plain(response) as object) })),
    table: (style) =>
      found
        .map(({ set: { scope }, response }) => {
          const head = `${style.strong(scope)}: ${summariseChanges(response.changes)}, on revision ${response.revision}\n`;
          return head + renderChanges(scope, response.changes, style);
        })
        .join(''),
  });
  const errors = found.flatMap(({ set, response }) =>
    response.problems
      .filter((problem) => problem.severity !== Problem_Severity.WARNING)
      .map((problem) => locatedProblem(set.documents)(problem)),
  );
  if (errors.length > 0) throw new Failure(`apply would be refused:\n  ${errors.join('\n  ')}`);
  return found.some(({ response }) => response.changes.length > 0);
}
