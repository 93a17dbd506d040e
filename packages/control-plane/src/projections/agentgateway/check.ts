import type { Problem, RouteEntry } from '@signalbox/config';
import { ratesOf, streamTimeoutProblems, unboundable } from '../call-bounds.ts';
import { revokedTokens, type RoutePlace, unenforceable } from '../foreign-plane.ts';
import { type A2aRouteEntry, isA2a, isCardAtHome } from './a2a.ts';
import { forwardingProblems } from './forwarding.ts';
import { usableKeySet } from './key-sets.ts';
import { divided, type LimitPlaces, limitPlaces, uncountable } from './limits.ts';
import { type Enforcement, enforce, enforceA2a, enforceHttp } from './rules.ts';
import { backendOf } from './upstream.ts';

/** What a stock agentgateway cannot enforce of a route, in a fixed order. */
export function routeProblems(route: RouteEntry, { routes }: Pick<RoutePlace, 'routes'>): readonly Problem[] {
  return messages(route, placesOf(routes)).map((message) => unenforceable(route, 'agentgateway', message));
}

/** Counted once for all routes of a gateway. */
const counted = new WeakMap<readonly RouteEntry[], LimitPlaces>();

function placesOf(routes: readonly RouteEntry[]): LimitPlaces {
  const places = counted.get(routes) ?? limitPlaces(routes);
  counted.set(routes, places);
  return places;
}

/** Whether it gets the route at all: otherwise it denies all of it. */
export function isServed(route: RouteEntry, places: LimitPlaces): boolean {
  return unservable(route, places).length === 0;
}

function messages(route: RouteEntry, places: LimitPlaces): readonly string[] {
  const problems = unservable(route, places);
  if (problems.length > 0) return problems;
  return [
    ...credentialProblems(route),
    ...countingProblems(route, places),
    ...streamTimeoutProblems(route, 'agentgateway'),
    ...(route.kind === 'mcp' ? ruleProblems(enforce(route)) : []),
    ...(route.kind === 'http' || route.kind === 'grpc' ? ruleProblems(enforceHttp(route)) : []),
    ...(isA2a(route) ? ruleProblems(enforceA2a(route, undefined)) : []),
  ];
}

/** Why it cannot serve the route at all, not even more strictly. */
function unservable(route: RouteEntry, places: LimitPlaces): readonly string[] {
  if (route.kind === 'mcp' && route.mcp.federation !== null) {
    return ['agentgateway gets no virtual servers of several members, prefixes or selections from here'];
  }
  return [
    ...(new URL(backendOf(route).url).search === ''
      ? []
      : ['agentgateway cannot call a backend whose URL has a query']),
    ...uncountable(route, places).map(
      ({ id }) =>
        `agentgateway cannot count as ${id} asks: an allowance for each caller or tool, or one too small to share`,
    ),
    ...backendProblems(route),
    ...forwardingProblems(route),
    ...unboundable(route, 'agentgateway'),
    ...(isA2a(route) ? cardProblems(route) : []),
  ];
}

function cardProblems(route: A2aRouteEntry): readonly string[] {
  return isCardAtHome(route)
    ? []
    : ['agentgateway can only rewrite the card of an agent that has a path, and the card below it'];
}

function credentialProblems({ authentication: { jwt, apiKeys, revocations } }: RouteEntry): readonly string[] {
  const keySets = [...jwt.values()].flatMap(({ issuer, jwks }) => {
    const { problem } = usableKeySet(jwks);
    return problem === undefined ? [] : [`${problem}: those of ${issuer}`];
  });
  return [
    ...(revocations ? [`agentgateway ${revokedTokens}`] : []),
    ...(apiKeys.size > 0 && jwt.size > 0 ? ['agentgateway cannot accept API keys beside tokens'] : []),
    ...keySets,
  ];
}

function countingProblems(route: RouteEntry, places: LimitPlaces): readonly string[] {
  return [
    ...divided(route, places).map(
      ({ id }) => `agentgateway cannot count as ${id} asks: one allowance for several routes; each gets an even share`,
    ),
    ...(route.kind === 'mcp' ? ratesOf(route) : []).map(
      ({ id }) => `agentgateway cannot count as ${id} asks: it counts all requests, also those that are no calls`,
    ),
  ];
}

function backendProblems(route: RouteEntry): readonly string[] {
  const { tls, connection } = backendOf(route);
  return [
    ...((tls?.clientCertificate ?? '') === '' ? [] : ['agentgateway has no certificate to show to the backend']),
    ...(connection.idleMs === null
      ? []
      : ['agentgateway does not bound how long connections to the backend are unused']),
    ...(connection.maxConnections === null && connection.maxPending === null
      ? []
      : ['agentgateway does not bound connections to the backend']),
  ];
}

function ruleProblems({ gaps }: Enforcement): readonly string[] {
  return [...gaps].flatMap(([rule, features]) =>
    [...features].map((feature) => `agentgateway cannot enforce what ${rule} asks: ${feature}`),
  );
}
