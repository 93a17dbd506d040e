import type { ScannedMessage } from '../json/message.ts';
import type { Call } from '../mcp/call.ts';
import { refusals } from '../mcp/errors.ts';
import { paramHeaderFault } from '../mcp/param-headers.ts';
import type { RouteState } from '../mcp/route-state.ts';
import { refuse, type Step } from './step.ts';

/**
 * Arguments that travel as headers too must be the same there: others may have routed the call by them. Known of tools
 * that this node has seen in a list; of any other its server says so.
 */
export function checkParamHeaders(call: Call): Step {
  const { era, method, services, target, toolName, exchange } = call;
  if (era !== 'modern' || method !== 'tools/call') return 'continue';
  const server = target?.state ?? (call.route as RouteState);
  const params = services.paramHeaders.of(server.backend.key, target?.own ?? toolName);
  if (params.length === 0) return 'continue';
  const { bytes, args } = call.message as ScannedMessage;
  const fault = paramHeaderFault(params, bytes, args, (name) => exchange.head.header(name));
  return fault === undefined ? 'continue' : refuse(call, refusals.headerMismatch, { message: fault });
}
