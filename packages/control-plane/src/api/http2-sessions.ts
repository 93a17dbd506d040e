import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import {
  constants,
  createServer,
  type Http2Server,
  type Http2ServerRequest,
  type Http2ServerResponse,
} from 'node:http2';
import type { ServerHttp2Session } from 'node:http2';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';

import type { Clock } from '@signalbox/runtime';

export interface Http2Options {
  readonly clock: Clock;
  /** Answers requests of either version. */
  readonly handle: (request: IncomingMessage, response: ServerResponse) => void;
  /** Of all headers of a request. */
  readonly headerBytes: number;
  readonly headerCount: number;
  /** Longest time in which a whole request must have arrived, in milliseconds. */
  readonly requestMs: number;
  /** How long a connection may be without a request, in milliseconds. */
  readonly keepAliveMs: number;
}

/** How every HTTP/2 connection begins (RFC 9113, 3.4). */
const preface = 'PRI ';
/** Requests at one time on one connection. */
const maxStreams = 100;

/**
 * HTTP/2 on the port of an HTTP/1.1 server: what TLS has agreed on, and on plaintext what the first bytes say (prior
 * knowledge; there is no upgrade). The server's bound of connections holds for both.
 */
export class Http2Sessions {
  readonly #options: Http2Options;
  readonly #http2: Http2Server;
  readonly #sessions = new Set<ServerHttp2Session>();

  constructor(options: Http2Options) {
    this.#options = options;
    const { headerBytes, headerCount, handle } = options;
    const settings = { maxConcurrentStreams: maxStreams, maxHeaderListSize: headerBytes, enablePush: false };
    this.#http2 = createServer({ settings, maxHeaderListPairs: headerCount }, (request, response) => {
      this.#requireArrival(request);
      handle(...asHttp1(request, response));
    });
    this.#http2.on('session', (session) => this.#begin(session));
    // A session that fails ends its connection; there is nobody else to tell.
    this.#http2.on('sessionError', () => undefined);
  }

  /** Takes over the connections of a server that speak HTTP/2; the others go on as before. */
  attachTo(server: Server, isTls: boolean): void {
    const event = isTls ? 'secureConnection' : 'connection';
    const http1 = server.listeners(event) as ((this: Server, socket: Socket) => void)[];
    server.removeAllListeners(event);
    const pass = (socket: Socket) => http1.forEach((listener) => listener.call(server, socket));
    server.on(event, (socket: Socket) => {
      if (isTls) this.#choose((socket as TLSSocket).alpnProtocol === 'h2', socket, pass);
      else this.#sniff(socket, (isHttp2) => this.#choose(isHttp2, socket, pass));
    });
  }

  /** Lets what runs finish and takes nothing new. */
  close(): void {
    for (const session of this.#sessions) session.close();
  }

  /** Cuts what is left. */
  destroy(): void {
    for (const session of this.#sessions) session.destroy();
  }

  #choose(isHttp2: boolean, socket: Socket, pass: (socket: Socket) => void): void {
    if (isHttp2) this.#http2.emit('connection', socket);
    else pass(socket);
  }

  /** Looks at the first bytes and puts them back. */
  #sniff(socket: Socket, decide: (isHttp2: boolean) => void): void {
    const { clock, requestMs } = this.#options;
    const late = clock.timer(requestMs, () => socket.destroy());
    const ignore = () => undefined;
    socket.on('error', ignore);
    socket.once('close', () => late[Symbol.dispose]());
    const look = () => {
      const chunk = socket.read() as Buffer | null;
      if (chunk === null) return void socket.once('readable', look);
      late[Symbol.dispose]();
      socket.off('error', ignore);
      socket.unshift(chunk);
      decide(chunk.toString('latin1', 0, preface.length) === preface);
    };
    socket.once('readable', look);
  }

  #begin(session: ServerHttp2Session): void {
    const { clock, keepAliveMs } = this.#options;
    let open = 0;
    let idle = clock.timer(keepAliveMs, () => session.close());
    this.#sessions.add(session);
    session.on('stream', (stream) => {
      open += 1;
      idle[Symbol.dispose]();
      stream.once('close', () => {
        open -= 1;
        if (open === 0) idle = clock.timer(keepAliveMs, () => session.close());
      });
    });
    session.on('close', () => {
      this.#sessions.delete(session);
      idle[Symbol.dispose]();
    });
  }

  /** A request that is still arriving when its time is over is given up; an answer may take as long as it takes. */
  #requireArrival(request: Http2ServerRequest): void {
    const { clock, requestMs } = this.#options;
    const late = clock.timer(requestMs, () => {
      if (!request.complete) request.stream.close(constants.NGHTTP2_CANCEL);
    });
    request.stream.on('close', () => late[Symbol.dispose]());
  }
}

/** The compatibility API of node has what is used here; `host` is where HTTP/1.1 has it. */
function asHttp1(request: Http2ServerRequest, response: Http2ServerResponse): [IncomingMessage, ServerResponse] {
  request.headers.host ??= request.authority;
  return [request as unknown as IncomingMessage, response as unknown as ServerResponse];
}
