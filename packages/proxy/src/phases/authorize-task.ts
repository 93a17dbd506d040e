import { memberValue, stringValue } from '../json/members.ts';
import { decideFor, taskSubject } from '../mcp/authorization.ts';
import type { Call } from '../mcp/call.ts';
import { metaKeys } from '../mcp/codec/rev2026-07-28.ts';
import { backendDigest } from '../mcp/endpoint.ts';
import { refusals } from '../mcp/errors.ts';
import type { RouteState } from '../mcp/route-state.ts';
import type { Credential } from '../session/credential.ts';
import { refuse, type Step } from './step.ts';

/**
 * May this principal still have the task? Only its own, at a backend of this route, and for as long as policy allows the
 * tool whose call it is; rules that read arguments are asked without any. Every other id is that of an unknown task.
 */
export function authorizeTask(call: Call): Step {
  const { message } = call;
  const route = call.route as RouteState;
  const credential = call.credential as Credential;
  const span = message?.params && memberValue(message.bytes, message.params, 'taskId');
  const id = message && span && stringValue(message.bytes, span);
  if (call.era === 'modern' && !declaresTasks(call)) {
    const data = { requiredCapabilities: { extensions: { [extension]: {} } } };
    return refuse(call, refusals.missingCapability, { data });
  }
  if (span === undefined || id === undefined) {
    return refuse(call, refusals.invalidParams, { message: 'params.taskId must be a string' });
  }
  const place = call.services.handles.openTask(id, credential.principal.id);
  const server = place && [...route.members, route].find(({ backend }) => backendDigest(backend) === place.backend);
  if (!place || !server) return refuse(call, refusals.unknownTask);
  call.toolName = place.tool;
  call.subject = taskSubject(place.tool);
  call.ownName = place.own;
  if ('member' in server) call.target = { state: server, own: place.own };
  else call.edits.push({ ...span, text: JSON.stringify(place.own) });
  const decision = decideFor(call, { route, credential }, call.subject);
  call.decidedBy = decision.rule;
  if (!decision.allowed) return refuse(call, refusals.unknownTask);
  call.decision = 'allow';
  return 'continue';
}

/** The extension is each request's own to declare. */
function declaresTasks({ message }: Call): boolean {
  const bytes = message?.bytes;
  let span = message?.meta;
  for (const key of [metaKeys.clientCapabilities, 'extensions', extension])
    span = bytes && span && memberValue(bytes, span, key);
  return span !== undefined;
}

const extension = 'io.modelcontextprotocol/tasks';
