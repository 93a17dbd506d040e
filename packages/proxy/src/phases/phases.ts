import { createForwarder } from '../forward/forwarder.ts';
import type { Exchange } from '../http/exchange.ts';
import { Call } from '../mcp/call.ts';
import { endings } from '../mcp/errors.ts';
import { fail } from '../mcp/guarded-handler.ts';
import { endIdleSessions } from '../mcp/idle-sessions.ts';
import { endWithdrawnSessions } from '../mcp/withdrawn-sessions.ts';
import { createServices, type RequestPathDeps } from '../mcp/services.ts';
import { admit } from './admit.ts';
import { admitSession } from './admit-session.ts';
import { authenticate } from './authenticate.ts';
import { authorize } from './authorize.ts';
import { checkParamHeaders } from './check-param-headers.ts';
import { classify } from './classify.ts';
import { openHandles } from './open-handles.ts';
import { openSseClient } from './open-sse-client.ts';
import { readBody } from './read-body.ts';
import { reserve } from './reserve.ts';
import { sendUpstream } from './send-upstream.ts';
import { splitBatch } from './split-batch.ts';
import { unwrapCall } from '../tool-search/unwrap-call.ts';
import type { Phase } from './step.ts';

/**
 * What every request goes through, in this order. Each phase goes on or ends the call; what the upstream answers is
 * inspected on its way back (mcp/answer.ts), and the end of the call, wherever it comes, records its outcome
 * (mcp/call.ts). The session comes after the era, because only the legacy era has one.
 */
const phases: readonly Phase[] = [
  admit, // pin the table, find the route
  authenticate, // who calls, before anything of the body is read
  readBody, // bounded
  classify, // strict parse, once; era and kind of message, or the exact error
  (call) => openSseClient(call, (more) => run(new Call(call.services, more), 0)), // 2024-11-05, where it is served
  admitSession, // legacy: open the sealed session, bound to this principal and route
  (call) => splitBatch(call, (item) => run(new Call(call.services, item), 0)), // each message by itself
  (call) => (unwrapCall(call) ? 'continue' : 'stop'), // tool search: call_tool becomes the call that it stands for
  authorize, // the one decide()
  checkParamHeaders, // what headers repeat of arguments
  openHandles, // what a server gave for the retry, back in its own words
  reserve, // a token of every limit
  sendUpstream, // under our own id; the answer ends the call
];

/** What answers every request that passed the gate. */
export interface RequestHandler {
  /** Never throws, and ends each request in exactly one outcome event. */
  readonly handle: (exchange: Exchange) => void;
  /** The node stops, and no request is left: servers are told what nobody will come back for. */
  leave(): Promise<void>;
}

export function createRequestHandler(deps: RequestPathDeps): RequestHandler {
  const services = createServices(deps, (exchange, admission, entry) => serve(exchange, admission, entry));
  const serve = createForwarder(services);
  endIdleSessions(services);
  endWithdrawnSessions(services);
  return {
    handle: (exchange) => run(new Call(services, services.sseClients.exchangeOf(exchange)), 0),
    leave: services.leave,
  };
}

function run(call: Call, from: number): void {
  try {
    for (let i = from; i < phases.length; i += 1) {
      const step = (phases[i] as Phase)(call);
      if (step === 'continue') continue;
      if (step !== 'stop') resume(call, i + 1, step);
      return;
    }
  } catch (error) {
    fail(call, error);
  }
}

/** Goes on when a phase that had to wait is done, unless the client left meanwhile. */
function resume(call: Call, next: number, step: Promise<'continue' | 'stop'>): void {
  step.then(
    (said) => {
      if (said === 'stop' || call.ended) return;
      if (call.exchange.closed) call.endUnanswered(0, endings.clientGone);
      else run(call, next);
    },
    (error: unknown) => fail(call, error),
  );
}
