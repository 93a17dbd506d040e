import type { ForwardRouteEntry, RouteEntry } from '@signalbox/config';

/** A route that leads to an agent. */
export type A2aRouteEntry = ForwardRouteEntry & { readonly kind: 'a2a' };

/** Where the card of an agent is, below its endpoint. */
export const cardSuffix = '/.well-known/agent-card.json';

export function isA2a(route: RouteEntry): route is A2aRouteEntry {
  return route.kind === 'a2a';
}

/**
 * Whether agentgateway can tell callers where the agent is: it takes what stands in the card relative to the place of the
 * card.
 */
export function isCardAtHome({ backend }: A2aRouteEntry): boolean {
  const base = new URL(backend.url).pathname;
  return base !== '/' && new URL(backend.cardUrl).pathname === `${base}${cardSuffix}`;
}
