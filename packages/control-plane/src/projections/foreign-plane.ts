import type { DataPlane, GatewayEntry, OperatorTable, Problem, RouteEntry, TenantTable } from '@signalbox/config';
import type { Probe, Verdict } from './capability.ts';

/** A proxy of others, as far as it has to be said what it cannot do. */
export interface ForeignPlane {
  readonly name: Exclude<DataPlane, 'native'>;
  /** What it cannot enforce of a route, in a fixed order. Such a part of a policy denies there. */
  routeProblems(route: RouteEntry, place: RoutePlace): readonly Problem[];
  /** What is different for all routes that it serves: a sentence without end. */
  readonly differences: string;
  /** Whether it has a feature. */
  probe(probe: Probe): Verdict;
}

/** Where a route is served, and beside which others of its tenant. One for all routes of a gateway. */
export interface RoutePlace {
  readonly gateway: GatewayEntry;
  readonly routes: readonly RouteEntry[];
}

/** What a data plane cannot enforce of a tenant's routes, on gateways that it serves. */
export function planeProblems(plane: ForeignPlane, operator: OperatorTable, tenant: TenantTable): readonly Problem[] {
  const steps = planeProblemsSteps(plane, operator, tenant);
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
  }
}

/** {@link planeProblems}, pausing after each route. */
export function* planeProblemsSteps(
  plane: ForeignPlane,
  operator: OperatorTable,
  tenant: TenantTable,
): Generator<void, readonly Problem[]> {
  const problems: Problem[] = [];
  const all = [...tenant.routes.values()];
  for (const gateway of operator.gateways.values()) {
    if (!gateway.dataPlanes.has(plane.name)) continue;
    const place = { gateway, routes: all.filter((route) => route.gateway === gateway.name) };
    for (const route of place.routes) {
      problems.push(...plane.routeProblems(route, place));
      yield;
    }
  }
  return problems;
}

/** What is different at gateways that a data plane serves, whatever their routes say. */
export function gatewayDifferences(plane: ForeignPlane, operator: OperatorTable): readonly Problem[] {
  return [...operator.gateways.values()]
    .filter(({ dataPlanes }) => dataPlanes.has(plane.name))
    .map(({ name }) => ({
      ...{ severity: 'warning', code: 'unenforceable', kind: 'Gateway', scope: 'operator', name },
      field: 'spec.dataPlanes',
      message: `${plane.name.toUpperCase()} ${plane.differences}; see signalbox external capabilities`,
    }));
}

/** What no other data plane can do. */
export const revokedTokens =
  'cannot tell revoked tokens, and then accepts none: deny them by a rule about principal.claims.jti or principal.subject instead';

/** A problem of a route with a data plane: by the route's own strictness an error or a warning. */
export function unenforceable(route: RouteEntry, plane: string, message: string): Problem {
  const isRestricted = route.unenforceable === 'restrict';
  const advice = isRestricted
    ? 'it denies what depends on that'
    : `change it, or set unenforceable: RESTRICT to have ${plane} deny what depends on it`;
  return {
    severity: isRestricted ? 'warning' : 'error',
    ...{ code: 'unenforceable', kind: 'Route', scope: route.tenant, name: route.name, field: '' },
    message: `${message}; ${advice}`,
  };
}
