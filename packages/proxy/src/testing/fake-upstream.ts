import type {
  Upstream,
  UpstreamError,
  UpstreamExchange,
  UpstreamHandler,
  UpstreamRequest,
} from '../upstream/upstream.ts';

/** A request that reached the upstream, and the test's hand on its answer. It keeps the order that the port promises. */
export class FakeUpstreamCall implements UpstreamExchange {
  readonly request: UpstreamRequest;
  aborted = false;
  paused = false;
  detached = false;
  /** Pieces of a streamed body. */
  readonly uploaded: Buffer[] = [];
  bodyEnded = false;
  /** Whether more of a streamed body may be written. */
  taking = true;
  readonly #handler: UpstreamHandler;
  #begun = false;
  #over = false;

  constructor(request: UpstreamRequest, handler: UpstreamHandler) {
    this.request = request;
    this.#handler = handler;
  }

  /** Value of a header that was sent; the name in any case. */
  header(name: string): string | undefined {
    const { headers } = this.request;
    for (let i = 0; i < headers.length; i += 2) {
      if (headers[i]?.toLowerCase() === name.toLowerCase()) return headers[i + 1];
    }
    return undefined;
  }

  get text(): string {
    return this.request.body?.toString('utf8') ?? '';
  }

  /** The request body as JSON. */
  get message(): { id?: unknown; method?: string; params?: Record<string, unknown> } {
    return this.text === '' ? {} : (JSON.parse(this.text) as { id?: unknown });
  }

  /** A whole JSON answer. `$id` in a text stands for the id of the request. */
  answer(body: unknown, options: { status?: number; headers?: Record<string, string>; pieces?: number } = {}): void {
    const bytes = Buffer.from(this.#withId(typeof body === 'string' ? body : JSON.stringify(body)));
    const headers = { 'content-type': 'application/json', ...options.headers };
    this.head(options.status ?? 200, headers, bytes.length);
    const size = Math.ceil(bytes.length / (options.pieces ?? 1));
    for (let at = 0; at < bytes.length; at += size) this.data(bytes.subarray(at, at + size));
    this.end();
  }

  /** The answer to the request, with a result. */
  result(result: unknown, headers: Record<string, string> = {}): void {
    this.answer({ jsonrpc: '2.0', id: this.message.id, result }, { headers });
  }

  head(status: number, headers: Record<string, string> = {}, contentLength?: number): void {
    if (this.#over || this.aborted || this.#begun) return;
    this.#begun = true;
    const entries = (): string[] => Object.entries(headers).flat();
    this.#handler.onHead({ status, contentLength, header: (name) => headers[name], entries });
  }

  /** Begins an event stream. */
  openEvents(headers: Record<string, string> = {}): void {
    this.head(200, { 'content-type': 'text/event-stream', ...headers });
  }

  /** One event with JSON data. */
  event(message: unknown, id?: string): void {
    const field = id === undefined ? '' : `id: ${id}\n`;
    this.data(`${field}data: ${this.#withId(typeof message === 'string' ? message : JSON.stringify(message))}\n\n`);
  }

  /** The event with the answer to the request. */
  resultEvent(result: unknown, id?: string): void {
    this.event({ jsonrpc: '2.0', id: this.message.id, result }, id);
  }

  /** What is lent is spoiled after the call, so that whoever keeps it is found out. */
  data(chunk: Buffer | string): void {
    if (!this.#begun || this.#over || this.aborted) return;
    const bytes = Buffer.from(chunk as string);
    const lent = this.#handler.borrows === true;
    this.#handler.onData(bytes, lent);
    if (lent) bytes.fill(0);
  }

  /**
   * A piece in memory of its own, as large answers come. That memory is written over once the handler says that nobody
   * holds it any more.
   * @returns whether it said so.
   */
  ownData(chunk: Buffer | string): boolean {
    if (!this.#begun || this.#over || this.aborted) return false;
    const bytes = Buffer.from(chunk as string);
    const isFree = this.#handler.onData(bytes, false) === true;
    if (isFree) bytes.fill(0);
    return isFree;
  }

  end(): void {
    if (!this.#begun || this.#over || this.aborted) return;
    this.#over = true;
    this.#handler.onEnd();
  }

  fail(code: UpstreamError['code'] = 'connect-failed'): void {
    if (this.#over || this.aborted) return;
    this.#over = true;
    this.#handler.onError({ code, message: code, notAccepted: true });
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
  }

  detach(): void {
    this.detached = true;
  }

  write(chunk: Buffer): boolean {
    this.uploaded.push(chunk);
    return this.taking;
  }

  endBody(): void {
    this.bodyEnded = true;
  }

  /** The upstream takes more of a streamed body. */
  drain(): void {
    this.#handler.onWritable?.();
  }

  abort(): void {
    this.aborted = true;
  }

  #withId(text: string): string {
    return text.replaceAll('"$id"', JSON.stringify(this.message.id ?? null));
  }
}

/** An upstream that answers only what the test says. */
export class FakeUpstream implements Upstream {
  readonly calls: FakeUpstreamCall[] = [];
  /** Called for every request, to answer it at once. */
  onCall: ((call: FakeUpstreamCall) => void) | undefined;

  /** The newest request. */
  get last(): FakeUpstreamCall {
    const call = this.calls.at(-1);
    if (!call) throw new Error('nothing reached the upstream');
    return call;
  }

  dispatch(request: UpstreamRequest, handler: UpstreamHandler): UpstreamExchange {
    const call = new FakeUpstreamCall(request, handler);
    this.calls.push(call);
    this.onCall?.(call);
    return call;
  }

  retain(): void {
    // Nothing is kept.
  }

  close(): void {
    // Nothing is open.
  }
}
