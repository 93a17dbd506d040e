import { Code, type Interceptor } from '@connectrpc/connect';
import type { Clock, Logger, Metrics } from '@signalbox/runtime';

import { toConnectError } from './errors.ts';

/**
 * Counts and times every RPC, and turns what a service throws into what a caller may see. Labels are methods and codes
 * only: nothing that a caller sends.
 */
export function observed(options: {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
}): Interceptor {
  const { clock, logger, metrics } = options;
  const record = (method: string, startedAt: number, code: string) => {
    metrics.counter('signalbox_api_requests_total', 'Requests of the admin API.', { method, code }).add();
    const seconds = (clock.monotonic() - startedAt) / 1_000;
    metrics
      .histogram('signalbox_api_request_seconds', 'Duration of requests of the admin API.', { method })
      .observe(seconds);
  };
  const fail = (method: string, startedAt: number, error: unknown) => {
    const failure = toConnectError(error);
    record(method, startedAt, Code[failure.code]);
    if (failure.code === Code.Internal) logger.error('request failed', { method, error: describe(error) });
    return failure;
  };
  return (next) => async (request) => {
    const startedAt = clock.monotonic();
    const { name } = request.method;
    try {
      const response = await next(request);
      if (!response.stream) {
        record(name, startedAt, 'ok');
        return response;
      }
      return { ...response, message: observedStream(response.message, (error) => fail(name, startedAt, error)) };
    } catch (error) {
      throw fail(name, startedAt, error);
    }
  };
}

async function* observedStream<T>(messages: AsyncIterable<T>, fail: (error: unknown) => Error): AsyncGenerator<T> {
  try {
    yield* messages;
  } catch (error) {
    throw fail(error);
  }
}

/** For the log: an error with where it came from. */
function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
