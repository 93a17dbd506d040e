import type { UpstreamExchange, UpstreamHandler, UpstreamHead } from '../upstream/upstream.ts';
import { WholeRequest } from './whole-request.ts';

/** An answer that no server gave, as a handler gets it: later than the call that asked for it, and at once. */
export class LocalAnswer extends WholeRequest implements UpstreamExchange {
  #aborted = false;

  /** @param headers value by lower-case name. */
  constructor(
    handler: UpstreamHandler,
    head: { readonly status: number; readonly headers?: Readonly<Record<string, string>> },
    body: string | Buffer = '',
  ) {
    super();
    queueMicrotask(() => {
      if (this.#aborted) return;
      const bytes = typeof body === 'string' ? Buffer.from(body, 'utf8') : body;
      handler.onHead(headOf(head.status, head.headers ?? {}, bytes.length));
      if (bytes.length > 0) handler.onData(bytes, false);
      handler.onEnd();
    });
  }

  pause(): void {}

  resume(): void {}

  detach(): void {}

  abort(): void {
    this.#aborted = true;
  }
}

/** @param contentLength undefined for a stream. */
export function headOf(
  status: number,
  headers: Readonly<Record<string, string>>,
  contentLength: number | undefined,
): UpstreamHead {
  return { status, contentLength, header: (name) => headers[name], entries: () => Object.entries(headers).flat() };
}

export const jsonType = { 'content-type': 'application/json' } as const;
export const eventType = { 'content-type': 'text/event-stream' } as const;
