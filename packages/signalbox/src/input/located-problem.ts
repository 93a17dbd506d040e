import type { SourceDocument } from '@signalbox/config';
import type { Problem } from '@signalbox/proto/signalbox/admin/v1/resource_pb.ts';
import { renderProblem } from '../client/problem-text.ts';
import { printable } from '../output/printable.ts';

/** A problem that the API reports, at its place in the local files: `file:line spec.field: message`. */
export function locatedProblem(
  documents: readonly SourceDocument[],
): (problem: Pick<Problem, 'kind' | 'tenant' | 'name' | 'field' | 'message'>) => string {
  return (problem) => {
    const document = documents.find(
      ({ kind, name, tenant }) => kind === problem.kind && name === problem.name && sameTenant(tenant, problem.tenant),
    );
    // About something that the files do not have, such as a resource that still refers to a deleted one.
    if (!document) return renderProblem(problem);
    const { file, line } = document.locate(problem.field);
    const field = problem.field || `${problem.kind} ${problem.name}`;
    return printable(`${file}:${line} ${field}: ${problem.message}`);
  };
}

function sameTenant(local: string, reported: string): boolean {
  return local === reported || (local === '' && reported === 'operator');
}
