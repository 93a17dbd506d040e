import type { UpstreamError, UpstreamHandler, UpstreamHead } from '../upstream/upstream.ts';
import type { Call } from './call.ts';
import { refusals } from './errors.ts';
import { refusalOf } from './upstream-failure.ts';

/** What becomes of a notification or a posted response: 202 when the upstream took it, an error otherwise. */
export class Forwarded implements UpstreamHandler {
  readonly #call: Call;

  constructor(call: Call) {
    this.#call = call;
  }

  onHead({ status }: UpstreamHead): void {
    const call = this.#call;
    const { session, services, exchange } = call;
    if (status >= 200 && status < 300) return void call.respond(202, [], undefined);
    if (status === 404 && session && session.facts.upstreamId !== '') {
      services.sessions.end(exchange.head.header('mcp-session-id') ?? '', session);
      return call.refuse(refusals.sessionUnknown);
    }
    call.refuse(refusals.upstreamFailed, { data: { status } });
  }

  onData(): void {
    // Nothing of it is for the client.
  }

  onEnd(): void {
    if (!this.#call.ended) this.#call.refuse(refusals.upstreamInvalid);
  }

  onError(error: UpstreamError): void {
    if (!this.#call.ended) this.#call.refuse(refusalOf(error));
  }
}
