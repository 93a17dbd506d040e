import type { BodySink, BodyWriter, Exchange, RequestHead } from '../http/exchange.ts';
import { headWith } from './head-with.ts';

/**
 * A request that nobody has sent: the GET stream, or the end, of a session whose client speaks HTTP+SSE. Events of its answer
 * go to that client.
 */
export class UnaskedExchange implements Exchange {
  readonly head: RequestHead;
  answered = false;
  closed = false;
  responseBytes = 0;
  readonly takesTrailers = false;
  readonly #send: (events: Buffer | string) => void;
  #onGone: (() => void) | undefined;

  constructor(method: 'GET' | 'DELETE', head: RequestHead, session: string, send: (events: Buffer | string) => void) {
    const accept = method === 'GET' ? 'text/event-stream' : undefined;
    this.head = headWith(head, { method, headers: { 'mcp-session-id': session, accept } });
    this.#send = send;
  }

  body(): undefined {
    return undefined;
  }

  bodyTo(sink: BodySink): void {
    sink.onBodyEnd();
  }

  resumeBody(): void {
    // There is none.
  }

  respond(): boolean {
    this.answered = true;
    this.closed = true;
    return true;
  }

  stream(): BodyWriter {
    this.answered = true;
    const write = (chunk: Buffer | string): boolean => {
      if (this.closed) return true;
      this.responseBytes += chunk.length;
      this.#send(chunk);
      return true;
    };
    const end = (): void => void (this.closed = true);
    return {
      write,
      // The stream that the events go to is paced by itself.
      onDrain: () => undefined,
      end: (chunk) => {
        if (chunk !== undefined) write(chunk);
        end();
      },
      abort: end,
      bufferedBytes: 0,
    };
  }

  onClientGone(listener: () => void): void {
    this.#onGone = listener;
  }

  clientGone(): void {
    if (this.closed) return;
    this.closed = true;
    this.#onGone?.();
  }
}
