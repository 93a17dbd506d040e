import { type SseEvent, type SseHandler, SseParser } from '../http/sse.ts';
import type { ScannedMessage } from '../json/message.ts';
import { scanBody } from '../json/scan.ts';
import type { RequestLimits } from '../mcp/request-limits.ts';
import type { UpstreamError, UpstreamHandler, UpstreamHead } from '../upstream/upstream.ts';

/** Hears what a server answers to one request. Exactly one of the last three comes, and nothing after it. */
export interface AnswerListener {
  /** A notification, or a request of the server, before the answer. */
  onMessage(message: ScannedMessage, event: SseEvent): void;
  /** The result or error, from JSON or from the last event of a stream. */
  onAnswer(message: ScannedMessage, head: UpstreamHead): void;
  /** An answer that is not MCP. */
  onOther(head: UpstreamHead, body: Buffer): void;
  onBroken(error: UpstreamError): void;
}

/** Reads an answer of either form, within the bounds of answers that must be seen whole. */
export class ServerAnswer implements UpstreamHandler, SseHandler {
  readonly #listener: AnswerListener;
  readonly #limits: RequestLimits;
  #head: UpstreamHead | undefined;
  #chunks: Buffer[] = [];
  #held = 0;
  #events: SseParser | undefined;
  #over = false;

  constructor(listener: AnswerListener, limits: RequestLimits) {
    this.#listener = listener;
    this.#limits = limits;
  }

  /** Nobody listens any more. */
  forget(): void {
    this.#over = true;
    this.#chunks = [];
  }

  onHead(head: UpstreamHead): void {
    this.#head = head;
    const isStream = head.header('content-type')?.startsWith('text/event-stream') === true;
    if (isStream && head.status === 200) this.#events = new SseParser(this.#limits.eventBytes, this);
  }

  onData(chunk: Buffer): void {
    if (this.#over) return;
    if (this.#events) return this.#events.push(chunk);
    this.#held += chunk.length;
    if (this.#held > this.#limits.heldAnswerBytes) return this.onTooLarge();
    this.#chunks.push(chunk);
  }

  onEnd(): void {
    this.#events?.end();
    if (this.#over) return;
    if (this.#events) return this.#break('closed-early', 'the server ended its stream without an answer');
    const body = Buffer.concat(this.#chunks);
    const head = this.#head as UpstreamHead;
    const message = this.#read(body);
    this.forget();
    if (message && message.method === undefined && (message.hasResult || message.hasError)) {
      this.#listener.onAnswer(message, head);
    } else this.#listener.onOther(head, body);
  }

  onError(error: UpstreamError): void {
    if (this.#over) return;
    this.forget();
    this.#listener.onBroken(error);
  }

  onEvent(event: SseEvent): void {
    if (this.#over || event.dataBytes === undefined || event.dataBytes.length === 0) return;
    // A view into memory of the stream, which the message may outlive.
    const message = this.#read(Buffer.from(event.dataBytes));
    if (!message) return;
    if (message.method !== undefined) return this.#listener.onMessage(message, event);
    this.forget();
    this.#listener.onAnswer(message, this.#head as UpstreamHead);
  }

  onTooLarge(): void {
    this.#break('protocol', 'the answer of the server is too large');
  }

  #read(bytes: Buffer): ScannedMessage | undefined {
    const scanned = scanBody(bytes, this.#limits.responseScan);
    return scanned.kind === 'message' ? scanned.message : undefined;
  }

  #break(code: UpstreamError['code'], message: string): void {
    if (this.#over) return;
    this.forget();
    this.#listener.onBroken({ code, message, notAccepted: false });
  }
}
