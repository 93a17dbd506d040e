import type { Problem, RouteEntry } from '@signalbox/config';
import { unenforceable } from '../foreign-plane.ts';
import { usableKeySet } from './key-sets.ts';
import { enforce } from './rules.ts';

/** What a stock agentgateway cannot enforce of a route, in a fixed order. */
export function routeProblems(route: RouteEntry): readonly Problem[] {
  const { jwt, apiKeys } = route.authentication;
  const keySetProblems = [...jwt.values()].flatMap(({ issuer, jwks }) => {
    const { problem } = usableKeySet(jwks);
    return problem === undefined ? [] : [`${problem}: those of ${issuer}`];
  });
  const url = new URL(route.mcp.member.backend.url);
  return [
    ...(apiKeys.size > 0 && jwt.size > 0 ? ['agentgateway cannot accept API keys beside tokens'] : []),
    ...keySetProblems,
    ...(url.search === '' ? [] : ['agentgateway cannot call a backend whose URL has a query']),
    ...[...enforce(route).gaps].flatMap(([rule, features]) =>
      [...features].map((feature) => `agentgateway cannot enforce what ${rule} asks: ${feature}`),
    ),
  ].map((message) => unenforceable(route, 'agentgateway', message));
}
