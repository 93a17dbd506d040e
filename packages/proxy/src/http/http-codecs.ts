import type { Exchange } from './exchange.ts';
import { createHttp1Server } from './http1-codec.ts';
import type { HttpServer, HttpServerOptions } from './http-server.ts';
import { createNodeHttpServer } from './node-http-codec.ts';

/** What reads and writes HTTP/1.1: our own codec, or node:http. */
export const httpCodecs = ['own', 'node'] as const;

export type HttpCodec = (typeof httpCodecs)[number];

/** A listener with the codec of that name behind it. */
export function createHttpServer(
  codec: HttpCodec,
  options: HttpServerOptions,
  onExchange: (exchange: Exchange) => void,
): HttpServer {
  return (codec === 'own' ? createHttp1Server : createNodeHttpServer)(options, onExchange);
}
