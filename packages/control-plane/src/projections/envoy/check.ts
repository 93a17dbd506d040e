import type { OperatorTable, Problem, RouteEntry, TenantTable } from '@signalbox/config';
import { unenforceable } from '../foreign-plane.ts';
import { limitGaps, limitShares, type LimitShares } from './rate-limits.ts';
import { type Enforcement, enforce } from './rules.ts';
import { backendOf } from './upstream.ts';

/** What a stock Envoy cannot enforce of a tenant's routes, on gateways that it serves; pauses after each route. */
export function* envoyProblemsSteps(operator: OperatorTable, tenant: TenantTable): Generator<void, readonly Problem[]> {
  const problems: Problem[] = [];
  const shares = sharesOf(operator, tenant);
  for (const route of tenant.routes.values()) {
    const ofGateway = shares.get(route.gateway);
    if (!ofGateway) continue;
    problems.push(...routeProblems(route, enforce(route), ofGateway));
    yield;
  }
  return problems;
}

/** For each gateway that an Envoy serves, how often a limit of the tenant is kept there. */
function sharesOf(operator: OperatorTable, tenant: TenantTable): ReadonlyMap<string, LimitShares> {
  const gateways = [...operator.gateways.values()].filter(({ dataPlanes }) => dataPlanes.has('envoy'));
  const routes = [...tenant.routes.values()];
  return new Map(
    gateways.map((gateway) => [
      gateway.name,
      limitShares(
        gateway,
        routes.filter((route) => route.gateway === gateway.name),
      ),
    ]),
  );
}

/** By rule and feature, in a fixed order. */
export function routeProblems(
  route: RouteEntry,
  { gaps }: Enforcement,
  shares: LimitShares = new Map(),
): readonly Problem[] {
  const problem = (message: string): Problem => unenforceable(route, 'Envoy', message);
  const backend = new URL(backendOf(route).url);
  return [
    ...(route.authentication.apiKeys.size > 0 ? [problem('Envoy cannot verify API keys by their hash')] : []),
    ...(backend.search === '' ? [] : [problem('Envoy cannot call a backend whose URL has a query')]),
    ...(route.kind === 'a2a' ? [problem('Envoy cannot serve routes of kind a2a')] : []),
    ...[...limitGaps(route, shares)].flatMap(([limit, features]) =>
      features.map((feature) => problem(`Envoy cannot count as ${limit} asks: ${feature}`)),
    ),
    ...[...gaps].flatMap(([rule, features]) =>
      [...features].map((feature) => problem(`Envoy cannot enforce what ${rule} asks: ${feature}`)),
    ),
  ];
}
