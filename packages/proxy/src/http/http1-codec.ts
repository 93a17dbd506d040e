import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createSecureServer } from 'node:tls';
import { AnswerHeads } from './answer-head.ts';
import { type ConnectionOwner, Http1Connection } from './http1-connection.ts';
import type { HttpServerLimits, HttpServerOptions, JudgeHost } from './http-server.ts';
import type { ListenerCodec } from './listening-socket.ts';
import type { OpenExchanges } from './open-exchange.ts';
import { RefusalCounter } from './refusal-counter.ts';
import { followFiles, secureOptions } from './secure-server.ts';
import { type TickLimits, tickLimitsOf } from './tick-limits.ts';

/**
 * HTTP/1.1 by our own reader and writer behind the `Exchange` seam: stricter than node:http, never looser, and at a
 * fraction of its cost (docs/rfd/0010). Follows the same rules as the codec over node:http (node-http-codec.ts). All
 * timeouts hang on one interval.
 */
export class Http1Codec implements ConnectionOwner, ListenerCodec {
  readonly limits: HttpServerLimits;
  readonly heads: AnswerHeads;
  readonly judgeHost: JudgeHost;
  readonly refusals: RefusalCounter;
  readonly exchanges: OpenExchanges;
  tick = 0;
  draining = false;
  readonly #connections = new Set<Http1Connection>();
  readonly #tickLimits: TickLimits;

  constructor(options: HttpServerOptions, exchanges: OpenExchanges) {
    const { limits, clock } = options;
    this.limits = limits;
    this.judgeHost = options.judgeHost;
    this.heads = new AnswerHeads(clock, limits.keepAliveTimeoutMs);
    this.refusals = new RefusalCounter(options);
    this.exchanges = exchanges;
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

/** The socket to listen on for connections that are read by this codec. */
export function http1Server({ tls, limits, http2 }: HttpServerOptions): Server {
  const options = { noDelay: true, allowHalfOpen: true };
  if (!tls) return createServer(options);
  const server = createSecureServer({ ...options, ...secureOptions(tls, limits.headersTimeoutMs, http2 !== 'off') });
  followFiles(server, tls);
  return server;
}
