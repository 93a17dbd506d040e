import type { Federation } from '@signalbox/config';
import { memberValue } from '../json/members.ts';
import type { Span } from '../json/message.ts';
import { type Call, jsonHeaders } from '../mcp/call.ts';
import { legacyCodec } from '../mcp/codec/rev2025-11-25.ts';
import { refusals } from '../mcp/errors.ts';
import type { RouteState } from '../mcp/route-state.ts';
import type { Services } from '../mcp/services.ts';
import { splice, withoutMember } from '../mcp/splice.ts';
import { SharedStateError } from '../nodes/shared-state.ts';
import type { FederationFacts, SessionFacts } from '../session/sealed-session.ts';
import { maxIdLength } from '../session/sealed-session.ts';
import type { Credential } from '../session/credential.ts';
import { proxyVersion } from '../version.ts';
import { FederatedSession, memberFactsOf } from './federated-session.ts';
import { type MemberGreeting, mergeCapabilities, mergeInstructions } from './merge-greetings.ts';
import type { MemberSession } from './member-session.ts';

/**
 * Answers `initialize` of a federation: every member gets a session of its own, and what they can do is put together.
 * Members that do not answer in time are left out, and begun when they are first needed.
 */
export async function answerInitialize(call: Call): Promise<void> {
  const { services } = call;
  const route = call.route as RouteState;
  const federation = route.entry.mcp.federation as Federation;
  const requested = call.version;
  call.version = legacyCodec.versions.includes(requested) ? requested : (legacyCodec.versions[0] as string);
  call.sessionName = services.random.uuid();
  const facts = factsOf(call);
  const federated = new FederatedSession(services, facts);
  const sessions = route.members.map((state) => federated.member(state));
  const outcomes = await Promise.all(sessions.map(async (session) => await session.access()));
  if (call.ended) return abandon(federated, sessions);
  const begun = sessions.filter(({ begun }) => begun);
  if (begun.length === 0) {
    const reasons = outcomes.map((outcome, at) => ({
      member: route.members[at]?.member.key,
      reason: 'message' in outcome ? outcome.message : '',
    }));
    return call.refuse(refusals.membersMissing, { data: { members: reasons } });
  }
  for (const { state, begun: answered } of sessions) federated.answered(state, answered);
  const id = await create(services, facts, begun);
  if (call.ended) return abandon(federated, sessions);
  const session = services.sessions.byName(facts.name);
  if (session) services.federatedSessions.adopt(session, federated);
  const greetings = begun.flatMap(greetingOf);
  const instructions = mergeInstructions(federation, greetings);
  const result = {
    protocolVersion: call.version,
    capabilities: mergeCapabilities(greetings),
    serverInfo: { name: route.entry.mcp.virtualServer, version: proxyVersion },
    ...(instructions === '' ? {} : { instructions }),
  };
  const answer = `{"jsonrpc":"2.0","id":${call.clientId},"result":${JSON.stringify(result)}}`;
  call.respond(200, [...jsonHeaders, 'Mcp-Session-Id', id], answer);
}

/** What a client of `initialize` has said about itself goes to members as it came. */
function factsOf(call: Call): SessionFacts {
  const { services } = call;
  const { entry } = call.route as RouteState;
  return {
    ...{ name: call.sessionName, tenant: entry.tenant, route: entry.name, backend: entry.mcp.sessionKey },
    ...{ principal: (call.credential as Credential).principal.id, version: call.version, upstreamId: '' },
    expiresAt: services.clock.now() + services.limits.sessionMs,
    federation: clientFacts(call),
  };
}

function clientFacts(call: Call): FederationFacts {
  const { message, services } = call;
  const limit = services.limits.federation.capabilitiesBytes;
  const text = (key: string, edit: (bytes: Buffer, span: Span) => Buffer, fallback: string): string => {
    const span = message?.params && memberValue(message.bytes, message.params, key);
    const bytes = message && span && edit(message.bytes, span);
    return bytes === undefined || bytes.length > limit ? fallback : bytes.toString('utf8');
  };
  // Tasks are not carried, in neither direction.
  const withoutTasks = (bytes: Buffer, { start, end }: Span): Buffer => {
    const own = bytes.subarray(start, end);
    return splice(own, withoutMember(own, { start: 0, end: own.length }, 'tasks'));
  };
  return {
    capabilities: text('capabilities', withoutTasks, '{}'),
    clientInfo: text('clientInfo', (bytes, { start, end }) => bytes.subarray(start, end), gatewayInfo),
    members: [],
  };
}

const gatewayInfo = JSON.stringify({ name: 'signalbox', version: proxyVersion });

/** The session's id. What does not fit into it is kept where other nodes find it, as long as that can be done. */
async function create(services: Services, facts: SessionFacts, begun: readonly MemberSession[]): Promise<string> {
  const { federation = noFederation } = facts;
  const whole = { ...facts, federation: { ...federation, members: memberFactsOf(begun) } };
  try {
    return await services.sessions.create(whole);
  } catch (error) {
    if (!(error instanceof SharedStateError)) throw error;
    return services.sessions.create(fitting(facts, begun));
  }
}

const noFederation: FederationFacts = { capabilities: '{}', clientInfo: '{}', members: [] };

/**
 * The facts with the sessions of members, as many as fit into an id. The others are known to this node; another node
 * begins sessions of its own with those members.
 */
function fitting(facts: SessionFacts, begun: readonly MemberSession[]): SessionFacts {
  const { federation = noFederation } = facts;
  const members = [...memberFactsOf(begun)];
  const fixed = JSON.stringify({ ...facts, federation }).length + sealOverhead;
  const size = (): number =>
    members.reduce((sum, { id, backend, version }) => sum + id.length + backend.length + version.length + 12, fixed);
  while (members.length > 0 && size() * base64Growth > maxIdLength) members.pop();
  return { ...facts, federation: { ...federation, members } };
}

const sealOverhead = 64;
const base64Growth = 4 / 3;

function greetingOf({ greeting, state }: MemberSession): MemberGreeting[] {
  if (!greeting) return [];
  const { bytes, result } = greeting;
  const value = (key: string): unknown => {
    const span = memberValue(bytes, result, key);
    return span && (JSON.parse(bytes.toString('utf8', span.start, span.end)) as unknown);
  };
  return [{ member: state.member, capabilities: value('capabilities'), instructions: value('instructions') }];
}

/** The client left before it was told its session. */
function abandon(federated: FederatedSession, sessions: readonly MemberSession[]): void {
  federated.end();
  for (const session of sessions) void session.terminate();
}
