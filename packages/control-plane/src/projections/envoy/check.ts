import type { Problem, McpRouteEntry } from '@signalbox/config';
import { unenforceable } from '../foreign-plane.ts';
import type { Enforcement } from './rules.ts';

/** What a stock Envoy cannot enforce of a route, by rule and feature, in a fixed order. */
export function routeProblems(route: McpRouteEntry, { gaps }: Enforcement): readonly Problem[] {
  const problem = (message: string): Problem => unenforceable(route, 'Envoy', message);
  const backend = new URL(route.mcp.member.backend.url);
  return [
    ...(route.authentication.apiKeys.size > 0 ? [problem('Envoy cannot verify API keys by their hash')] : []),
    ...(backend.search === '' ? [] : [problem('Envoy cannot call a backend whose URL has a query')]),
    ...[...gaps].flatMap(([rule, features]) =>
      [...features].map((feature) => problem(`Envoy cannot enforce what ${rule} asks: ${feature}`)),
    ),
  ];
}
