import type { Problem, RouteEntry } from '@signalbox/config';
import { streamTimeoutProblems } from '../call-bounds.ts';
import { revokedTokens, unenforceable } from '../foreign-plane.ts';
import { unenforceableParts } from './enforceable.ts';
import { isFederated, memberProblems } from './members.ts';
import { limitGaps, type LimitShares } from './rate-limits.ts';
import type { Enforcement } from './rules.ts';
import { backendOf } from './upstream.ts';

/** What a stock Envoy cannot enforce of a route, by rule and feature, in a fixed order. */
export function routeProblems(
  route: RouteEntry,
  { gaps }: Enforcement,
  shares: LimitShares = new Map(),
): readonly Problem[] {
  const problem = (message: string): Problem => unenforceable(route, 'Envoy', message);
  const backend = new URL(backendOf(route).url);
  return [
    ...(route.authentication.apiKeys.size > 0 ? [problem('Envoy cannot verify API keys by their hash')] : []),
    ...(route.authentication.revocations ? [problem(`Envoy ${revokedTokens}`)] : []),
    ...(route.kind === 'mcp' ? memberProblems(route).map(problem) : []),
    ...(isFederated(route) || backend.search === ''
      ? []
      : [problem('Envoy cannot call a backend whose URL has a query')]),
    ...unenforceableParts(route).map(problem),
    ...streamTimeoutProblems(route, 'Envoy').map(problem),
    ...(route.kind === 'a2a' ? [problem('Envoy cannot rewrite the card of an agent, and does not serve it')] : []),
    ...[...limitGaps(route, shares)].flatMap(([limit, features]) =>
      features.map((feature) => problem(`Envoy cannot count as ${limit} asks: ${feature}`)),
    ),
    ...[...gaps].flatMap(([rule, features]) =>
      [...features].map((feature) => problem(`Envoy cannot enforce what ${rule} asks: ${feature}`)),
    ),
  ];
}
