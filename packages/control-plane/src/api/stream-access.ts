import { Code, ConnectError, type HandlerContext } from '@connectrpc/connect';
import type { Clock } from '@signalbox/runtime';

import { authenticate, type Identifier } from './authenticate.ts';

export interface StreamAccessOptions {
  readonly tokens: Identifier;
  readonly clock: Clock;
  /** How often the caller of an open stream is checked again, in milliseconds. */
  readonly recheckMs: number;
}

/** The right of a caller to a stream, for as long as the stream lasts. */
export interface OpenAccess extends Disposable {
  /** Aborts when the caller has left, the process stops, or the right is gone. */
  readonly signal: AbortSignal;
  /** @throws ConnectError saying why the stream ends early, if it does: an end without one would look like the last state. */
  check(): void;
}

/** Whoever loses his token while a stream is open loses the stream: it was authenticated when it began, that is all. */
export class StreamAccess {
  readonly #options: StreamAccessOptions;

  constructor(options: StreamAccessOptions) {
    this.#options = options;
  }

  open(context: Pick<HandlerContext, 'signal' | 'requestHeader'>): OpenAccess {
    const { tokens, clock, recheckMs } = this.#options;
    const lost = new AbortController();
    const recheck = () => {
      authenticate(tokens, context.requestHeader.get('authorization') ?? undefined).catch((error: unknown) => {
        // That the database cannot be asked is no reason to end anything.
        if (error instanceof ConnectError && error.code === Code.Unauthenticated) lost.abort(error);
      });
    };
    const checking = clock.interval(recheckMs, recheck);
    const signal = AbortSignal.any([context.signal, lost.signal]);
    return {
      signal,
      check: () => {
        if (signal.reason instanceof ConnectError) throw signal.reason;
      },
      [Symbol.dispose]: () => checking[Symbol.dispose](),
    };
  }
}
