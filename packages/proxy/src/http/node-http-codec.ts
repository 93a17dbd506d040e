import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerOptions,
  type ServerResponse,
  STATUS_CODES,
} from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type Counter, Roster, type TlsFiles } from '@signalbox/runtime';
import type { Exchange } from './exchange.ts';
import type { HttpServer, HttpServerOptions, Refusal } from './http-server.ts';
import { type ExchangeOwner, NodeHttpExchange } from './node-http-exchange.ts';
import { RefusalCounter } from './refusal-counter.ts';
import { passGate, servedMethods } from './request-gate.ts';
import { followFiles, secureOptions } from './secure-server.ts';

/**
 * HTTP/1.1 by node:http behind the `Exchange` seam.
 *
 * 1. A request reaches `onExchange` only when the gate and `judgeHost` let it pass; everything else gets a fixed
 *    answer and loses its connection.
 * 2. One exchange a connection at a time: a request sent before the last answer was complete is dropped with the
 *    connection, once that answer is out (RFC 9112 §9.3.2 lets clients repeat it).
 * 3. Nothing waits for ever: heads and bodies by node:http's timeouts, answers by `#cutStalled`.
 */
export function createNodeHttpServer(options: HttpServerOptions, onExchange: (exchange: Exchange) => void): HttpServer {
  return new NodeHttpServer(options, onExchange);
}

/** What a connection is busy with: an exchange, or nothing more because a request on it was refused. */
interface Connection extends Socket {
  busy?: NodeHttpExchange | 'refused' | undefined;
  /** Exchanges so far. */
  exchanges?: number;
}

class NodeHttpServer implements HttpServer, ExchangeOwner {
  readonly #options: HttpServerOptions;
  readonly #onExchange: (exchange: Exchange) => void;
  readonly #server: Server;
  readonly #connections = new Set<Connection>();
  /** What connections are made on: with TLS also the ones whose handshake is not done. */
  readonly #sockets = new Set<Socket>();
  readonly #active = new Roster<NodeHttpExchange>();
  readonly #refusals: RefusalCounter;
  readonly #dropped: Counter;
  readonly #stalled: Counter;
  #sweep: Disposable | undefined;
  #draining = false;

  constructor(options: HttpServerOptions, onExchange: (exchange: Exchange) => void) {
    this.#options = options;
    this.#onExchange = onExchange;
    this.#refusals = new RefusalCounter(options);
    const { limits, metrics } = options;
    this.#dropped = metrics.counter('signalbox_http_connections_dropped_total', 'Connections beyond the bound.');
    this.#stalled = metrics.counter('signalbox_http_stalled_total', 'Connections cut because the client did not read.');
    const server = newServer(options.tls, {
      requireHostHeader: false,
      insecureHTTPParser: false,
      joinDuplicateHeaders: false,
      maxHeaderSize: limits.maxHeaderBytes,
      headersTimeout: limits.headersTimeoutMs,
      requestTimeout: limits.requestTimeoutMs,
      keepAliveTimeout: limits.keepAliveTimeoutMs,
      connectionsCheckingInterval: limits.checkIntervalMs,
    });
    server.maxHeadersCount = 0;
    server.maxConnections = limits.maxConnections;
    server.timeout = 0;
    server.on('connection', (socket: Connection) => remember(this.#sockets, socket));
    server.on(options.tls ? 'secureConnection' : 'connection', (connection: Connection) =>
      remember(this.#connections, connection),
    );
    const take = this.#take.bind(this);
    server.on('request', take).on('checkContinue', take).on('checkExpectation', take);
    server.on('clientError', this.#onClientError.bind(this));
    server.on('drop', () => this.#dropped.add());
    this.#server = server;
  }

  listen(host: string, port: number): Promise<{ readonly port: number }> {
    const { clock, limits } = this.#options;
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ host, port }, () => {
        this.#server.off('error', reject);
        this.#server.on('error', (error) => this.#options.logger.error('listener failed', { error: String(error) }));
        this.#sweep = clock.interval(limits.checkIntervalMs, () => this.#cutStalled());
        resolve({ port: (this.#server.address() as AddressInfo).port });
      });
    });
  }

  drain(): void {
    this.#draining = true;
  }

  async close(deadline: AbortSignal): Promise<void> {
    this.#draining = true;
    const closed = new Promise<void>((resolve) => void this.#server.close(() => resolve()));
    this.#server.closeIdleConnections();
    // Those that never said a word are not idle to node:http, but about to begin.
    for (const connection of [...this.#connections, ...this.#sockets]) {
      if (connection.bytesRead === 0) connection.destroy();
    }
    const destroy = () => {
      this.#server.closeAllConnections();
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
    return this.#active.size;
  }

  get draining(): boolean {
    return this.#draining;
  }

  finished(exchange: NodeHttpExchange): void {
    this.#active.delete(exchange);
    const connection = exchange.socket as Connection;
    if (connection.busy === exchange) connection.busy = undefined;
  }

  #take(request: IncomingMessage, response: ServerResponse): void {
    const connection = request.socket as Connection;
    if (connection.busy !== undefined) return this.#refusePipelined(connection);
    const { limits, judgeHost } = this.#options;
    const passed = passGate(
      {
        method: request.method ?? '',
        target: request.url ?? '',
        httpVersion: request.httpVersion,
        rawHeaders: request.rawHeaders,
      },
      limits,
    );
    if (passed.refusal) return this.#refuse(connection, response, passed.refusal);
    const exchange = new NodeHttpExchange(this, { request, response, head: passed.head });
    const refusal = judgeHost(exchange.head);
    if (refusal) return this.#refuse(connection, response, refusal);
    connection.busy = exchange;
    connection.exchanges = (connection.exchanges ?? 0) + 1;
    if (connection.exchanges >= limits.maxRequestsPerConnection) exchange.endConnection();
    this.#active.add(exchange);
    try {
      this.#onExchange(exchange);
    } catch (error) {
      this.#options.logger.error('a request failed', { error: String(error) });
      if (!exchange.answered) exchange.respond(500, [], undefined);
    }
  }

  #refuse(connection: Connection, response: ServerResponse, refusal: Refusal): void {
    connection.busy = 'refused';
    this.#refusals.refused(refusal.status, response.req.method);
    const body = `${refusal.reason}\n`;
    const headers = ['Connection', 'close', 'Content-Type', 'text/plain', 'Content-Length', String(body.length)];
    if (refusal.status === 405) headers.push('Allow', servedMethods);
    response.writeHead(refusal.status, headers);
    response.end(body);
  }

  /** The connection ends with the answer under way; what else was sent on it is not looked at. */
  #refusePipelined(connection: Connection): void {
    const { busy } = connection;
    if (busy === undefined || busy === 'refused') return;
    this.#refusals.refused(0);
    connection.busy = 'refused';
    busy.endConnection();
  }

  /** The parser gave up, or a timeout of node:http passed. */
  #onClientError(error: NodeJS.ErrnoException, duplex: Duplex): void {
    const connection = duplex as Connection;
    const { busy } = connection;
    // An answer under way, or a request that was read whole, is not to be mixed up with what came behind it.
    const mayAnswer = busy === undefined || (busy !== 'refused' && busy.awaitsBody);
    const status = statusOfParserError(error.code);
    if (status === undefined || !mayAnswer || !connection.writable) {
      connection.destroy();
      return;
    }
    connection.busy = 'refused';
    // A request whose body broke off became an exchange, which has an outcome of its own.
    if (busy === undefined) this.#refusals.refused(status);
    else this.#refusals.count(status);
    connection.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`, () =>
      connection.destroy(),
    );
  }

  #cutStalled(): void {
    const { clock, limits } = this.#options;
    const now = clock.monotonic();
    for (const exchange of this.#active) {
      if (!exchange.isStalled(now, limits.writeTimeoutMs, limits.minWriteBytesPerSecond)) continue;
      this.#stalled.add();
      exchange.socket.destroy();
    }
  }
}

/** Keeps a connection in a set while it is open. */
function remember<T extends Socket>(open: Set<T>, connection: T): void {
  open.add(connection);
  connection.on('close', () => void open.delete(connection));
}

function newServer(tls: TlsFiles | undefined, options: ServerOptions): Server {
  if (!tls) return createServer(options);
  const server = createSecureServer({ ...options, ...secureOptions(tls, options.headersTimeout) });
  followFiles(server, tls);
  return server;
}

/** @returns the answer to input that is not HTTP; undefined when nobody is there to read one. */
function statusOfParserError(code = ''): number | undefined {
  if (code === 'ECONNRESET' || code === 'EPIPE') return undefined;
  return parserErrors.get(code) ?? 400;
}

const parserErrors: ReadonlyMap<string, number> = new Map([
  ['HPE_HEADER_OVERFLOW', 431],
  ['HPE_CHUNK_EXTENSIONS_OVERFLOW', 413],
  ['ERR_HTTP_REQUEST_TIMEOUT', 408],
]);
