import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerOptions,
  type ServerResponse,
  STATUS_CODES,
} from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TlsFiles } from '@signalbox/runtime';
import type { HttpServerOptions, Refusal } from './http-server.ts';
import type { ListenerCodec } from './listening-socket.ts';
import { type ExchangeOwner, NodeHttpExchange } from './node-http-exchange.ts';
import type { OpenExchanges } from './open-exchange.ts';
import { RefusalCounter } from './refusal-counter.ts';
import { fieldsOf } from './field.ts';
import { passGate, servedMethods } from './request-gate.ts';
import { followFiles, secureOptions } from './secure-server.ts';

type Serve = (this: Server, connection: Socket) => void;

/** What a connection is busy with: an exchange, or nothing more because a request on it was refused. */
interface Connection extends Socket {
  busy?: NodeHttpExchange | 'refused' | undefined;
  /** Exchanges so far. */
  exchanges?: number;
}

/**
 * HTTP/1.1 by node:http behind the `Exchange` seam.
 *
 * 1. A request reaches `onExchange` only when the gate and `judgeHost` let it pass; everything else gets a fixed
 *    answer and loses its connection.
 * 2. One exchange a connection at a time: a request sent before the last answer was complete is dropped with the
 *    connection, once that answer is out (RFC 9112 §9.3.2 lets clients repeat it).
 * 3. Nothing waits for ever: heads and bodies by node:http's timeouts, answers by `OpenExchanges`.
 */
export class NodeHttpCodec implements ExchangeOwner, ListenerCodec {
  readonly exchanges: OpenExchanges;
  connections = 0;
  draining = false;
  readonly #options: HttpServerOptions;
  readonly #server: Server;
  readonly #refusals: RefusalCounter;
  /** What node:http does with a connection. */
  readonly #serve: readonly Serve[];

  /** Takes over what `server` does with connections: it gets only those that `connected` is called with. */
  constructor(server: Server, options: HttpServerOptions, exchanges: OpenExchanges) {
    this.#server = server;
    this.#options = options;
    this.#refusals = new RefusalCounter(options);
    this.exchanges = exchanges;
    const event = options.tls ? 'secureConnection' : 'connection';
    this.#serve = server.listeners(event) as Serve[];
    server.removeAllListeners(event);
    const take = this.#take.bind(this);
    server.on('request', take).on('checkContinue', take).on('checkExpectation', take);
    server.on('clientError', this.#onClientError.bind(this));
  }

  connected(connection: Connection): void {
    this.connections += 1;
    connection.on('close', () => void (this.connections -= 1));
    for (const serve of this.#serve) serve.call(this.#server, connection);
  }

  finished(exchange: NodeHttpExchange): void {
    this.exchanges.finished(exchange);
    const connection = exchange.socket as Connection;
    if (connection.busy === exchange) connection.busy = undefined;
  }

  drain(): void {
    this.draining = true;
  }

  checkTimes(): void {
    // node:http looks at its timeouts by itself.
  }

  closeIdle(): void {
    this.#server.closeIdleConnections();
  }

  destroyAll(): void {
    this.#server.closeAllConnections();
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
        fields: fieldsOf(request.rawHeaders),
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
    this.exchanges.begin(exchange);
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
}

/** The socket to listen on for connections that are read by this codec. */
export function nodeHttpServer({ tls, limits, http2 }: HttpServerOptions): Server {
  const options: ServerOptions = {
    requireHostHeader: false,
    insecureHTTPParser: false,
    joinDuplicateHeaders: false,
    maxHeaderSize: limits.maxHeaderBytes,
    headersTimeout: limits.headersTimeoutMs,
    requestTimeout: limits.requestTimeoutMs,
    keepAliveTimeout: limits.keepAliveTimeoutMs,
    connectionsCheckingInterval: limits.checkIntervalMs,
  };
  const server = tls ? newSecureServer(tls, options, http2 !== 'off') : createServer(options);
  server.maxHeadersCount = 0;
  server.timeout = 0;
  return server;
}

function newSecureServer(tls: TlsFiles, options: ServerOptions, offersHttp2: boolean): Server {
  const server = createSecureServer({ ...options, ...secureOptions(tls, options.headersTimeout ?? 0, offersHttp2) });
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
