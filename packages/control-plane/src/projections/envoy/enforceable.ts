import type { RouteEntry } from '@signalbox/config';
import { unboundable } from '../call-bounds.ts';
import { isFederated } from './members.ts';

/** What Envoy has nothing for at all: it denies the whole route. */
export function unenforceableParts(route: RouteEntry): readonly string[] {
  const { requestHeaders, responseHeaders, timeouts } = route.forwarding;
  const isChanged = requestHeaders !== null || responseHeaders !== null;
  const isTimed = timeouts.backendRequestMs !== null || timeouts.idleMs !== null;
  return [
    ...unboundable(route, 'Envoy'),
    ...(isFederated(route) && isChanged ? ['Envoy cannot change header fields for members of a virtual server'] : []),
    ...(isFederated(route) && isTimed
      ? ['Envoy has one timeout for members of a virtual server, timeouts.request']
      : []),
  ];
}
