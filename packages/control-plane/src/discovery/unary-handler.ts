import { type sendUnaryData, type ServerUnaryCall, status } from '@grpc/grpc-js';
import type { Logger, Metrics } from '@signalbox/runtime';

import { isOutage } from '../store/outage.ts';

/** An error whose text is for the caller. */
export class CallFailure extends Error {
  readonly code: status;

  constructor(code: status, message: string) {
    super(message);
    this.name = 'CallFailure';
    this.code = code;
  }
}

export interface UnaryHandlerKit {
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** The counter of these calls, by method and code. Default: that of relays. */
  readonly questions?: { readonly metric: string; readonly help: string };
}

const ofRelays = { metric: 'signalbox_relay_requests_total', help: 'Questions of relays.' };

/** Answers calls of one method. Failures made for callers keep their text; of all others nothing leaves the process. */
export function unaryHandler<Request, Response>(
  { logger, metrics, questions = ofRelays }: UnaryHandlerKit,
  method: string,
  answer: (call: ServerUnaryCall<Request, Response>) => Promise<Response>,
) {
  const count = (code: string) => metrics.counter(questions.metric, questions.help, { method, code }).add();
  const respond = async (call: ServerUnaryCall<Request, Response>, done: sendUnaryData<Response>) => {
    try {
      const response = await answer(call);
      count('OK');
      done(null, response);
    } catch (error) {
      const { code, message } = asFailure(error);
      count(status[code] ?? '');
      if (code === status.INTERNAL) logger.error('a call was not answered', { method, error: String(error) });
      done({ code, details: message });
    }
  };
  return (call: ServerUnaryCall<Request, Response>, done: sendUnaryData<Response>) => void respond(call, done);
}

function asFailure(error: unknown): CallFailure {
  if (error instanceof CallFailure) return error;
  if (isOutage(error)) return new CallFailure(status.UNAVAILABLE, 'the database does not answer: try again');
  return new CallFailure(status.INTERNAL, 'internal error: the control plane has logged it');
}
