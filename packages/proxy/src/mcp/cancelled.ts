import { sendToMember } from '../federation/member-exchange.ts';
import { memberValue } from '../json/members.ts';
import type { NodeCalls } from '../nodes/node-calls.ts';
import type { InFlight, Sessions } from '../session/sessions.ts';
import type { UpstreamHandler } from '../upstream/upstream.ts';
import type { Call } from './call.ts';
import { spliceAscii } from './splice.ts';
import { postRequest } from './upstream-request.ts';

export const cancelledMethod = 'notifications/cancelled';

/** A client's `notifications/cancelled` as the upstream knows the request. */
interface Cancelled {
  readonly body: Buffer;
  readonly request: InFlight;
}

/**
 * @returns undefined when the id is unknown, finished, another session's, or in flight more than once: then nothing is
 * cancelled.
 */
export function cancelledForUpstream(call: Call): Cancelled | undefined {
  const { message, session } = call;
  const requestId = message?.params && memberValue(message.bytes, message.params, 'requestId');
  if (!message || !requestId || !session) return undefined;
  const { start, end } = requestId;
  const request = session.inFlight(message.bytes.toString('utf8', start, end));
  return request && { body: spliceAscii(message.bytes, requestId, request.upstreamId), request };
}

/** The request may be in flight at another node: whoever has it tells its upstream. */
export function cancelElsewhere({ message, session, services }: Call): void {
  const requestId = message?.params && memberValue(message.bytes, message.params, 'requestId');
  if (!message || !requestId || !session) return;
  const id = message.bytes.toString('utf8', requestId.start, requestId.end);
  services.nodeCalls.tell(cancelledMethod, JSON.stringify([session.facts.name, id]));
}

/** Hears of cancellations of requests that may be in flight here. */
export function hearCancellations(nodeCalls: NodeCalls, sessions: Sessions): void {
  nodeCalls.hear(cancelledMethod, (text) => {
    const [name, id] = JSON.parse(text) as [string, string];
    sessions.byName(name)?.inFlight(id)?.cancel();
  });
}

/** Tells a legacy upstream that nobody waits for a request any more. What it answers does not matter. */
export function cancelUpstream(call: Call, upstreamId: string): void {
  const { session, route, services } = call;
  if (!session || !route) return;
  const params = `{"requestId":${upstreamId},"reason":"withdrawn by the gateway"}`;
  const body = Buffer.from(`{"jsonrpc":"2.0","method":"${cancelledMethod}","params":${params}}`);
  if (call.leg) {
    const request = { verb: 'POST', method: cancelledMethod, body, repeatable: true } as const;
    return void sendToMember(services, call.leg, request, ignored);
  }
  services.upstream.dispatch(postRequest(call, route, session.headers, body), ignored);
}

const ignored: UpstreamHandler = {
  onHead: () => undefined,
  onData: () => undefined,
  onEnd: () => undefined,
  onError: () => undefined,
};
