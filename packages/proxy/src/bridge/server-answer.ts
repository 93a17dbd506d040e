import { type SseEvent, type SseHandler, SseParser } from '../http/sse.ts';
import type { ScannedMessage } from '../json/message.ts';
import { plainResult } from '../json/plain-result.ts';
import { scanBody } from '../json/scan.ts';
import type { RequestLimits } from '../mcp/request-limits.ts';
import type { UpstreamError, UpstreamHandler, UpstreamHead } from '../upstream/upstream.ts';
import type { AnswerMemory } from './answer-memory.ts';

/** Hears what a server answers to one request. Exactly one of the last three comes, and nothing after it. */
export interface AnswerListener {
  /** A notification, or a request of the server, before the answer. */
  onMessage(message: ScannedMessage, event: SseEvent): void;
  /**
   * The result or error, from JSON or from the last event of a stream.
   * @returns true if nobody holds the message any more, so that its memory may be used again.
   */
  onAnswer(message: ScannedMessage, head: UpstreamHead): boolean | void;
  /** An answer that is not MCP. */
  onOther(head: UpstreamHead, body: Buffer): void;
  onBroken(error: UpstreamError): void;
}

/**
 * Reads an answer of either form, within the bounds of answers that must be seen whole. It is strict, but for large
 * results, of which only the envelope is read.
 */
export class ServerAnswer implements UpstreamHandler, SseHandler {
  readonly borrows = true;
  readonly #listener: AnswerListener;
  readonly #limits: RequestLimits;
  readonly #memory: AnswerMemory | undefined;
  #head: UpstreamHead | undefined;
  /** What has come of a JSON answer. */
  #body: Buffer | undefined;
  #held = 0;
  #events: SseParser | undefined;
  #over = false;

  /** @param memory of answers whose listener says when nobody holds them any more. */
  constructor(listener: AnswerListener, limits: RequestLimits, memory?: AnswerMemory) {
    this.#listener = listener;
    this.#limits = limits;
    this.#memory = memory;
  }

  /** Nobody listens any more. */
  forget(): void {
    this.#over = true;
    if (this.#body) this.#memory?.give(this.#body);
    this.#body = undefined;
  }

  onHead(head: UpstreamHead): void {
    this.#head = head;
    const isStream = head.header('content-type')?.startsWith('text/event-stream') === true;
    if (isStream && head.status === 200) this.#events = new SseParser(this.#limits.eventBytes, this);
  }

  onData(chunk: Buffer, lent = false): boolean {
    if (this.#over) return true;
    if (this.#events) {
      this.#events.push(lent ? Buffer.from(chunk) : chunk);
      return false;
    }
    if (this.#held + chunk.length > this.#limits.heldAnswerBytes) this.onTooLarge();
    else this.#hold(chunk);
    return true;
  }

  onEnd(): void {
    this.#events?.end();
    if (this.#over) return;
    if (this.#events) return this.#break('closed-early', 'the server ended its stream without an answer');
    const memory = this.#body;
    const body = memory?.subarray(0, this.#held) ?? noBytes;
    const head = this.#head as UpstreamHead;
    this.#body = undefined;
    this.forget();
    const message = (body.length > strictBytes ? plainResult(body) : undefined) ?? this.#read(body);
    if (message && message.method === undefined && (message.hasResult || message.hasError)) {
      if (this.#listener.onAnswer(message, head) === true && memory) this.#memory?.give(memory);
    } else this.#listener.onOther(head, body);
  }

  #hold(chunk: Buffer): void {
    const length = this.#held + chunk.length;
    const body = this.#body;
    if (!body || body.length < length) {
      const room = Math.max(length, body ? this.#held * 2 : (this.#head?.contentLength ?? 0));
      this.#body = this.#memory?.take(room) ?? Buffer.allocUnsafe(room);
      body?.copy(this.#body, 0, 0, this.#held);
      if (body) this.#memory?.give(body);
    }
    chunk.copy(this.#body as Buffer, this.#held);
    this.#held = length;
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

/** Answers up to this size, in bytes, are read strictly, whatever they are. */
const strictBytes = 4_096;
const noBytes = Buffer.alloc(0);
