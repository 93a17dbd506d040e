import type { Upstream, UpstreamError, UpstreamHandler, UpstreamHead, UpstreamRequest } from './upstream.ts';

/** A whole answer, for requests of the gateway's own: key sets, era probes. */
export interface Collected {
  readonly head: UpstreamHead;
  readonly body: Buffer;
}

/** Sends a request and gathers its answer up to `maxBytes`; a larger one is given up. Never rejects. */
export function collect(
  upstream: Upstream,
  request: UpstreamRequest,
  maxBytes: number,
): Promise<{ answer: Collected } | { failure: string }> {
  return new Promise((resolve) => {
    const collector = new Collector(maxBytes, resolve);
    const exchange = upstream.dispatch(request, collector);
    collector.giveUp = () => exchange.abort();
  });
}

class Collector implements UpstreamHandler {
  giveUp: () => void = () => undefined;
  readonly #maxBytes: number;
  readonly #done: (outcome: { answer: Collected } | { failure: string }) => void;
  #head: UpstreamHead | undefined;
  readonly #chunks: Buffer[] = [];
  #bytes = 0;

  constructor(maxBytes: number, done: (outcome: { answer: Collected } | { failure: string }) => void) {
    this.#maxBytes = maxBytes;
    this.#done = done;
  }

  onHead(head: UpstreamHead): void {
    this.#head = head;
  }

  onData(chunk: Buffer): void {
    this.#bytes += chunk.length;
    if (this.#bytes > this.#maxBytes) {
      this.#done({ failure: `the answer exceeds ${this.#maxBytes} bytes` });
      this.giveUp();
      return;
    }
    this.#chunks.push(chunk);
  }

  onEnd(): void {
    if (this.#head) this.#done({ answer: { head: this.#head, body: Buffer.concat(this.#chunks) } });
    else this.#done({ failure: 'the answer has no head' });
  }

  onError(error: UpstreamError): void {
    this.#done({ failure: error.message });
  }
}
