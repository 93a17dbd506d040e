import type { Problem, RouteEntry } from '@signalbox/config';
import { unenforceable } from '../foreign-plane.ts';
import { type A2aRouteEntry, isA2a, isCardAtHome } from './a2a.ts';
import { forwardingProblems } from './forwarding.ts';
import { usableKeySet } from './key-sets.ts';
import { isOfRoute } from './limits.ts';
import { type Enforcement, enforce, enforceA2a } from './rules.ts';
import { backendOf } from './upstream.ts';

/** What a stock agentgateway cannot enforce of a route, in a fixed order. */
export function routeProblems(route: RouteEntry): readonly Problem[] {
  return messages(route).map((message) => unenforceable(route, 'agentgateway', message));
}

/** Whether it gets the route at all: otherwise it denies all of it. */
export function isServed(route: RouteEntry): boolean {
  return unservable(route).length === 0;
}

function messages(route: RouteEntry): readonly string[] {
  const problems = unservable(route);
  if (problems.length > 0) return problems;
  return [
    ...credentialProblems(route),
    ...(route.kind === 'mcp' ? [...countingProblems(route), ...ruleProblems(enforce(route))] : []),
    ...(isA2a(route) ? ruleProblems(enforceA2a(route, undefined)) : []),
  ];
}

/** Why it cannot serve the route at all, not even more strictly. */
function unservable(route: RouteEntry): readonly string[] {
  if (route.kind !== 'mcp' && !isA2a(route)) return [`agentgateway gets no routes of kind ${route.kind} from here`];
  if (route.kind === 'mcp' && route.mcp.federation !== null) {
    return ['agentgateway gets no virtual servers of several members, prefixes or selections from here'];
  }
  return [
    ...(new URL(backendOf(route).url).search === ''
      ? []
      : ['agentgateway cannot call a backend whose URL has a query']),
    ...limitProblems(route),
    ...backendProblems(route),
    ...(isA2a(route) ? [...cardProblems(route), ...forwardingProblems(route)] : []),
  ];
}

function cardProblems(route: A2aRouteEntry): readonly string[] {
  return isCardAtHome(route)
    ? []
    : ['agentgateway can only rewrite the card of an agent that has a path, and the card below it'];
}

function credentialProblems({ authentication: { jwt, apiKeys } }: RouteEntry): readonly string[] {
  const keySets = [...jwt.values()].flatMap(({ issuer, jwks }) => {
    const { problem } = usableKeySet(jwks);
    return problem === undefined ? [] : [`${problem}: those of ${issuer}`];
  });
  return [
    ...(apiKeys.size > 0 && jwt.size > 0 ? ['agentgateway cannot accept API keys beside tokens'] : []),
    ...keySets,
  ];
}

/** Without the limit it would let more calls through. */
function limitProblems({ limits }: RouteEntry): readonly string[] {
  const others = limits.filter((limit) => !isOfRoute(limit));
  return others.map(({ id }) => `agentgateway counts ${id} by route only: per: [ROUTE]`);
}

function countingProblems({ limits }: RouteEntry): readonly string[] {
  return limits.map(
    ({ id }) => `agentgateway counts for ${id} all requests of the route, also those that are no calls`,
  );
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
