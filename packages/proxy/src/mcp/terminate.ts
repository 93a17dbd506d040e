import type { UpstreamHandler } from '../upstream/upstream.ts';
import type { Call } from './call.ts';
import { endings } from './errors.ts';

/** Answers DELETE once the upstream has been told. Whatever it says, the session is over here. */
export class Termination implements UpstreamHandler {
  readonly #call: Call;

  constructor(call: Call) {
    this.#call = call;
  }

  onHead(): void {
    answerTerminated(this.#call);
  }

  onData(): void {
    // Nothing of it is for the client.
  }

  onEnd(): void {
    answerTerminated(this.#call);
  }

  onError(): void {
    answerTerminated(this.#call);
  }

  /** The client need not wait for the answer to what has happened anyway. */
  clientGone(): void {
    this.#call.end(endings.clientGone);
  }
}

export function answerTerminated(call: Call): void {
  call.respond(204, [], undefined);
}
