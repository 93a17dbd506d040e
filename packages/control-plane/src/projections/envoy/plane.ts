import type { ForeignPlane } from '../foreign-plane.ts';
import { probeEnvoy } from './capability.ts';
import { routeProblems } from './check.ts';
import { enforce } from './rules.ts';

/** A stock Envoy. */
export const envoyPlane: ForeignPlane = {
  name: 'envoy',
  routeProblems: (route) => (route.kind === 'mcp' ? routeProblems(route, enforce(route)) : []),
  differences:
    'enforces calls, but shows lists of tools, prompts and resources as they are, does not bind sessions to callers and ' +
    'writes no outcome events',
  probe: probeEnvoy,
};
