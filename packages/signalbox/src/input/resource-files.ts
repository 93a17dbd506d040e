import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import {
  decodeDocument,
  findDuplicates,
  operatorScope,
  parseResourceFile,
  type Problem,
  type SourceDocument,
  withLocations,
} from '@signalbox/config';
import type { Cli } from '../cli.ts';
import { Failure } from '../failure.ts';
import { printable } from '../output/printable.ts';
import { resourcePaths } from './resource-paths.ts';

/** The documents of one scope, which are committed together. */
export interface ScopeDocuments {
  /** Tenant name, or `operator`. */
  readonly scope: string;
  readonly documents: readonly SourceDocument[];
}

/**
 * Reads and checks what `-f` names. Scopes come in the order in which they must be committed: the operator's first,
 * then tenants by name.
 * @param variables values of `${env:NAME}` references that the environment does not have
 * @throws Failure listing every problem with file, line and field
 */
export async function readResourceFiles(
  cli: Cli,
  given: readonly string[],
  variables: Readonly<Record<string, string>>,
): Promise<readonly ScopeDocuments[]> {
  const paths = await resourcePaths(cli.cwd, given);
  const variable = (name: string) => cli.environment[name] ?? variables[name];
  const documents: SourceDocument[] = [];
  const problems: Problem[] = [];
  for (const path of paths) {
    const text = path === '-' ? await cli.readInput() : await readText(cli.cwd, path);
    const parsed = parseResourceFile(text, { file: path === '-' ? 'standard input' : path, variables: variable });
    documents.push(...parsed.documents);
    problems.push(...parsed.problems);
  }
  problems.push(...checkDocuments(documents));
  const errors = problems.filter((problem) => problem.severity === 'error');
  if (errors.length > 0) throw new Failure(describeProblems(errors));
  if (documents.length === 0) throw new Failure(`${given.join(', ')}: no resources in there`);
  return byScope(documents);
}

/** What is wrong with documents that can be seen without the control plane. */
function checkDocuments(documents: readonly SourceDocument[]): readonly Problem[] {
  const problems = documents.flatMap((document) => withLocations(decodeDocument(document).problems, [document]));
  // Of two that are alike, the later one is shown.
  return [...problems, ...withLocations(findDuplicates(documents), documents.toReversed())];
}

/** One line a problem: `file:line spec.field: message`. */
function describeProblems(problems: readonly Problem[]): string {
  const lines = [...new Set(problems.map(describeProblem))];
  const heading = lines.length === 1 ? '1 problem, nothing was sent:' : `${lines.length} problems, nothing was sent:`;
  return [heading, ...lines.map((line) => `  ${line}`)].join('\n');
}

function describeProblem(problem: Problem): string {
  const file = problem.file === undefined ? '' : `${problem.file}:${problem.line ?? 1}`;
  const subject = problem.field || [problem.kind, problem.name].filter((part) => part !== '').join(' ');
  const place = [file, subject].filter((part) => part !== '').join(' ');
  return printable(place ? `${place}: ${problem.message}` : problem.message);
}

/** Groups documents by scope, the operator's first. */
function byScope(documents: readonly SourceDocument[]): readonly ScopeDocuments[] {
  const groups = Map.groupBy(documents, (document) => document.tenant || operatorScope);
  const order = (scope: string) => (scope === operatorScope ? '' : scope);
  return [...groups]
    .map(([scope, inScope]) => ({ scope, documents: inScope }))
    .toSorted((one, other) => (order(one.scope) < order(other.scope) ? -1 : 1));
}

async function readText(cwd: string, path: string): Promise<string> {
  try {
    return await readFile(resolve(cwd, path), 'utf8');
  } catch (error) {
    throw new Failure(`${path} cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
}
