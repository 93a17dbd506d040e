import type { LimitEntry } from '@signalbox/config';
import { takeLimits } from '../limits/take-limits.ts';
import type { Call } from '../mcp/call.ts';
import { refuseLimited } from '../mcp/limited.ts';
import type { RouteState } from '../mcp/route-state.ts';
import type { Credential } from '../session/credential.ts';
import type { Step } from './step.ts';

/** Takes what a call uses up of its limits. Methods of the protocol itself use up nothing. */
export function reserve(call: Call): Step {
  const { entry } = call.route as RouteState;
  const limits = limitsOf(call, entry);
  if (limits.length === 0 || !call.subject) return 'continue';
  const { principal } = call.credential as Credential;
  const taken = takeLimits(call.services, limits, {
    ...{ principal: principal.id, route: entry.name },
    tool: call.subject.kind === 'tool' ? call.toolName : '',
  });
  if (taken.exceeded) {
    refuseLimited(call, taken.exceeded);
    return 'stop';
  }
  call.held = taken.held;
  return 'continue';
}

/** Those of the route, and at a federation those of the member that the call goes to. */
function limitsOf({ target }: Call, { limits }: RouteState['entry']): readonly LimitEntry[] {
  const ofMember = target?.state.member.limits ?? [];
  return ofMember.length === 0 ? limits : [...limits, ...ofMember];
}
