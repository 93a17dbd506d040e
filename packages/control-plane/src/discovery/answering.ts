import { status } from '@grpc/grpc-js';
import type { Counter } from '@signalbox/runtime';
import { CallFailure, type UnaryCall } from '@signalbox/xds';

import { isOutage } from '../store/outage.ts';

export interface Answering {
  /** What counts calls that end so, by the name of a status. */
  readonly counter: (code: string) => Counter;
  /** Told of each call that fails, before the caller is. */
  readonly onFailure: (failure: CallFailure, peer: string, cause: unknown) => void;
}

/** Counts calls and what becomes of them. Failures made for callers keep their text; of all others nothing leaves the process. */
export function answering<Request, Response>(
  { counter, onFailure }: Answering,
  answer: (call: UnaryCall<Request>) => Promise<Response>,
) {
  return async (call: UnaryCall<Request>): Promise<Response> => {
    try {
      const response = await answer(call);
      counter('OK').add();
      return response;
    } catch (error) {
      const failure = asFailure(error);
      counter(status[failure.code] ?? '').add();
      onFailure(failure, call.peer, error);
      throw failure;
    }
  };
}

function asFailure(error: unknown): CallFailure {
  if (error instanceof CallFailure) return error;
  if (isOutage(error)) return new CallFailure(status.UNAVAILABLE, 'the database does not answer: try again');
  return new CallFailure(status.INTERNAL, 'internal error: the control plane has logged it');
}
