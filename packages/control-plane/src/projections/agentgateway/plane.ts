import type { ForeignPlane } from '../foreign-plane.ts';
import { probeAgentgateway } from './capability.ts';
import { problemsSteps } from './check.ts';

/** A stock agentgateway. */
export const agentgatewayPlane: ForeignPlane = {
  name: 'agentgateway',
  problemsSteps,
  differences: 'enforces calls and filters lists, but does not bind sessions to callers and writes no outcome events',
  probe: probeAgentgateway,
};
