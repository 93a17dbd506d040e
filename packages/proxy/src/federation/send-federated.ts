import type { Standing } from '../mcp/authorization.ts';
import type { Call, CallTarget } from '../mcp/call.ts';
import { endings, refusals } from '../mcp/errors.ts';
import { fail } from '../mcp/guarded-handler.ts';
import type { RouteState } from '../mcp/route-state.ts';
import type { Credential } from '../session/credential.ts';
import { answerMetaTool } from '../tool-search/answer-meta-tool.ts';
import { parameterHeaders } from '../tool-search/parameter-headers.ts';
import { answerDiscover } from './answer-discover.ts';
import { answerInitialize } from './answer-initialize.ts';
import { answerList } from './answer-list.ts';
import { callMember, completeAtMember, unsubscribe } from './call-member.ts';
import { FederatedListen } from './federated-listen.ts';
import { FederatedStream } from './federated-stream.ts';
import { answerEmpty, forwardNotification, forwardResponse, setLevel, terminate } from './session-messages.ts';

/** Sends a message to the members of a federation: to the one that it is for, or to all. Ends the call in the end. */
export function sendFederated(call: Call): void {
  switch (call.kind) {
    case 'request':
      return sendRequest(call);
    case 'notification':
      // The modern era has none over HTTP but those that its members need not hear.
      return call.era === 'modern' ? void call.respond(202, [], undefined) : forwardNotification(call);
    case 'response':
      return forwardResponse(call);
    case 'get':
      return new FederatedStream(call, standingOf(call)).open();
    case 'delete':
      return later(call, terminate(call));
    case 'batch':
    case 'none':
      return call.refuse(refusals.internal);
  }
}

function sendRequest(call: Call): void {
  const { rule } = call;
  if (call.metaTool) return later(call, answerMetaTool(call));
  if (rule?.list) return later(call, answerList(call, rule.list));
  switch (call.method) {
    case 'initialize':
      return later(call, answerInitialize(call));
    case 'server/discover':
      return later(call, answerDiscover(call));
    case 'ping':
      return answerEmpty(call);
    case 'logging/setLevel':
      return later(call, setLevel(call));
    case 'completion/complete':
      return later(call, completeAtMember(call));
    case 'resources/unsubscribe':
      return unsubscribe(call);
    case 'subscriptions/listen':
      return new FederatedListen(call, standingOf(call)).open();
    default:
      if (!call.target) return call.refuse(refusals.internal);
      return call.isUnwrapped && call.era === 'modern'
        ? later(call, callUnwrapped(call, call.target))
        : callMember(call);
  }
}

/** The headers that the client would have sent had it known the tool. */
async function callUnwrapped(call: Call, target: CallTarget): Promise<void> {
  const headers = await parameterHeaders(call, target);
  if (!call.ended) callMember(call, headers);
}

/** The answer is made while others are waited for; a client that leaves meanwhile ends the call. */
function later(call: Call, work: Promise<void>): void {
  call.exchange.onClientGone(() => call.endUnanswered(0, endings.clientGone));
  work.catch((error: unknown) => fail(call, error));
}

function standingOf(call: Call): Standing {
  return { route: call.route as RouteState, credential: call.credential as Credential };
}
