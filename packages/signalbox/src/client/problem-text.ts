import type { Problem } from '@signalbox/proto/signalbox/admin/v1/resource_pb.ts';
import { printable } from '../output/printable.ts';

/** A problem without a file: `Route acme/assistant spec.gateway: message`. */
export function renderProblem(problem: Pick<Problem, 'kind' | 'tenant' | 'name' | 'field' | 'message'>): string {
  const name = problem.tenant ? `${problem.tenant}/${problem.name}` : problem.name;
  const place = [problem.kind, name, problem.field].filter((part) => part !== '').join(' ');
  return printable(place ? `${place}: ${problem.message}` : problem.message);
}
