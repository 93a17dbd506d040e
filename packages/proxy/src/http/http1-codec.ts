import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createServer as createSecureServer } from 'node:tls';
import type { Counter, TlsFiles } from '@signalbox/runtime';
import { AnswerHeads } from './answer-head.ts';
import type { Exchange } from './exchange.ts';
import { type ConnectionOwner, Http1Connection, type TickLimits } from './http1-connection.ts';
import type { Http1Exchange } from './http1-exchange.ts';
import type { HttpServer, HttpServerLimits, HttpServerOptions, JudgeHost } from './http-server.ts';
import { RefusalCounter } from './refusal-counter.ts';
import { followFiles, secureOptions } from './secure-server.ts';

/**
 * HTTP/1.1 by our own reader and writer behind the `Exchange` seam: stricter than node:http, never looser, and at a
 * fraction of its cost (docs/rfd/0010). Follows the same rules as the codec over node:http (node-http-codec.ts). All
 * timeouts hang on one interval.
 */
export function createHttp1Server(options: HttpServerOptions, onExchange: (exchange: Exchange) => void): HttpServer {
  return new Http1Server(options, onExchange);
}

class Http1Server implements HttpServer, ConnectionOwner {
  readonly limits: HttpServerLimits;
  readonly heads: AnswerHeads;
  readonly judgeHost: JudgeHost;
  readonly refusals: RefusalCounter;
  tick = 0;
  draining = false;
  readonly #options: HttpServerOptions;
  readonly #onExchange: (exchange: Exchange) => void;
  readonly #server: Server;
  readonly #connections = new Set<Http1Connection>();
  /** With TLS: what connections are made on, also those whose handshake is not done. */
  readonly #sockets = new Set<Socket>();
  #inFlight = 0;
  readonly #stalled: Counter;
  readonly #tickLimits: TickLimits;
  #sweep: Disposable | undefined;
  #closing = false;

  constructor(options: HttpServerOptions, onExchange: (exchange: Exchange) => void) {
    const { limits, metrics, clock } = options;
    this.#options = options;
    this.#onExchange = onExchange;
    this.limits = limits;
    this.judgeHost = options.judgeHost;
    this.heads = new AnswerHeads(clock, limits.keepAliveTimeoutMs);
    this.refusals = new RefusalCounter(options);
    this.#tickLimits = tickLimitsOf(limits);
    const dropped = metrics.counter('signalbox_http_connections_dropped_total', 'Connections beyond the bound.');
    this.#stalled = metrics.counter('signalbox_http_stalled_total', 'Connections cut because the client did not read.');
    const server = newServer(options.tls, limits.headersTimeoutMs);
    server.maxConnections = limits.maxConnections;
    if (options.tls) server.on('connection', (socket: Socket) => this.#remember(socket));
    server.on(options.tls ? 'secureConnection' : 'connection', (socket: Socket) =>
      this.#connections.add(new Http1Connection(this, socket)),
    );
    server.on('drop', () => dropped.add());
    this.#server = server;
  }

  listen(host: string, port: number): Promise<{ readonly port: number }> {
    const { clock, logger } = this.#options;
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ host, port }, () => {
        this.#server.off('error', reject);
        this.#server.on('error', (error) => logger.error('listener failed', { error: String(error) }));
        this.#sweep = clock.interval(Math.max(1, this.limits.checkIntervalMs), () => this.#checkTimes());
        resolve({ port: (this.#server.address() as AddressInfo).port });
      });
    });
  }

  drain(): void {
    this.draining = true;
  }

  async close(deadline: AbortSignal): Promise<void> {
    this.draining = true;
    this.#closing = true;
    const closed = new Promise<void>((resolve) => void this.#server.close(() => resolve()));
    this.#destroyAll((connection) => connection.idle);
    // Those that never said a word: their handshake would lead to nothing.
    for (const socket of this.#sockets) if (socket.bytesRead === 0) socket.destroy();
    const destroy = () => {
      this.#destroyAll(() => true);
      for (const socket of this.#sockets) socket.destroy();
    };
    if (deadline.aborted) destroy();
    else deadline.addEventListener('abort', destroy, { once: true });
    await closed;
    deadline.removeEventListener('abort', destroy);
    this.#sweep?.[Symbol.dispose]();
  }

  get connections(): number {
    return this.#connections.size;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  begin(exchange: Http1Exchange): void {
    this.#inFlight += 1;
    try {
      this.#onExchange(exchange);
    } catch (error) {
      this.#options.logger.error('a request failed', { error: String(error) });
      if (!exchange.answered) exchange.respond(500, [], undefined);
    }
  }

  finished(): void {
    this.#inFlight -= 1;
  }

  closed(connection: Http1Connection): void {
    this.#connections.delete(connection);
  }

  #remember(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('close', () => void this.#sockets.delete(socket));
  }

  #checkTimes(): void {
    this.tick += 1;
    const { writeTimeoutMs, minWriteBytesPerSecond } = this.limits;
    const now = this.#options.clock.monotonic();
    for (const connection of this.#connections) {
      if (connection.isStalled(now, writeTimeoutMs, minWriteBytesPerSecond)) {
        this.#stalled.add();
        connection.destroy();
      } else if (this.#closing && connection.idle) connection.destroy();
      else connection.checkTime(this.#tickLimits);
    }
  }

  #destroyAll(which: (connection: Http1Connection) => boolean): void {
    for (const connection of this.#connections) if (which(connection)) connection.destroy();
  }
}

function newServer(tls: TlsFiles | undefined, handshakeTimeoutMs: number): Server {
  const options = { noDelay: true, allowHalfOpen: true };
  if (!tls) return createServer(options);
  const server = createSecureServer({ ...options, ...secureOptions(tls, handshakeTimeoutMs) });
  followFiles(server, tls);
  return server;
}

/** One tick more than fits, since the first may come at once. */
function tickLimitsOf(limits: HttpServerLimits): TickLimits {
  const ticks = (ms: number) =>
    ms === 0 ? Number.POSITIVE_INFINITY : Math.ceil(ms / Math.max(1, limits.checkIntervalMs));
  return {
    head: ticks(limits.headersTimeoutMs),
    request: ticks(limits.requestTimeoutMs),
    keepAlive: ticks(limits.keepAliveTimeoutMs),
    ending: ticks(limits.writeTimeoutMs),
  };
}
