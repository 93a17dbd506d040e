import { argsFromJson, decide, type Decision, type DecisionInput, type McpSubject } from '@signalbox/config';
import { openBrace } from '../json/bytes.ts';
import type { Credential } from '../session/credential.ts';
import type { Call } from './call.ts';
import type { RouteState } from './route-state.ts';

/** Under which route and identity something is decided: those of the request, or after a swap those of a stream. */
export interface Standing {
  readonly route: RouteState;
  readonly credential: Credential;
}

/** The one way to a decision, for lists and calls, at first and after every swap. */
export function decideFor(call: Call, standing: Standing, subject: McpSubject): Decision {
  return decide(standing.route.entry.authorization, inputOf(call, standing, subject));
}

/**
 * Whom the request is about, from its body. Arguments are parsed only for rules that read them.
 * @returns undefined when the parameters do not say it, or are not what the method needs.
 */
export function subjectOf(call: Call, standing: Standing): McpSubject | undefined {
  const { message, rule } = call;
  if (!message || !rule) return undefined;
  if (message.args && message.bytes[message.args.start] !== openBrace) return undefined;
  switch (rule.subject) {
    case 'tool':
      return message.name === undefined ? undefined : toolSubject(call, standing, message.name);
    case 'prompt':
      return message.name === undefined ? undefined : { kind: 'prompt', name: message.name };
    case 'resource':
      return message.uri === undefined ? undefined : { kind: 'resource', uri: message.uri };
    case 'none':
      return undefined;
  }
}

/** What an entry of a list is about. */
export function listedSubject(kind: 'tool' | 'prompt' | 'resource', name: string): McpSubject {
  return kind === 'resource' ? { kind, uri: name } : { kind, name };
}

function toolSubject(call: Call, standing: Standing, name: string): McpSubject | undefined {
  if (!standing.route.entry.authorization.readsArgs) return { kind: 'tool', name, args: noArgs };
  const { args, bytes } = call.message as NonNullable<Call['message']>;
  const parsed = args ? argsFromJson(bytes.toString('utf8', args.start, args.end)) : noArgs;
  return parsed && { kind: 'tool', name, args: parsed };
}

const noArgs: ReadonlyMap<string, unknown> = new Map();

function inputOf(call: Call, standing: Standing, subject: McpSubject): DecisionInput {
  const { entry } = standing.route;
  const { head } = call.exchange;
  return {
    principal: standing.credential.principal,
    tenant: entry.tenant,
    backend: entry.mcp.member.backend.name,
    subject,
    mcp: { method: call.method, era: call.era === 'modern' ? 'modern' : 'legacy', version: call.version },
    request: { host: head.host, path: head.path },
    session: call.sessionName,
    nowMs: call.services.clock.now(),
  };
}
