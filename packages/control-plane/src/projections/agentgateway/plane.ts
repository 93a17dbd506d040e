import type { ForeignPlane } from '../foreign-plane.ts';
import { probeAgentgateway } from './capability.ts';
import { routeProblems } from './check.ts';

/** A stock agentgateway. */
export const agentgatewayPlane: ForeignPlane = {
  name: 'agentgateway',
  routeProblems,
  differences: 'enforces calls and filters lists, but does not bind sessions to callers and writes no outcome events',
  probe: probeAgentgateway,
};
