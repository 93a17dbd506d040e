import type { OperatorTable, Problem, TenantTable } from '@signalbox/config';
import { agentgatewayPlane } from './agentgateway/plane.ts';
import { envoyPlane } from './envoy/plane.ts';
import { type ForeignPlane, gatewayDifferences, planeProblemsSteps } from './foreign-plane.ts';

/** The data planes of others that there are, in the order in which they are shown. */
export const foreignPlanes: readonly ForeignPlane[] = [envoyPlane, agentgatewayPlane];

/** What the data planes of its gateways cannot enforce of a tenant's routes. Asked before a write is committed. */
export function* unenforceableSteps(operator: OperatorTable, tenant: TenantTable): Generator<void, readonly Problem[]> {
  const problems: Problem[] = [];
  for (const plane of foreignPlanes) problems.push(...(yield* planeProblemsSteps(plane, operator, tenant)));
  return problems;
}

/** What is different at gateways that are served by data planes of others. */
export function differencesOf(operator: OperatorTable): readonly Problem[] {
  return foreignPlanes.flatMap((plane) => gatewayDifferences(plane, operator));
}
