import type { RouteEntry } from '@signalbox/config';
import { unboundable } from '../call-bounds.ts';
import { speaksHttpSse } from '../foreign-plane.ts';
import { isFederated, presentsMembers } from './members.ts';
import { backendsOf } from './upstream.ts';

/** Whether it serves the route. A query of a backend would get lost, and so would what members are called. */
export function canServe(route: RouteEntry): boolean {
  if (!presentsMembers(route) || unenforceableParts(route).length > 0) return false;
  return backendsOf(route).every(({ url }) => new URL(url).search === '');
}

/** What Envoy has nothing for at all: it denies the whole route. */
export function unenforceableParts(route: RouteEntry): readonly string[] {
  const { requestHeaders, responseHeaders, timeouts } = route.forwarding;
  const isChanged = requestHeaders !== null || responseHeaders !== null;
  const isTimed = timeouts.backendRequestMs !== null || timeouts.idleMs !== null;
  return [
    ...unboundable(route, 'Envoy'),
    ...(speaksHttpSse(route) ? ['Envoy cannot call an MCP server over HTTP+SSE'] : []),
    ...(isFederated(route) && isChanged ? ['Envoy cannot change header fields for members of a virtual server'] : []),
    ...(isFederated(route) && isTimed
      ? ['Envoy has one timeout for members of a virtual server, timeouts.request']
      : []),
  ];
}
