import { constants, type IncomingHttpHeaders, type OutgoingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import { Metadata } from '@grpc/grpc-js';

import type { GrpcConnection } from './grpc-connection.ts';
import { MessageReader } from './grpc-framing.ts';

/** How a call ends: a gRPC status code, and what happened. */
export interface CallStatus {
  readonly code: number;
  readonly message: string;
  /** Further trailers. */
  readonly trailers?: Readonly<Record<string, string>>;
}

export interface CallListener {
  /** A whole message. Not called while the call is paused. */
  onMessage(message: Buffer): void;
  /** The client sends nothing more: the call is over for it. */
  onHalfClosed(): void;
  /** The call ended before this end has ended it. Called at most once. */
  onBroken(reason: string): void;
}

/** Status codes that this layer gives by itself. */
export const callStatus = { ok: 0, resourceExhausted: 8, unimplemented: 12, internal: 13 } as const;

const contentType = 'application/grpc';
const head = {
  [constants.HTTP2_HEADER_STATUS]: 200,
  [constants.HTTP2_HEADER_CONTENT_TYPE]: contentType,
  'grpc-accept-encoding': 'identity',
};

/** One call as the server holds it: messages in, bytes that are framed already out, and a status. */
export class GrpcCall {
  readonly path: string;
  /** Of all that a client sends along, what says who it is: thousands of calls stay open. */
  readonly #authorization: string | undefined;
  readonly #connection: GrpcConnection;
  readonly #stream: ServerHttp2Stream;
  readonly #reader: MessageReader;
  #listener: CallListener | undefined;
  #isPaused = false;
  #isReading = false;
  #isCorked = false;
  #isOver = false;
  #status: CallStatus | undefined;

  constructor(connection: GrpcConnection, stream: ServerHttp2Stream, headers: IncomingHttpHeaders) {
    this.path = String(headers[constants.HTTP2_HEADER_PATH] ?? '');
    this.#authorization = headers.authorization;
    this.#connection = connection;
    this.#stream = stream;
    this.#reader = new MessageReader(connection.maxRequestBytes);
    // Without a listener an error of the stream would be an exception.
    stream.on('error', (error: Error) => this.#broken(error.message));
    stream.on('close', () => this.#broken('the client cancelled the stream, or its connection ended'));
  }

  /** What the client says of itself: the header `authorization`. */
  get metadata(): Metadata {
    const metadata = new Metadata();
    if (this.#authorization !== undefined) metadata.set('authorization', this.#authorization);
    return metadata;
  }

  /** The client's certificate in DER, if it has shown one that is trusted. */
  get certificate(): Buffer | undefined {
    return this.#connection.certificate;
  }

  /** Address and port of the other end. */
  get peer(): string {
    return this.#connection.peer;
  }

  /** Begins to read. Call once. */
  listen(listener: CallListener): void {
    this.#listener = listener;
    this.#stream.on('data', (chunk: Buffer) => this.#read(chunk));
    this.#stream.on('end', () => this.#listener?.onHalfClosed());
  }

  pause(): void {
    this.#isPaused = true;
    this.#stream.pause();
  }

  resume(): void {
    this.#isPaused = false;
    this.#deliver();
    if (!this.#isPaused) this.#stream.resume();
  }

  /** Sends the headers of the answer. */
  accept(): void {
    if (this.#isOver || this.#stream.headersSent || this.#stream.destroyed) return;
    this.#stream.respond(head, { waitForTrailers: true });
    this.#stream.on('wantTrailers', () => this.#stream.sendTrailers(trailersOf(this.#status ?? broken)));
  }

  /**
   * Sends a message. What is sent in one turn of the event loop leaves together.
   * @param frame the message behind its prefix.
   */
  send(frame: Buffer): void {
    if (this.#isOver || this.#stream.destroyed) return;
    this.accept();
    if (!this.#isCorked) {
      this.#isCorked = true;
      this.#stream.cork();
      process.nextTick(uncork, this);
    }
    this.#stream.write(frame);
  }

  /** Ends the call with a status. The listener is not called any more. */
  end(status: CallStatus): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#listener = undefined;
    if (this.#stream.destroyed || this.#stream.closed) return;
    this.#status = status;
    // What still arrives is read and thrown away: it would stop the whole connection otherwise.
    this.#stream.resume();
    if (this.#stream.headersSent) this.#stream.end();
    else this.#stream.respond({ ...head, ...trailersOf(status) }, { endStream: true });
  }

  #read(chunk: Buffer): void {
    this.#connection.heard();
    if (this.#isOver) return;
    this.#reader.push(chunk);
    this.#deliver();
  }

  #deliver(): void {
    if (this.#isReading) return;
    this.#isReading = true;
    while (!this.#isPaused && this.#listener) {
      const message = this.#reader.next();
      if (message === undefined) break;
      if (typeof message === 'string') this.#refuse(message);
      else this.#listener.onMessage(message);
    }
    this.#isReading = false;
  }

  #refuse(fault: 'compressed' | 'too-large'): void {
    const status =
      fault === 'compressed'
        ? { code: callStatus.unimplemented, message: 'compressed messages are not read: send them as they are' }
        : {
            code: callStatus.resourceExhausted,
            message: `a message has more than ${this.#connection.maxRequestBytes} bytes`,
          };
    this.fail(status);
  }

  /** Ends the call by itself, and says so to whoever listens. */
  fail(status: CallStatus): void {
    const listener = this.#listener;
    this.end(status);
    listener?.onBroken(status.message);
  }

  #broken(reason: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const listener = this.#listener;
    this.#listener = undefined;
    listener?.onBroken(reason);
  }

  /** For the turn of the event loop that is over. */
  flush(): void {
    this.#isCorked = false;
    this.#stream.uncork();
  }
}

function uncork(call: GrpcCall): void {
  call.flush();
}

const broken: CallStatus = { code: callStatus.internal, message: 'the call was given up' };

function trailersOf({ code, message, trailers }: CallStatus): OutgoingHttpHeaders {
  return { 'grpc-status': String(code), ...(message !== '' && { 'grpc-message': encodeText(message) }), ...trailers };
}

/** Percent-encoding of everything but printable ASCII ("gRPC over HTTP2", `Status-Message`). */
function encodeText(text: string): string {
  return text.replaceAll(/[^\x20-\x24\x26-\x7e]+/g, (part) => encodeURIComponent(part.toWellFormed()));
}
