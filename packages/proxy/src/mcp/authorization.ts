import {
  argsFromJson,
  decide,
  decideForMember,
  type Decision,
  type DecisionInput,
  type FederatedMember,
  type Federation,
  type McpRouteEntry,
  type McpSubject,
  resolveName,
  unwrapUri,
} from '@signalbox/config';
import { openBrace } from '../json/bytes.ts';
import type { Credential } from '../session/credential.ts';
import type { Call } from './call.ts';
import type { RouteState } from './route-state.ts';

/** Under which route and identity something is decided: those of the request, or after a swap those of a stream. */
export interface Standing {
  readonly route: RouteState;
  readonly credential: Credential;
}

/** A subject as a member of a federation has it. */
export interface OwnSubject {
  readonly member: FederatedMember;
  readonly subject: McpSubject;
}

/** The one way to a decision, for lists and calls, at first and after every swap. */
export function decideFor(call: Call, standing: Standing, subject: McpSubject): Decision {
  const { authorization, mcp } = standing.route.entry;
  if (mcp.federation === null) {
    return decide(authorization, inputOf(call, standing, subject, mcp.member.backend.name));
  }
  return decideAmong(call, standing, subject, ownSubjects(call, mcp.federation, subject));
}

/** {@link decideFor} about what is known to be one member's. */
export function decideOfMember(call: Call, standing: Standing, subject: McpSubject, own: OwnSubject): Decision {
  const { authorization } = standing.route.entry;
  const input = inputOf(call, standing, subject, own.member.backend.name);
  return decideForMember(authorization, own.member.authorization, input, own.subject);
}

/** A name that several members may have is allowed if it is, whosever it is. */
function decideAmong(call: Call, standing: Standing, subject: McpSubject, owners: readonly OwnSubject[]): Decision {
  let decision = nobodys;
  for (const own of owners) {
    decision = decideOfMember(call, standing, subject, own);
    if (!decision.allowed) return decision;
  }
  return decision;
}

const nobodys: Decision = Object.freeze({ allowed: false, rule: '', reason: 'no member presents it' });

function ownSubjects(call: Call, federation: Federation, subject: McpSubject): readonly OwnSubject[] {
  if (subject.kind === 'resource') {
    const found = unwrapUri(federation, subject.uri);
    return found ? [{ member: found.member, subject: { ...subject, uri: found.uri } }] : [];
  }
  const found = resolveName(federation, subject.kind === 'tool' ? 'tools' : 'prompts', subject.name);
  const owner = call.target?.state.member.key;
  const chosen = found.length > 1 && owner !== undefined ? found.filter(({ member }) => member.key === owner) : found;
  return chosen.map(({ member, name }) => ({ member, subject: { ...subject, name } }));
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
    case 'task':
      return call.subject;
    case 'none':
      return undefined;
  }
}

/** What a task is about: the tool whose call it is. */
export function taskSubject(tool: string): McpSubject {
  return { kind: 'tool', name: tool, args: noArgs };
}

/** What an entry of a list is about. */
export function listedSubject(kind: 'tool' | 'prompt' | 'resource', name: string): McpSubject {
  return kind === 'resource' ? { kind, uri: name } : { kind, name };
}

function toolSubject(call: Call, standing: Standing, name: string): McpSubject | undefined {
  if (!readsArgs(standing.route.entry)) return { kind: 'tool', name, args: noArgs };
  const { args, bytes } = call.message as NonNullable<Call['message']>;
  const parsed = args ? argsFromJson(bytes.toString('utf8', args.start, args.end)) : noArgs;
  return parsed && { kind: 'tool', name, args: parsed };
}

function readsArgs({ authorization, mcp }: McpRouteEntry): boolean {
  return authorization.readsArgs || (mcp.federation?.members.some((member) => member.authorization.readsArgs) ?? false);
}

const noArgs: ReadonlyMap<string, unknown> = new Map();

function inputOf(call: Call, standing: Standing, subject: McpSubject, backend: string): DecisionInput {
  const { entry } = standing.route;
  const { head } = call.exchange;
  return {
    principal: standing.credential.principal,
    ...{ tenant: entry.tenant, backend, subject },
    // What search finds is what a list would show.
    mcp: {
      method: call.metaTool ? 'tools/list' : call.method,
      era: call.era === 'modern' ? 'modern' : 'legacy',
      version: call.version,
    },
    request: { host: head.host, path: head.path },
    session: call.sessionName,
    nowMs: call.services.clock.now(),
  };
}
