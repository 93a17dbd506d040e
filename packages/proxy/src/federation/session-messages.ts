import { memberValue } from '../json/members.ts';
import { relatedTaskEdits } from '../handles/client-answer.ts';
import type { ScannedMessage, Span } from '../json/message.ts';
import { type Call, jsonHeaders } from '../mcp/call.ts';
import { cancelElsewhere, cancelledForUpstream, cancelledMethod } from '../mcp/cancelled.ts';
import { refusals } from '../mcp/errors.ts';
import { Forwarded } from '../mcp/forwarded.ts';
import { GuardedHandler } from '../mcp/guarded-handler.ts';
import type { RouteState } from '../mcp/route-state.ts';
import { splice, spliceText } from '../mcp/splice.ts';
import { askFor } from './ask-list.ts';
import { federatedSession } from './legs.ts';
import { ignored } from './member-events.ts';
import { sendToMember } from './member-exchange.ts';
import type { MemberLeg } from './member-leg.ts';

/** `logging/setLevel` is for every member that logs; members that begin later hear it then. */
export async function setLevel(call: Call): Promise<void> {
  const message = call.message as ScannedMessage;
  const { bytes, params } = message;
  const level = params && memberValue(bytes, params, 'level');
  if (!level) return call.refuse(refusals.invalidParams, { message: 'params.level is required' });
  const session = federatedSession(call);
  session.level = bytes.toString('utf8', level.start, level.end);
  const { members } = call.route as RouteState;
  const logging = session.begun(members).filter((member) => member.has('logging'));
  await Promise.all(
    logging.map(({ state }) => askFor(call, state, call.method, (id) => spliceText(bytes, message.id as Span, id))),
  );
  answerEmpty(call);
}

/** The gateway is there, whatever its members are. */
export function answerEmpty(call: Call): void {
  call.respond(200, jsonHeaders, `{"jsonrpc":"2.0","id":${call.clientId},"result":{}}`);
}

/** A client's answer to a member's request goes to that member, under the id that it gave. */
export function forwardResponse(call: Call): void {
  const { bytes, id } = call.message as ScannedMessage;
  const leg = id && memberOf(call, id);
  // Nobody has asked this: it is an answer of another session, or made up.
  if (!id || !leg) return call.refuse(refusals.invalidParams, { message: 'No request of this session has this id' });
  const edits = [...relatedTaskEdits(call), { ...id, text: leg.id }];
  forward(
    call,
    leg.leg,
    splice(
      bytes,
      edits.toSorted((a, b) => a.start - b.start),
    ),
  );
}

/** A client's notification: about one request or answer to the member that is meant, any other to all. */
export function forwardNotification(call: Call): void {
  const { bytes, params } = call.message as ScannedMessage;
  if (call.method === 'notifications/initialized') return accept(call);
  if (call.method === cancelledMethod) return forwardCancelled(call);
  if (call.method === 'notifications/progress') {
    const token = params && memberValue(bytes, params, 'progressToken');
    const leg = token && memberOf(call, token);
    return token && leg ? forward(call, leg.leg, spliceText(bytes, token, leg.id)) : accept(call);
  }
  const { members } = call.route as RouteState;
  const request = { verb: 'POST', method: call.method, body: call.body, repeatable: true } as const;
  for (const member of federatedSession(call).begun(members)) sendToMember(call.services, member, request, ignored);
  accept(call);
}

function forwardCancelled(call: Call): void {
  const cancelled = cancelledForUpstream(call);
  if (cancelled?.request.leg) return forward(call, cancelled.request.leg, cancelled.body);
  cancelElsewhere(call);
  accept(call);
}

/** The member that an id, or progress token, was minted for. */
function memberOf(call: Call, { start, end }: Span): { readonly leg: MemberLeg; readonly id: string } | undefined {
  const { services, message, sessionName } = call;
  const found = services.memberIds.read(sessionName, message?.bytes.toString('utf8', start, end) ?? '');
  const { members } = call.route as RouteState;
  const state = found && members.find(({ member }) => member.key === found.member);
  return state && found && { leg: federatedSession(call).member(state), id: found.id };
}

function forward(call: Call, leg: MemberLeg, body: Buffer): void {
  const request = { verb: 'POST', method: call.method, body, repeatable: false } as const;
  call.leg = leg;
  sendToMember(call.services, leg, request, new GuardedHandler(call, new Forwarded(call)));
}

function accept(call: Call): void {
  call.respond(202, [], undefined);
}

/** Ends the session here and at every member; the client hears of it when all have been told. */
export async function terminate(call: Call): Promise<void> {
  const { services, exchange } = call;
  const federated = federatedSession(call);
  const { members } = call.route as RouteState;
  const begun = federated.begun(members);
  federated.end();
  if (call.session) services.sessions.end(exchange.head.header('mcp-session-id') ?? '', call.session);
  await Promise.all(begun.map((member) => member.terminate()));
  call.respond(204, [], undefined);
}
