import { type ClientHttp2Session, type ClientHttp2Stream, connect, type IncomingHttpHeaders } from 'node:http2';

/**
 * A client of HTTP/2 that is spoken to as if it were HTTP/1.1: a request that is sent as text goes out on a stream, and its
 * answer is received as text. So the same tests run on every codec. A stream that is reset counts as a connection that
 * was closed.
 */
export class Http2Client implements Disposable {
  readonly session: ClientHttp2Session;
  /** What the connection of HTTP/1.1 would do. */
  readonly socket: {
    destroy(): void;
    pause(): void;
    resume(): void;
  };
  /** Heads and bodies received, one character a byte. */
  received = '';
  /** Code that the newest stream was reset with; 0 when it ended in order. */
  resetCode: number | undefined;
  readonly #closed = Promise.withResolvers<string>();
  #waiting: { readonly until: (received: string) => boolean; readonly resolve: (received: string) => void }[] = [];
  /** Text of a request that has not come as far as it must. */
  #unsent = '';
  #stream: ClientHttp2Stream | undefined;
  /** Bytes of the body that are still to be sent. */
  #bodyLeft: number | 'chunked' = 0;
  #isPaused = false;

  private constructor(port: number) {
    this.session = connect(`http://127.0.0.1:${port}`);
    this.session.on('error', () => undefined);
    this.session.on('close', () => this.#closed.resolve(this.received));
    this.socket = {
      destroy: () => this.session.destroy(),
      pause: () => {
        this.#isPaused = true;
        this.#stream?.pause();
      },
      resume: () => {
        this.#isPaused = false;
        this.#stream?.resume();
      },
    };
  }

  static async connect(port: number): Promise<Http2Client> {
    const client = new Http2Client(port);
    await new Promise<void>((resolve) => {
      client.session.once('connect', () => resolve()).once('close', () => resolve());
    });
    return client;
  }

  /** @param text requests of HTTP/1.1, whole or in pieces. */
  send(text: string): this {
    this.#unsent += text;
    while (this.#sendSome()) if (this.#unsent === '') break;
    return this;
  }

  /** Resolves with what was received when the connection is closed or the stream reset. */
  get closed(): Promise<string> {
    return this.#closed.promise;
  }

  receives(text: string): Promise<string> {
    return this.until((received) => received.includes(text));
  }

  until(condition: (received: string) => boolean): Promise<string> {
    return new Promise((resolve) => {
      this.#waiting.push({ until: condition, resolve });
      this.#settle();
    });
  }

  [Symbol.dispose](): void {
    this.session.destroy();
  }

  /** @returns whether something could be sent. */
  #sendSome(): boolean {
    if (this.#bodyLeft === 'chunked') return this.#sendChunk();
    if (this.#bodyLeft > 0) {
      const piece = this.#unsent.slice(0, this.#bodyLeft);
      this.#unsent = this.#unsent.slice(piece.length);
      this.#bodyLeft -= piece.length;
      if (piece !== '') this.#stream?.write(piece, 'latin1');
      if (this.#bodyLeft === 0) this.#stream?.end();
      return piece !== '';
    }
    const end = this.#unsent.indexOf('\r\n\r\n');
    if (end < 0) return false;
    const [line = '', ...fields] = this.#unsent.slice(0, end).split('\r\n');
    this.#unsent = this.#unsent.slice(end + 4);
    this.#begin(line, fields);
    return true;
  }

  #sendChunk(): boolean {
    const chunk = /^([0-9a-f]+)[^\r]*\r\n/i.exec(this.#unsent);
    if (!chunk) return false;
    const size = Number.parseInt(chunk[1] as string, 16);
    const whole = chunk[0].length + size + 2;
    if (this.#unsent.length < whole) return false;
    // An empty piece would spoil those before it, in Node 24.
    if (size > 0) this.#stream?.write(this.#unsent.slice(chunk[0].length, chunk[0].length + size), 'latin1');
    this.#unsent = this.#unsent.slice(whole);
    if (size === 0) {
      this.#bodyLeft = 0;
      this.#stream?.end();
    }
    return true;
  }

  #begin(line: string, fields: readonly string[]): void {
    const [method = '', path = ''] = line.split(' ');
    const headers: Record<string, string | string[]> = { ':method': method, ':path': path };
    this.#bodyLeft = 0;
    for (const field of fields) {
      const colon = field.indexOf(':');
      const [name, value] = [field.slice(0, colon).toLowerCase(), field.slice(colon + 1).trim()];
      if (name === 'host') headers[':authority'] = value;
      else if (name === 'transfer-encoding') this.#bodyLeft = 'chunked';
      else headers[name] = name in headers ? [headers[name] as string, value].flat() : value;
      if (name === 'content-length') this.#bodyLeft = Number(value);
    }
    const stream = this.session.request(headers, { endStream: this.#bodyLeft === 0 });
    this.#stream = stream;
    this.#listen(stream);
  }

  #listen(stream: ClientHttp2Stream): void {
    stream.on('error', () => undefined);
    stream.on('continue', () => this.#receive('HTTP/1.1 100 Continue\r\n\r\n'));
    stream.on('response', (headers) => this.#receive(headText(headers)));
    stream.setEncoding('latin1').on('data', (text: string) => this.#receive(text));
    if (this.#isPaused) stream.pause();
    stream.on('close', () => {
      this.resetCode = stream.rstCode;
      if (stream.rstCode !== 0) this.#closed.resolve(this.received);
    });
  }

  #receive(text: string): void {
    this.received += text;
    const met = this.#waiting.filter(({ until }) => until(this.received));
    this.#waiting = this.#waiting.filter((each) => !met.includes(each));
    for (const { resolve } of met) resolve(this.received);
  }

  #settle(): void {
    this.#receive('');
  }
}

/** Sends a request without a body. @returns status and body, or the code that its stream was reset with. */
export function ask(session: ClientHttp2Session, headers: Record<string, string> = {}): Promise<[number, string]> {
  return answerOf(session.request({ ':path': '/', ':authority': 'a.test', ...headers }));
}

export function answerOf(stream: ClientHttp2Stream): Promise<[number, string]> {
  let status = 0;
  let text = '';
  stream.on('error', () => undefined);
  stream.on('response', (head) => void (status = head[':status'] ?? 0));
  stream.setEncoding('latin1').on('data', (piece: string) => void (text += piece));
  return new Promise((resolve) => {
    stream.on('close', () => resolve(stream.rstCode === 0 ? [status, text] : [-stream.rstCode, text]));
  });
}

function headText(headers: IncomingHttpHeaders & { ':status'?: number | undefined }): string {
  const fields = Object.entries(headers)
    .filter(([name]) => !name.startsWith(':'))
    .map(([name, value]) => `${name.replace(/(?:^|-)[a-z]/g, (letter) => letter.toUpperCase())}: ${String(value)}\r\n`);
  return `HTTP/1.1 ${headers[':status']} -\r\n${fields.join('')}\r\n`;
}
