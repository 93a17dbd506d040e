import { sendFederated } from '../federation/send-federated.ts';
import { AnswerHandles, mayAnswerHandles } from '../handles/answer-handles.ts';
import { clientAnswer } from '../handles/client-answer.ts';
import type { ScannedMessage, Span } from '../json/message.ts';
import { Answer } from '../mcp/answer.ts';
import { AnswerRewriter } from '../mcp/answer-rewriter.ts';
import type { Standing } from '../mcp/authorization.ts';
import type { Call } from '../mcp/call.ts';
import { cancelElsewhere, cancelledForUpstream, cancelledMethod } from '../mcp/cancelled.ts';
import type { Era } from '../mcp/codec/codec.ts';
import { endings, refusals } from '../mcp/errors.ts';
import { Forwarded } from '../mcp/forwarded.ts';
import { GetStream } from '../mcp/get-stream.ts';
import { GuardedHandler } from '../mcp/guarded-handler.ts';
import type { RouteState } from '../mcp/route-state.ts';
import { resumeStream } from '../resume/resume-stream.ts';
import { ownServerId, type ResumePoint } from '../resume/stream-ids.ts';
import { splice, spliceAscii } from '../mcp/splice.ts';
import { listenFilter } from '../mcp/subscriptions-listen.ts';
import { answerTerminated, Termination } from '../mcp/terminate.ts';
import { modernHeaders, postRequest, sessionRequest, withTrace } from '../mcp/upstream-request.ts';
import type { Credential } from '../session/credential.ts';
import type { Session } from '../session/sessions.ts';
import { refuse, type Step } from './step.ts';

/**
 * Sends the message on, under an id of the gateway's. From here on the answer drives the call: it inspects what comes
 * back (mcp/answer.ts) and ends the call, which records it. Always the last phase.
 */
export function sendUpstream(call: Call): Step | Promise<Step> {
  if (call.exchange.closed) {
    call.endUnanswered(0, endings.clientGone);
    return 'stop';
  }
  const point = call.kind === 'get' ? call.services.resumption.pointOf(call) : undefined;
  if (point === 'foreign') return refuse(call, refusals.eventsGone);
  if (point) return resume(call, point);
  if (call.route?.entry.mcp.federation) {
    sendFederated(call);
    return 'stop';
  }
  switch (call.kind) {
    case 'request':
      return call.era === 'modern' ? sendModern(call) : sendRequest(call);
    case 'notification':
      return sendNotification(call);
    case 'response':
      return forward(call, clientAnswer(call));
    case 'get':
      return openStream(call);
    case 'delete':
      return terminate(call);
    case 'batch':
    case 'none':
      return refuse(call, refusals.internal);
  }
}

/** A modern request to an upstream of the legacy era is marked as such: the bridge between eras takes it from there. */
function sendModern(call: Call): Step | Promise<Step> {
  const route = call.route as RouteState;
  const era = call.services.eras.known(route);
  if (era === 'modern') return sendRequest(call);
  if (era === 'legacy') return sendToLegacy(call);
  return new Promise<Era | undefined>((resolve) => call.services.eras.find(route, resolve)).then((found) => {
    if (call.exchange.closed) call.endUnanswered(0, endings.clientCancelled);
    else if (found === 'modern') return sendRequest(call);
    else if (found === 'legacy') return sendToLegacy(call);
    else return refuse(call, refusals.upstreamUnreachable);
    return 'stop';
  });
}

function sendToLegacy(call: Call): Step {
  call.isForLegacy = true;
  return sendRequest(call);
}

function sendRequest(call: Call): Step {
  const route = call.route as RouteState;
  const { message, services } = call;
  const id = message?.id;
  if (!message || !id) return refuse(call, refusals.internal);
  const standing: Standing = { route, credential: call.credential as Credential };
  const upstreamId = services.requestIds.mint(message.bytes, id, call.subject);
  const handles = mayAnswerHandles(call) ? new AnswerHandles(call, route) : undefined;
  const rewriter = new AnswerRewriter(call, { request: message.bytes, id }, upstreamId, handles);
  const answer = new Answer(call, standing, rewriter);
  call.session?.begin(answer);
  if (call.rule?.special === 'listen') {
    answer.listens = listenFilter(call, message, standing);
    call.edits.push(...answer.listens.edits);
  }
  const body =
    call.edits.length === 0 ? spliceAscii(message.bytes, id, upstreamId) : edited(call, message, id, upstreamId);
  call.exchange.onClientGone(() => answer.clientGone());
  const request = postRequest(call, route, requestHeaders(call), body);
  call.watchTables(answer);
  answer.upstream = services.upstream.dispatch(request, new GuardedHandler(call, answer));
  return 'stop';
}

function edited(call: Call, { bytes }: ScannedMessage, id: Span, upstreamId: string): Buffer {
  return splice(
    bytes,
    [...call.edits, { ...id, text: upstreamId }].toSorted((a, b) => a.start - b.start),
  );
}

function requestHeaders(call: Call): readonly string[] {
  if (call.era === 'modern') return modernHeaders(call);
  return withTrace(call, call.session?.headers ?? initializeHeaders);
}

const initializeHeaders: readonly string[] = [
  ...['Content-Type', 'application/json', 'Accept', 'application/json, text/event-stream'],
];

function sendNotification(call: Call): Step {
  if (call.method !== cancelledMethod) return forward(call, call.body as Buffer);
  const cancelled = cancelledForUpstream(call);
  if (cancelled) return forward(call, cancelled.body);
  cancelElsewhere(call);
  call.respond(202, [], undefined);
  return 'stop';
}

function forward(call: Call, body: Buffer): Step {
  call.exchange.onClientGone(() => call.end(endings.clientGone));
  const request = postRequest(call, call.route as RouteState, requestHeaders(call), body);
  call.services.upstream.dispatch(request, new GuardedHandler(call, new Forwarded(call)));
  return 'stop';
}

/** A client that comes back behind an event that the gateway has numbered. */
async function resume(call: Call, point: ResumePoint): Promise<Step> {
  const standing = { route: call.route as RouteState, credential: call.credential as Credential };
  await resumeStream(call, standing, point, (missed) => void openStream(call, missed));
  return 'stop';
}

/** @param missed events of an earlier stream that it begins with. */
function openStream(call: Call, missed?: readonly string[]): Step {
  const route = call.route as RouteState;
  const stream = new GetStream(call, { route, credential: call.credential as Credential }, missed ?? []);
  call.exchange.onClientGone(() => stream.clientGone());
  const { facts } = call.session as Session;
  if (facts.upstreamId === '') {
    stream.openAlone();
    return 'stop';
  }
  const headers = ['Accept', 'text/event-stream', 'MCP-Protocol-Version', facts.version];
  headers.push('Mcp-Session-Id', facts.upstreamId);
  const resumeAfter = call.exchange.head.header('last-event-id');
  if (resumeAfter !== undefined && !missed) headers.push('Last-Event-ID', ownServerId(resumeAfter));
  const request = sessionRequest(call, route, withTrace(call, headers));
  stream.upstream = call.services.upstream.dispatch(request, new GuardedHandler(call, stream));
  return 'stop';
}

function terminate(call: Call): Step {
  const session = call.session as Session;
  const { upstreamId, version } = session.facts;
  call.services.sessions.end(call.exchange.head.header('mcp-session-id') ?? '', session);
  if (upstreamId === '') {
    answerTerminated(call);
    return 'stop';
  }
  const termination = new Termination(call);
  call.exchange.onClientGone(() => termination.clientGone());
  const headers = ['Mcp-Session-Id', upstreamId, 'MCP-Protocol-Version', version];
  const request = sessionRequest(call, call.route as RouteState, withTrace(call, headers));
  call.services.upstream.dispatch(request, new GuardedHandler(call, termination));
  return 'stop';
}
