import { discoveryName, isKind, type Kind, operatorScope, type Problem, scopeOfKind } from '@signalbox/config';
import type { ResourceFault } from '@signalbox/xds';

/** Most faults that are reported of one scope: the first ones say what is wrong. */
const maxFaultsPerScope = 50;

/** The fault of the scope as a whole. These come first in an answer, since an answer holds only so many faults. */
export function wholeFault(scope: string, problems: readonly Problem[]): ResourceFault {
  const reasons = errorsOf(problems).map((problem) => describe(problem, scope));
  return { name: manifestName(scope), error: `the set was refused: ${reasons.join('; ')}` };
}

/** The same problems under the names of the resources that they are about. */
export function faultsByResource(scope: string, problems: readonly Problem[]): readonly ResourceFault[] {
  return errorsOf(problems)
    .filter((problem) => problem.scope === scope && isKind(problem.kind) && belongs(problem.kind, scope))
    .map((problem) => ({
      name: discoveryName({ kind: problem.kind as Kind, scope, name: problem.name }),
      error: problem.field === '' ? problem.message : `${problem.field}: ${problem.message}`,
    }));
}

/** What refuses a set: the first errors among its problems. */
export function errorsOf(problems: readonly Problem[]): readonly Problem[] {
  return problems.filter((problem) => problem.severity === 'error').slice(0, maxFaultsPerScope);
}

/** Whether a kind has resources in the scope: a tenant's own problem may be about its Tenant, which is not. */
function belongs(kind: Kind, scope: string): boolean {
  return (scopeOfKind(kind) === 'operator') === (scope === operatorScope);
}

function describe(problem: Problem, scope: string): string {
  const tenant = problem.scope === scope ? '' : `${problem.scope} `;
  const resource = problem.kind === '' ? '' : `${problem.kind}/${problem.name}`;
  const subject = [`${tenant}${resource}`.trim(), problem.field].filter((part) => part !== '').join(' ');
  return subject === '' ? problem.message : `${subject}: ${problem.message}`;
}

/** Name of a scope's Manifest on the discovery stream. */
export function manifestName(scope: string): string {
  return discoveryName({ kind: 'Manifest', scope, name: 'current' });
}
