import type { BodySink, BodyWriter, Exchange, RequestHead } from '../http/exchange.ts';

export interface FakeRequest {
  readonly method?: string;
  readonly path?: string;
  readonly host?: string;
  /** By lower-case name. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer | string;
  readonly query?: string;
  /** Came over HTTP/2. */
  readonly takesTrailers?: boolean;
  /** The body comes only when the test says so: see {@link FakeExchange.deliverBody}, or through `sink`. */
  readonly bodyLater?: boolean;
}

/** An exchange without a connection: shows what was answered, and leaves when told to. */
export class FakeExchange implements Exchange {
  readonly head: RequestHead;
  /** Of HTTP/2. */
  readonly takesTrailers: boolean;
  /** With which the answer ended. */
  trailers: readonly string[] | undefined;
  /** 0 until an answer began. */
  status = 0;
  /** How often an answer was begun. More than once is a fault of the code under test. */
  answers = 0;
  headers: Record<string, string> = {};
  /** Length that was announced for an answer in pieces. */
  contentLength: number | undefined;
  /** The answer is complete. */
  ended = false;
  /** The answer was broken off. */
  aborted = false;
  /** Whether the client takes what is written; while it does not, writes pile up, in the memory they were given in. */
  taking = true;
  readonly #request: FakeRequest;
  #chunks: Buffer[] = [];
  #buffered = 0;
  #gone = false;
  #onGone: (() => void) | undefined;
  #onDrain: (() => void) | undefined;
  #bodyWaits: ((body: Buffer | undefined) => void) | undefined;

  constructor(request: FakeRequest = {}) {
    this.#request = request;
    this.takesTrailers = request.takesTrailers ?? false;
    const headers = request.headers ?? {};
    this.head = {
      method: request.method ?? 'POST',
      path: request.path ?? '/acme/assistant/mcp',
      query: request.query ?? '',
      host: request.host ?? 'localhost',
      contentLength: 'transfer-encoding' in headers ? undefined : Number(headers['content-length'] ?? 0),
      port: 8080,
      remoteAddress: '127.0.0.1',
      secure: false,
      header: (name) => headers[name],
      withPrefix: (prefix) =>
        Object.entries(headers)
          .filter(([name]) => name.startsWith(prefix))
          .flat(),
    };
  }

  get answered(): boolean {
    return this.answers > 0;
  }

  get closed(): boolean {
    return this.#gone || this.ended || this.aborted;
  }

  get responseBytes(): number {
    return this.#chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  }

  /** Everything that was answered so far. */
  get bytes(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  get text(): string {
    return this.bytes.toString('utf8');
  }

  /** The answer as JSON. */
  get json(): unknown {
    return JSON.parse(this.text) as unknown;
  }

  /** Data of the events so far, in order, as JSON where it is JSON. */
  get events(): readonly unknown[] {
    const data = this.text.split(/(?:\r\n|\n|\r){2}/).map((event) => {
      const lines = event.split(/\r\n|\n|\r/).filter((line) => line.startsWith('data:'));
      return lines.map((line) => line.slice('data:'.length)).join('\n');
    });
    return data.filter((text) => text.trim() !== '').map((text) => JSON.parse(text) as unknown);
  }

  body(maxBytes: number): Promise<Buffer | undefined> | Buffer | undefined {
    if (this.#request.bodyLater === true) {
      return new Promise((resolve) => {
        this.#bodyWaits = resolve;
      });
    }
    return this.#take(maxBytes);
  }

  deliverBody(maxBytes = Number.POSITIVE_INFINITY): void {
    this.#bodyWaits?.(this.#take(maxBytes));
  }

  /** Whom the body is passed on to. */
  sink: BodySink | undefined;
  /** How often the sink said that it takes pieces again. */
  bodyResumed = 0;

  bodyTo(sink: BodySink): void {
    this.sink = sink;
    if (this.#request.bodyLater === true) return;
    const body = Buffer.from((this.#request.body ?? '') as string);
    if (body.length > 0) sink.onBodyData(body);
    sink.onBodyEnd();
  }

  resumeBody(): void {
    this.bodyResumed += 1;
  }

  respond(status: number, headers: readonly string[], body: Buffer | string | undefined): boolean {
    this.#begin(status, headers);
    if (this.closed) return true;
    if (body !== undefined) this.#chunks.push(Buffer.from(body as string));
    this.ended = true;
    return true;
  }

  stream(status: number, headers: readonly string[], contentLength?: number, trails = false): BodyWriter {
    this.#begin(status, headers);
    this.contentLength = contentLength;
    const buffered = () => this.#buffered;
    return {
      write: (chunk) => this.#write(chunk),
      onDrain: (listener) => void (this.#onDrain = listener),
      end: (chunk, trailers) => {
        if (this.closed) return;
        if (trails) this.trailers = trailers ?? [];
        if (chunk !== undefined) this.#write(chunk);
        this.ended = true;
      },
      abort: () => void (this.aborted = true),
      get bufferedBytes() {
        return buffered();
      },
    };
  }

  onClientGone(listener: () => void): void {
    this.#onGone = listener;
  }

  /** The client leaves. */
  leave(): void {
    if (this.closed) return;
    this.#gone = true;
    this.#bodyWaits?.(undefined);
    this.#onGone?.();
  }

  /** The client takes everything that waits. */
  takeAll(): void {
    this.taking = true;
    this.#chunks = this.#chunks.map((chunk) => Buffer.from(chunk));
    this.#buffered = 0;
    this.#onDrain?.();
  }

  #take(maxBytes: number): Buffer | undefined {
    const body = Buffer.from((this.#request.body ?? '') as string);
    if (body.length <= maxBytes) return body;
    this.respond(413, [], undefined);
    return undefined;
  }

  #begin(status: number, headers: readonly string[]): void {
    this.answers += 1;
    this.status = status;
    for (let i = 0; i < headers.length; i += 2)
      this.headers[(headers[i] as string).toLowerCase()] = headers[i + 1] as string;
  }

  #write(chunk: Buffer | string): boolean {
    if (this.closed) return true;
    const isHeld = !this.taking && chunk instanceof Buffer;
    const bytes = isHeld ? chunk : Buffer.from(chunk as string);
    this.#chunks.push(bytes);
    if (!this.taking) this.#buffered += bytes.length;
    return this.taking;
  }
}
