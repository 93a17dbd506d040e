import type { Call } from '../mcp/call.ts';
import { refuseLimited } from '../mcp/limited.ts';
import type { RouteState } from '../mcp/route-state.ts';
import type { Credential } from '../session/credential.ts';
import type { Step } from './step.ts';

/** Takes what a call uses up of its limits. Methods of the protocol itself use up nothing. */
export function reserve(call: Call): Step {
  const { entry } = call.route as RouteState;
  if (entry.limits.length === 0 || !call.subject) return 'continue';
  const { principal } = call.credential as Credential;
  const exceeded = call.services.rateLimit.take(entry.limits, {
    ...{ principal: principal.id, route: entry.name },
    tool: call.subject.kind === 'tool' ? call.toolName : '',
  });
  if (!exceeded) return 'continue';
  refuseLimited(call, exceeded);
  return 'stop';
}
