import { type SseEvent, type SseHandler, SseParser } from '../http/sse.ts';
import type { ScannedMessage } from '../json/message.ts';
import { scanBody } from '../json/scan.ts';
import type { RequestLimits } from '../mcp/request-limits.ts';
import type { Services } from '../mcp/services.ts';
import type { UpstreamError, UpstreamExchange, UpstreamHandler, UpstreamHead } from '../upstream/upstream.ts';

/** What a member said to a request of which the whole answer is needed. */
export type Asked =
  | { readonly kind: 'answer'; readonly head: UpstreamHead; readonly message: ScannedMessage }
  /** It could not be asked, did not answer in time, or not as MCP. `reason` is for people. */
  | { readonly kind: 'failure'; readonly reason: string; readonly error?: UpstreamError; readonly status?: number };

/** What waiting for an answer needs. */
export interface AskingServices {
  readonly clock: Services['clock'];
  readonly limits: Pick<RequestLimits, 'eventBytes' | 'heldAnswerBytes' | 'responseScan'>;
}

/** How a question is sent: to `Upstream.dispatch`, or through a leg. */
export type Send = (handler: UpstreamHandler) => UpstreamExchange;

/**
 * Sends a question and waits for its whole answer, from JSON or from an event stream; what else the stream carries is
 * dropped. Never rejects, and ends by the deadline.
 *
 * @param id raw JSON of the id that the answer must bear.
 */
export function askMember(services: AskingServices, id: string, deadlineMs: number, send: Send): Promise<Asked> {
  return new Promise((resolve) => {
    const question = new Question(services, id, resolve);
    const timer = services.clock.timer(deadlineMs, () => question.giveUp(`no answer within ${deadlineMs} ms`));
    question.onDone = () => timer[Symbol.dispose]();
    question.exchange = send(question);
    if (question.done) question.exchange.abort();
  });
}

class Question implements UpstreamHandler, SseHandler {
  exchange: UpstreamExchange | undefined;
  onDone: () => void = () => undefined;
  done = false;
  readonly #services: AskingServices;
  readonly #id: string;
  readonly #resolve: (asked: Asked) => void;
  #head: UpstreamHead | undefined;
  #chunks: Buffer[] = [];
  #bytes = 0;
  #events: SseParser | undefined;

  constructor(services: AskingServices, id: string, resolve: (asked: Asked) => void) {
    this.#services = services;
    this.#id = id;
    this.#resolve = resolve;
  }

  onHead(head: UpstreamHead): void {
    this.#head = head;
    const isStream = head.header('content-type')?.startsWith('text/event-stream') === true;
    if (isStream) this.#events = new SseParser(this.#services.limits.eventBytes, this);
  }

  onData(chunk: Buffer): void {
    if (this.done) return;
    if (this.#events) return this.#events.push(chunk);
    this.#bytes += chunk.length;
    if (this.#bytes > this.#services.limits.heldAnswerBytes) return this.onTooLarge();
    this.#chunks.push(chunk);
  }

  onEnd(): void {
    this.#events?.end();
    if (this.done) return;
    const status = this.#head?.status ?? 0;
    const message = this.#events ? undefined : this.#answerIn(Buffer.concat(this.#chunks));
    if (message) this.#settle(message);
    else this.#fail({ reason: status === 200 ? 'the answer is not MCP' : `status ${status}`, status });
  }

  onError(error: UpstreamError): void {
    this.#fail({ reason: error.message, error });
  }

  onEvent({ dataBytes }: SseEvent): void {
    if (this.done || !dataBytes) return;
    // A view into memory of the stream, which the answer outlives.
    const message = this.#answerIn(Buffer.from(dataBytes));
    if (!message) return;
    this.#settle(message);
    this.exchange?.abort();
  }

  onTooLarge(): void {
    this.giveUp('the answer is too large');
  }

  giveUp(reason: string): void {
    if (this.done) return;
    this.exchange?.abort();
    this.#fail({ reason });
  }

  /** Refusals of HTTP may bear `null` as their id. */
  #answerIn(bytes: Buffer): ScannedMessage | undefined {
    const scanned = scanBody(bytes, this.#services.limits.responseScan);
    if (scanned.kind !== 'message') return undefined;
    const { message } = scanned;
    if (!message.hasResult && !message.hasError) return undefined;
    const id = message.id ? bytes.toString('utf8', message.id.start, message.id.end) : 'null';
    return id === this.#id || (id === 'null' && this.#head?.status !== 200) ? message : undefined;
  }

  #settle(message: ScannedMessage): void {
    this.#end();
    this.#resolve({ kind: 'answer', head: this.#head as UpstreamHead, message });
  }

  #fail(failure: { reason: string; error?: UpstreamError; status?: number }): void {
    if (this.done) return;
    this.#end();
    this.#resolve({ kind: 'failure', ...failure });
  }

  #end(): void {
    this.done = true;
    this.#chunks = [];
    this.onDone();
  }
}
