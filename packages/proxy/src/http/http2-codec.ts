import type { Socket } from 'node:net';
import type { Counter } from '@signalbox/runtime';
import { Http2Connection, type Http2ConnectionOwner } from './http2-connection.ts';
import { Http2Exchange } from './http2-exchange.ts';
import type { HttpServerLimits, HttpServerOptions, JudgeHost } from './http-server.ts';
import type { ListenerCodec } from './listening-socket.ts';
import type { OpenExchanges } from './open-exchange.ts';
import { RefusalCounter } from './refusal-counter.ts';
import { type TickLimits, tickLimitsOf } from './tick-limits.ts';

/** HTTP/2 by node:http2 behind the `Exchange` seam, beside whichever codec reads HTTP/1.1 (docs/rfd/0010). */
export class Http2Codec implements ListenerCodec, Http2ConnectionOwner {
  readonly limits: HttpServerLimits;
  readonly judgeHost: JudgeHost;
  readonly refusals: RefusalCounter;
  readonly exchanges: OpenExchanges;
  tick = 0;
  draining = false;
  readonly #connections = new Set<Http2Connection>();
  readonly #tickLimits: TickLimits;
  readonly #floods: Counter;

  constructor(options: HttpServerOptions, exchanges: OpenExchanges) {
    this.limits = options.limits;
    this.judgeHost = options.judgeHost;
    this.refusals = new RefusalCounter(options);
    this.exchanges = exchanges;
    this.#tickLimits = tickLimitsOf(options.limits);
    const help = 'HTTP/2 connections closed because most of what came over them was reset or refused.';
    this.#floods = options.metrics.counter('signalbox_http_floods_total', help);
  }

  connected(socket: Socket): void {
    this.#connections.add(new Http2Connection(this, socket));
  }

  get connections(): number {
    return this.#connections.size;
  }

  flooded(): void {
    this.#floods.add();
  }

  closed(connection: Http2Connection): void {
    this.#connections.delete(connection);
  }

  drain(): void {
    if (this.draining) return;
    this.draining = true;
    for (const connection of this.#connections) connection.drain();
  }

  checkTimes(): void {
    this.tick += 1;
    for (const exchange of this.exchanges) {
      if (exchange instanceof Http2Exchange) exchange.checkTime(this.tick, this.#tickLimits.request);
    }
    for (const connection of this.#connections) connection.checkTime(this.#tickLimits);
  }

  closeIdle(): void {
    for (const connection of this.#connections) if (connection.idle) connection.end();
  }

  destroyAll(): void {
    for (const connection of this.#connections) connection.destroy();
  }
}
