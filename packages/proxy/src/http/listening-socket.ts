import { type AddressInfo, Server, type Socket } from 'node:net';
import type { GivenListener, HttpServer, HttpServerOptions } from './http-server.ts';
import type { OpenExchanges } from './open-exchange.ts';

/** What a codec does with the connections of a listener. */
export interface ListenerCodec {
  /** A connection for it was made. */
  connected(socket: Socket): void;
  /** Open connections. */
  readonly connections: number;
  /** From now on answers end their connections. */
  drain(): void;
  /** Looks for what has waited too long. Called once in an interval. */
  checkTimes(): void;
  /** Ends the connections on which nothing is under way. */
  closeIdle(): void;
  /** Ends every connection. */
  destroyAll(): void;
}

/** The codecs of a listener, and the exchanges that all of them begin. */
export interface Served {
  readonly exchanges: OpenExchanges;
  readonly codecs: readonly ListenerCodec[];
}

/** Turns of the event loop after which a shared listener closes although connections still come. */
const longestQuietWait = 10_000;

/** A listener: bound, bounded and closed in the same way whichever codec reads what comes over it. */
export class ListeningSocket implements HttpServer {
  readonly #server: Server;
  readonly #options: HttpServerOptions;
  readonly #exchanges: OpenExchanges;
  readonly #codecs: readonly ListenerCodec[];
  /** What connections are made on, with TLS also those whose handshake is not done. */
  readonly #sockets = new Set<Socket>();
  #sweep: Disposable | undefined;
  #closing = false;
  /** Other processes listen on the same address. */
  #shared = false;
  #accepted = 0;

  constructor(server: Server, options: HttpServerOptions, served: Served) {
    this.#server = server;
    this.#options = options;
    this.#exchanges = served.exchanges;
    this.#codecs = served.codecs;
    const { limits, metrics } = options;
    const dropped = metrics.counter('signalbox_http_connections_dropped_total', 'Connections beyond the bound.');
    server.maxConnections = limits.maxConnections;
    server.on('drop', () => dropped.add());
    server.on('connection', (socket: Socket) => {
      this.#accepted += 1;
      this.#sockets.add(socket);
      socket.on('close', () => void this.#sockets.delete(socket));
    });
  }

  get socket(): Server {
    return this.#server;
  }

  listen(host: string, port: number, shared = false): Promise<{ readonly port: number }> {
    this.#shared = shared;
    const { backlog } = this.#options.limits;
    return this.#listening((done) => void this.#server.listen({ host, port, reusePort: shared, backlog }, done));
  }

  async adopt(given: GivenListener): Promise<{ readonly port: number }> {
    this.#shared = true;
    const listening = await this.#listening((done) => void this.#server.listen(given.server, done));
    given.serve((connection) => void this.#server.emit('connection', connection));
    return listening;
  }

  #listening(begin: (done: () => void) => void): Promise<{ readonly port: number }> {
    const { clock, logger, limits } = this.#options;
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      begin(() => {
        this.#server.off('error', reject);
        this.#server.on('error', (error) => logger.error('listener failed', { error: String(error) }));
        this.#sweep = clock.interval(Math.max(1, limits.checkIntervalMs), () => this.#checkTimes());
        resolve({ port: (this.#server.address() as AddressInfo).port });
      });
    });
  }

  stopListening(): void {
    if (this.#shared) this.#closeWhenQuiet(this.#accepted, longestQuietWait);
    else this.#closeListener();
  }

  /** Connections that wait in a socket which is closed are lost: it is closed in a turn in which none came. */
  #closeWhenQuiet(accepted: number, turnsLeft: number): void {
    setImmediate(() => {
      if (this.#accepted === accepted || turnsLeft === 0) this.#closeListener();
      else this.#closeWhenQuiet(this.#accepted, turnsLeft - 1);
    });
  }

  #closeListener(): void {
    // That of node:http would also close the connections that wait for their next request.
    Server.prototype.close.call(this.#server);
  }

  drain(): void {
    for (const codec of this.#codecs) codec.drain();
  }

  async close(deadline: AbortSignal): Promise<void> {
    this.#closing = true;
    this.drain();
    const closed = new Promise<void>((resolve) => void this.#server.close(() => resolve()));
    this.#closeIdle();
    // Those that never said a word are about to begin, or their handshake would lead to nothing.
    for (const socket of this.#sockets) if (socket.bytesRead === 0) socket.destroy();
    const destroy = () => {
      for (const codec of this.#codecs) codec.destroyAll();
      for (const socket of this.#sockets) socket.destroy();
    };
    if (deadline.aborted) destroy();
    else deadline.addEventListener('abort', destroy, { once: true });
    await closed;
    deadline.removeEventListener('abort', destroy);
    this.#sweep?.[Symbol.dispose]();
  }

  get connections(): number {
    return this.#codecs.reduce((sum, { connections }) => sum + connections, 0);
  }

  get inFlight(): number {
    return this.#exchanges.size;
  }

  #checkTimes(): void {
    this.#exchanges.cutStalled();
    for (const codec of this.#codecs) codec.checkTimes();
    if (this.#closing) this.#closeIdle();
  }

  #closeIdle(): void {
    for (const codec of this.#codecs) codec.closeIdle();
  }
}
