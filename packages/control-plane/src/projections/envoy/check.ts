import { type OperatorTable, type Problem, type RouteEntry, type TenantTable } from '@signalbox/config';
import { type Enforcement, enforce } from './rules.ts';

/**
 * What a stock Envoy cannot enforce of a tenant's routes, on gateways that it serves. Such a part of a policy denies
 * there; by the route's own strictness that is an error or a warning. Called before a write is committed.
 */
export function checkEnvoy(operator: OperatorTable, tenant: TenantTable): readonly Problem[] {
  const steps = checkEnvoySteps(operator, tenant);
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
  }
}

/** {@link checkEnvoy}, pausing after each route. */
export function* checkEnvoySteps(operator: OperatorTable, tenant: TenantTable): Generator<void, readonly Problem[]> {
  const problems: Problem[] = [];
  for (const route of tenant.routes.values()) {
    if (!operator.gateways.get(route.gateway)?.dataPlanes.has('envoy')) continue;
    problems.push(...routeProblems(route, enforce(route)));
    yield;
  }
  return problems;
}

/** What is different at gateways that an Envoy serves, whatever their routes say. */
export function checkEnvoyGateways(operator: OperatorTable): readonly Problem[] {
  return [...operator.gateways.values()]
    .filter(({ dataPlanes }) => dataPlanes.has('envoy'))
    .map(({ name }) => ({
      ...{ severity: 'warning', code: 'unenforceable', kind: 'Gateway', scope: 'operator', name },
      field: 'spec.dataPlanes',
      message:
        'ENVOY enforces calls, but shows lists of tools, prompts and resources as they are, does not bind sessions to ' +
        'callers and writes no outcome events; see signalbox external capabilities',
    }));
}

/** By rule and feature, in a fixed order. */
export function routeProblems(route: RouteEntry, { gaps }: Enforcement): readonly Problem[] {
  const problem = (message: string): Problem => ({
    severity: route.unenforceable === 'restrict' ? 'warning' : 'error',
    ...{ code: 'unenforceable', kind: 'Route', scope: route.tenant, name: route.name, field: '' },
    message: `${message}; ${advice(route)}`,
  });
  const backend = new URL(route.mcp.member.backend.url);
  return [
    ...(route.authentication.apiKeys.size > 0 ? [problem('Envoy cannot verify API keys by their hash')] : []),
    ...(route.mcp.federation === null ? [] : [problem('Envoy cannot present the members of a virtual server as one')]),
    ...(backend.search === '' ? [] : [problem('Envoy cannot call a backend whose URL has a query')]),
    ...[...gaps].flatMap(([rule, features]) =>
      [...features].map((feature) => problem(`Envoy cannot enforce what ${rule} asks: ${feature}`)),
    ),
  ];
}

function advice({ unenforceable }: RouteEntry): string {
  if (unenforceable === 'restrict') return 'it denies what depends on that';
  return 'change it, or set unenforceable: RESTRICT to have Envoy deny what depends on it';
}
