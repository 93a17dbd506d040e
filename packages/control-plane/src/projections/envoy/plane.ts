import type { ForeignPlane } from '../foreign-plane.ts';
import { probeEnvoy } from './capability.ts';
import { envoyProblemsSteps } from './check.ts';

/** A stock Envoy. */
export const envoyPlane: ForeignPlane = {
  name: 'envoy',
  problemsSteps: envoyProblemsSteps,
  differences:
    'enforces calls, but shows lists of tools, prompts and resources as they are, does not bind sessions to callers and ' +
    'writes no outcome events',
  probe: probeEnvoy,
};
