import type { BodySink, BodyWriter, Exchange, RequestHead } from '../http/exchange.ts';
import { encodeEvent } from '../http/sse.ts';
import { arrayElements } from '../json/members.ts';
import { type Call, jsonHeaders } from '../mcp/call.ts';
import { batchVersion } from '../mcp/codec/rev2025-11-25.ts';
import { documentSpan } from '../mcp/document-span.ts';
import { endings, refusals } from '../mcp/errors.ts';
import { eventHeaders } from '../mcp/event-relay.ts';
import { refuse, type Step } from './step.ts';

/**
 * Takes a batch apart: every message goes through all phases by itself, with its own decision and its own outcome event,
 * and the answers come back together. Only revision 2025-03-26 has batches.
 *
 * @param serve carries one message through the phases.
 */
export function splitBatch(call: Call, serve: (item: Exchange) => void): Step {
  if (call.kind !== 'batch') return 'continue';
  if (call.session?.facts.version !== batchVersion) return refuse(call, refusals.batch);
  const body = call.body as Buffer;
  const items = arrayElements(body, documentSpan(body));
  const batch = new BatchAnswer(call, items.length);
  call.decision = 'allow';
  call.exchange.onClientGone(() => batch.clientGone());
  for (const { start, end } of items) serve(batch.item(body.subarray(start, end)));
  return 'stop';
}

/**
 * The answers to a batch: one JSON array once all are there, or, as soon as one of them is an event stream, events on one
 * stream.
 */
class BatchAnswer {
  readonly #call: Call;
  readonly #items: Item[] = [];
  #waitingFor: number;
  #answers: (Buffer | string)[] = [];
  #held = 0;
  #stream: BodyWriter | undefined;

  constructor(call: Call, count: number) {
    this.#call = call;
    this.#waitingFor = count;
  }

  item(body: Buffer): Exchange {
    const item = new Item(this, this.#call.exchange.head, body);
    this.#items.push(item);
    return item;
  }

  /** The writer of the one stream; it begins with the answers that were there before. */
  stream(): BodyWriter {
    if (this.#stream) return this.#stream;
    this.#stream = this.#call.stream(200, eventHeaders);
    this.#stream.onDrain(() => {
      for (const item of this.#items) item.drained();
    });
    for (const answer of this.#answers) this.#stream.write(encodeEvent({ data: answer.toString() }));
    this.#answers = [];
    return this.#stream;
  }

  /** One message is done. @param answer its JSON; undefined when it has none, or none any more. */
  settle(answer: Buffer | string | undefined): void {
    this.#waitingFor -= 1;
    if (answer !== undefined) this.#add(answer);
    if (this.#waitingFor > 0 || this.#call.ended) return;
    if (this.#stream) {
      this.#stream.end();
      this.#call.end('');
    } else if (this.#answers.length === 0) {
      this.#call.respond(202, [], undefined);
    } else {
      this.#call.respond(200, jsonHeaders, `[${this.#answers.join(',')}]`);
    }
  }

  /** One answer was broken off, so that the whole cannot be complete. */
  breakOff(): void {
    this.#call.abandon(refusals.upstreamFailed);
  }

  clientGone(): void {
    this.#call.end(endings.clientGone);
    for (const item of this.#items) item.clientGone();
  }

  #add(answer: Buffer | string): void {
    if (this.#stream) return void this.#stream.write(encodeEvent({ data: answer.toString() }));
    this.#held += answer.length;
    this.#answers.push(answer);
    if (this.#held > this.#call.services.limits.heldAnswerBytes) this.#call.abandon(refusals.upstreamTooLarge);
  }
}

/** One message of a batch as an exchange of its own. */
class Item implements Exchange {
  readonly head: RequestHead;
  readonly takesTrailers = false;
  answered = false;
  closed = false;
  responseBytes = 0;
  readonly #batch: BatchAnswer;
  readonly #body: Buffer;
  #onGone: (() => void) | undefined;
  #onDrain: (() => void) | undefined;

  constructor(batch: BatchAnswer, head: RequestHead, body: Buffer) {
    this.#batch = batch;
    this.head = head;
    this.#body = body;
  }

  body(): Buffer {
    return this.#body;
  }

  bodyTo(sink: BodySink): void {
    sink.onBodyData(this.#body);
    sink.onBodyEnd();
  }

  resumeBody(): void {
    // It came as a whole.
  }

  respond(_status: number, _headers: readonly string[], body: Buffer | string | undefined): boolean {
    if (this.closed) return true;
    this.answered = true;
    this.#settle(body);
    return false;
  }

  stream(_status: number, headers: readonly string[]): BodyWriter {
    this.answered = true;
    return headers.includes('text/event-stream') ? this.#eventWriter() : this.#jsonWriter();
  }

  onClientGone(listener: () => void): void {
    this.#onGone = listener;
  }

  clientGone(): void {
    if (this.closed) return;
    this.closed = true;
    this.#onGone?.();
  }

  drained(): void {
    this.#onDrain?.();
  }

  #settle(answer: Buffer | string | undefined): void {
    this.closed = true;
    this.responseBytes += answer?.length ?? 0;
    // A notification has no answer, not even an error.
    const isAnswer = answer !== undefined && !answer.toString().startsWith('{"jsonrpc":"2.0","id":null');
    this.#batch.settle(isAnswer ? answer : undefined);
  }

  /** Its events go straight to the stream that the batch shares. */
  #eventWriter(): BodyWriter {
    const shared = this.#batch.stream();
    const write = (chunk: Buffer | string): boolean => {
      if (this.closed) return true;
      this.responseBytes += chunk.length;
      return shared.write(chunk);
    };
    return {
      write,
      onDrain: (listener) => void (this.#onDrain = listener),
      end: (chunk) => {
        if (chunk !== undefined) write(chunk);
        this.#settle(undefined);
      },
      abort: () => this.#breakOff(),
      get bufferedBytes() {
        return shared.bufferedBytes;
      },
    };
  }

  /** A large answer becomes one element of the array, so it is gathered. */
  #jsonWriter(): BodyWriter {
    const chunks: Buffer[] = [];
    return {
      write: (chunk) => {
        chunks.push(Buffer.from(chunk as string));
        return true;
      },
      onDrain: () => undefined,
      end: (chunk) => {
        if (chunk !== undefined) chunks.push(Buffer.from(chunk as string));
        this.#settle(Buffer.concat(chunks));
      },
      abort: () => this.#breakOff(),
      bufferedBytes: 0,
    };
  }

  #breakOff(): void {
    if (this.closed) return;
    this.closed = true;
    this.#batch.breakOff();
  }
}
