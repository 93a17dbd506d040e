import type { ForeignPlane, RoutePlace } from '../foreign-plane.ts';
import { probeEnvoy } from './capability.ts';
import { routeProblems } from './check.ts';
import { limitShares, type LimitShares } from './rate-limits.ts';
import { enforce } from './rules.ts';

const shares = new WeakMap<RoutePlace, LimitShares>();

function sharesOf(place: RoutePlace): LimitShares {
  const known = shares.get(place) ?? limitShares(place.gateway, place.routes);
  shares.set(place, known);
  return known;
}

/** A stock Envoy. */
export const envoyPlane: ForeignPlane = {
  name: 'envoy',
  routeProblems: (route, place) => routeProblems(route, enforce(route), sharesOf(place)),
  differences:
    'enforces calls, but shows lists of tools, prompts and resources as they are, does not bind sessions to callers and ' +
    'writes no outcome events',
  probe: probeEnvoy,
};
