import type { UpstreamError, UpstreamHandler, UpstreamHead } from '../upstream/upstream.ts';
import type { Call } from './call.ts';
import { refusals } from './errors.ts';

/** Keeps a fault in the handling of one answer from reaching the connection that carries it: the call fails alone. */
export class GuardedHandler implements UpstreamHandler {
  readonly #call: Call;
  readonly #inner: UpstreamHandler;

  constructor(call: Call, inner: UpstreamHandler) {
    this.#call = call;
    this.#inner = inner;
  }

  onHead(head: UpstreamHead): void {
    try {
      this.#inner.onHead(head);
    } catch (error) {
      fail(this.#call, error);
    }
  }

  get borrows(): boolean {
    return this.#inner.borrows === true;
  }

  onData(chunk: Buffer, lent: boolean): boolean {
    try {
      return this.#inner.onData(chunk, lent) === true;
    } catch (error) {
      fail(this.#call, error);
      return false;
    }
  }

  onEnd(): void {
    try {
      this.#inner.onEnd();
    } catch (error) {
      fail(this.#call, error);
    }
  }

  onError(error: UpstreamError): void {
    try {
      this.#inner.onError(error);
    } catch (fault) {
      fail(this.#call, fault);
    }
  }
}

/** A bug, not an operating error: logged, and the caller gets an answer if none has begun. */
export function fail(call: Call, error: unknown): void {
  const stack = error instanceof Error ? error.stack : undefined;
  call.services.logger.error('a request failed for no reason of its own', { error: String(error), stack });
  call.abandon(refusals.internal);
}
