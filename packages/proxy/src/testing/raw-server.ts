import { createServer, type Server, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';

/** A connection of a raw server, with what was received on it. */
export interface RawConnection {
  readonly socket: Socket;
  received: string;
  /** Requests completely received, by Content-Length. */
  requests: number;
  readonly closed: Promise<void>;
}

/** A TCP server that says exactly what a test tells it to. */
export class RawServer implements AsyncDisposable {
  readonly connections: RawConnection[] = [];
  readonly #server: Server;
  readonly #onRequest: (connection: RawConnection, request: string) => void;

  private constructor(onRequest: (connection: RawConnection, request: string) => void) {
    this.#onRequest = onRequest;
    this.#server = createServer({ noDelay: true }, (socket) => this.#accept(socket));
  }

  /** @param onRequest called with each whole request; answers by writing to the connection's socket. */
  static async start(onRequest: (connection: RawConnection, request: string) => void): Promise<RawServer> {
    const server = new RawServer(onRequest);
    await new Promise<void>((resolve) => void server.#server.listen(0, '127.0.0.1', resolve));
    return server;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get origin(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { socket } of this.connections) socket.destroy();
    await new Promise<void>((resolve) => void this.#server.close(() => resolve()));
  }

  #accept(socket: Socket): void {
    const closed = new Promise<void>((resolve) => void socket.once('close', () => resolve()));
    const connection: RawConnection = { socket, received: '', requests: 0, closed };
    this.connections.push(connection);
    socket.on('error', () => undefined);
    let pending = '';
    socket.setEncoding('latin1').on('data', (text: string) => {
      connection.received += text;
      pending += text;
      for (let end = requestEnd(pending); end > 0; end = requestEnd(pending)) {
        const request = pending.slice(0, end);
        pending = pending.slice(end);
        connection.requests += 1;
        this.#onRequest(connection, request);
      }
    });
  }
}

function requestEnd(text: string): number {
  const head = text.indexOf('\r\n\r\n');
  if (head < 0) return -1;
  const length = Number(/content-length: (\d+)/i.exec(text.slice(0, head))?.[1] ?? 0);
  return text.length >= head + 4 + length ? head + 4 + length : -1;
}
