import { Server, Socket } from 'node:net';
import type { Handle } from './messages.ts';

/** A listening socket of another process, and what was accepted on it before anybody served it. */
export class GivenSocket {
  readonly server: Server;
  readonly #waiting: Socket[] = [];
  #serve: ((connection: Socket) => void) | undefined;

  constructor(server: Server) {
    this.server = server;
    // A socket accepts from the moment at which it arrives.
    server.on('connection', (connection) => this.accepted(connection));
  }

  accepted(connection: Socket): void {
    connection.allowHalfOpen = true;
    if (this.#serve) this.#serve(connection);
    else this.#waiting.push(connection);
  }

  /** From now on connections that come by this way are served; those that wait at once. */
  serve(serve: (connection: Socket) => void): void {
    this.#serve = serve;
    for (const connection of this.#waiting.splice(0)) serve(connection);
  }
}

/** The listening sockets that one process gives to another before it leaves, by `host:port`. */
export class GivenSockets {
  readonly #sockets = new Map<string, GivenSocket>();
  readonly #given = Promise.withResolvers<void>();
  readonly #onAwaited: () => void;
  #awaited = false;

  /** @param onAwaited called once, when the first of them is needed. */
  constructor(onAwaited: () => void) {
    this.#onAwaited = onAwaited;
  }

  add(address: string, handle: Handle | undefined): void {
    if (handle instanceof Server) this.#sockets.set(address, new GivenSocket(handle));
  }

  connection(address: string, handle: Handle | undefined): void {
    if (!(handle instanceof Socket)) return;
    const socket = this.#sockets.get(address);
    if (socket) socket.accepted(handle);
    else handle.destroy();
  }

  /** There are no more. */
  done(): void {
    this.#given.resolve();
  }

  /** Waits until all were given. @returns undefined when that address was not among them. */
  async take(address: string): Promise<GivenSocket | undefined> {
    if (!this.#awaited) this.#onAwaited();
    this.#awaited = true;
    await this.#given.promise;
    return this.#sockets.get(address);
  }
}
