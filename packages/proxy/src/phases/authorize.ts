import type { Decision, McpSubject } from '@signalbox/config';
import { locate, type Located } from '../federation/locate.ts';
import { decideFor, type Standing, subjectOf } from '../mcp/authorization.ts';
import type { Call } from '../mcp/call.ts';
import type { MethodRule } from '../mcp/codec/codec.ts';
import { legacyCodec } from '../mcp/codec/rev2025-11-25.ts';
import { modernCodec } from '../mcp/codec/rev2026-07-28.ts';
import { refusals } from '../mcp/errors.ts';
import type { RouteState } from '../mcp/route-state.ts';
import type { Credential } from '../session/credential.ts';
import { authorizeTask } from './authorize-task.ts';
import { refuse, type Step } from './step.ts';

/**
 * May this principal do what the body says? Methods of the protocol itself are everyone's who is authenticated; tools,
 * prompts and resources are a matter of policy. What policy refuses is answered as if it did not exist.
 */
export function authorize(call: Call): Step | Promise<Step> {
  const quarantine = call.route?.entry.authorization.quarantine;
  // The end of a session may still be told.
  if (quarantine && call.kind !== 'delete') return refuseQuarantined(call, quarantine);
  switch (call.kind) {
    case 'request':
      return authorizeRequest(call);
    case 'notification':
      // A request without an id would take effect on an upstream that is not strict.
      if (!call.method.startsWith('notifications/')) return refuse(call, refusals.notAMessage);
      return allow(call);
    case 'response':
    case 'batch':
    case 'get':
    case 'delete':
    case 'none':
      return allow(call);
  }
}

function authorizeRequest(call: Call): Step | Promise<Step> {
  const { rule } = call;
  if (!rule) return refuse(call, call.era === 'modern' ? refusals.unknownModernMethod : refusals.unknownMethod);
  if (rule.subject === 'none') return allow(call);
  if (rule.subject === 'task') return authorizeTask(call);
  return call.metaTool ? allowMetaTool(call, call.metaTool) : authorizeSubject(call, rule);
}

/** A tool of the gateway's own shows what the caller may see, and does nothing. It counts like any other. */
function allowMetaTool(call: Call, name: string): Step {
  call.toolName = name;
  call.subject = { kind: 'tool', name };
  return allow(call);
}

function authorizeSubject(call: Call, rule: MethodRule): Step | Promise<Step> {
  const standing = { route: call.route as RouteState, credential: call.credential as Credential };
  if (rule.subject !== 'resource') call.toolName = call.message?.name ?? '';
  const subject = subjectOf(call, standing);
  if (!subject) {
    const what = rule.subject === 'resource' ? 'params.uri' : 'params.name';
    return refuse(call, refusals.invalidParams, { message: `${what} must be a string, params.arguments an object` });
  }
  call.subject = subject;
  if (standing.route.entry.mcp.federation === null) return decideOn(call, rule, standing, subject);
  const located = locate(call, subject.kind, subject.kind === 'resource' ? subject.uri : subject.name);
  if (!(located instanceof Promise)) return decideAt(call, rule, standing, located);
  return located.then((found) => decideAt(call, rule, standing, found));
}

/** At a federation a name leads to a member first, whose rules count as well. */
function decideAt(call: Call, rule: MethodRule, standing: Standing, located: Located): Step {
  if (located === 'unknown') return refuse(call, refusals.membersMissing);
  if (located === 'nobody') return refuseAsUnknown(call, rule);
  call.target = located;
  return decideOn(call, rule, standing, call.subject as McpSubject);
}

function decideOn(call: Call, rule: MethodRule, standing: Standing, subject: McpSubject): Step {
  const decision = decideFor(call, standing, subject);
  call.decidedBy = decision.rule;
  if (decision.allowed) return allow(call);
  const quarantine = call.target?.state.member.authorization.quarantine;
  return quarantine ? refuseQuarantined(call, quarantine) : refuseAsUnknown(call, rule);
}

/** Said as such: that a server is in quarantine is no secret, and nothing is told of what it has. */
function refuseQuarantined(call: Call, { rule }: Decision): Step {
  call.decision = 'deny';
  call.decidedBy = rule;
  return refuse(call, refusals.quarantined);
}

function allow(call: Call): Step {
  call.decision = 'allow';
  return 'continue';
}

function refuseAsUnknown(call: Call, rule: MethodRule): Step {
  const name = call.toolName;
  call.decision = 'deny';
  if (rule.subject === 'tool') return refuse(call, refusals.unknownTool, { message: `Unknown tool: ${name}` });
  if (rule.subject === 'prompt') return refuse(call, refusals.unknownPrompt, { message: `Unknown prompt: ${name}` });
  const { unknownResourceCode } = call.era === 'modern' ? modernCodec : legacyCodec;
  return refuse(call, { ...refusals.unknownResource, code: unknownResourceCode }, { data: { uri: call.message?.uri } });
}
