import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createSecureServer } from 'node:tls';
import type { TlsFiles } from '@signalbox/runtime';
import { AnswerHeads } from './answer-head.ts';
import type { Exchange } from './exchange.ts';
import { type ConnectionOwner, Http1Connection, type TickLimits } from './http1-connection.ts';
import type { HttpServer, HttpServerLimits, HttpServerOptions, JudgeHost } from './http-server.ts';
import { type ListenerCodec, ListeningSocket } from './listening-socket.ts';
import { OpenExchanges } from './open-exchange.ts';
import { RefusalCounter } from './refusal-counter.ts';
import { followFiles, secureOptions } from './secure-server.ts';

/**
 * HTTP/1.1 by our own reader and writer behind the `Exchange` seam: stricter than node:http, never looser, and at a
 * fraction of its cost (docs/rfd/0010). Follows the same rules as the codec over node:http (node-http-codec.ts). All
 * timeouts hang on one interval.
 */
export function createHttp1Server(options: HttpServerOptions, onExchange: (exchange: Exchange) => void): HttpServer {
  const server = newServer(options.tls, options.limits.headersTimeoutMs);
  const codec = new Http1Codec(options, onExchange);
  server.on(options.tls ? 'secureConnection' : 'connection', (socket: Socket) => codec.connected(socket));
  return new ListeningSocket(server, options, codec);
}

class Http1Codec implements ConnectionOwner, ListenerCodec {
  readonly limits: HttpServerLimits;
  readonly heads: AnswerHeads;
  readonly judgeHost: JudgeHost;
  readonly refusals: RefusalCounter;
  readonly exchanges: OpenExchanges;
  tick = 0;
  draining = false;
  readonly #connections = new Set<Http1Connection>();
  readonly #tickLimits: TickLimits;

  constructor(options: HttpServerOptions, onExchange: (exchange: Exchange) => void) {
    const { limits, clock } = options;
    this.limits = limits;
    this.judgeHost = options.judgeHost;
    this.heads = new AnswerHeads(clock, limits.keepAliveTimeoutMs);
    this.refusals = new RefusalCounter(options);
    this.exchanges = new OpenExchanges(options, onExchange);
    this.#tickLimits = tickLimitsOf(limits);
  }

  connected(socket: Socket): void {
    this.#connections.add(new Http1Connection(this, socket));
  }

  get connections(): number {
    return this.#connections.size;
  }

  closed(connection: Http1Connection): void {
    this.#connections.delete(connection);
  }

  drain(): void {
    this.draining = true;
  }

  checkTimes(): void {
    this.tick += 1;
    for (const connection of this.#connections) connection.checkTime(this.#tickLimits);
  }

  closeIdle(): void {
    for (const connection of this.#connections) if (connection.idle) connection.destroy();
  }

  destroyAll(): void {
    for (const connection of this.#connections) connection.destroy();
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
