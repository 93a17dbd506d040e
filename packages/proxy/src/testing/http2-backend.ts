import {
  createSecureServer,
  createServer,
  type Http2Server,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { IncomingHttpHeaders, SecureServerOptions, ServerOptions } from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';

/** A server of HTTP/2 that does with each stream what a test says. */
export class Http2Backend implements AsyncDisposable {
  readonly streams: { readonly stream: ServerHttp2Stream; readonly headers: IncomingHttpHeaders }[] = [];
  readonly sessions: ServerHttp2Session[] = [];
  readonly sockets: Socket[] = [];
  readonly #server: Http2Server;
  readonly #scheme: string;

  private constructor(server: Http2Server, scheme: string) {
    this.#server = server;
    this.#scheme = scheme;
  }

  static async start(
    onStream: (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void,
    options: ServerOptions | SecureServerOptions = {},
  ): Promise<Http2Backend> {
    const isSecure = 'key' in options;
    const server = isSecure ? createSecureServer(options) : createServer(options);
    const backend = new Http2Backend(server, isSecure ? 'https' : 'http');
    server.on('session', (session) => {
      backend.sessions.push(session);
      session.on('error', ignore);
    });
    server.on('stream', (stream, headers) => {
      stream.on('error', ignore);
      backend.streams.push({ stream, headers });
      onStream(stream, headers);
    });
    server.on(isSecure ? 'secureConnection' : 'connection', (socket: Socket) => {
      backend.sockets.push(socket);
      socket.on('error', ignore);
    });
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
    return backend;
  }

  get origin(): string {
    return `${this.#scheme}://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await new Promise<void>((resolve) => void this.#server.close(() => resolve()));
  }
}

/** Answers with all that was sent. */
export function echoed(stream: ServerHttp2Stream): void {
  stream.respond({ ':status': 200, 'content-type': 'text/plain' });
  stream.pipe(stream);
}

function ignore(): void {}
