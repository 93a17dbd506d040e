import type { Exchange } from './exchange.ts';
import { Http1Codec, http1Server } from './http1-codec.ts';
import { Http2Codec } from './http2-codec.ts';
import type { HttpServer, HttpServerOptions } from './http-server.ts';
import { type ListenerCodec, ListeningSocket } from './listening-socket.ts';
import { NodeHttpCodec, nodeHttpServer } from './node-http-codec.ts';
import { OpenExchanges } from './open-exchange.ts';
import { chooseByAlpn, PrefaceChoice } from './protocol-choice.ts';
import { tickLimitsOf } from './tick-limits.ts';

/** What reads and writes HTTP/1.1: our own codec, or node:http. */
export const httpCodecs = ['own', 'node'] as const;

export type HttpCodec = (typeof httpCodecs)[number];

/** A listener with the codec of that name behind it, and where the options say so one for HTTP/2. */
export function createHttpServer(
  codec: HttpCodec,
  options: HttpServerOptions,
  onExchange: (exchange: Exchange) => void,
): HttpServer {
  const { tls, http2, limits } = options;
  const exchanges = new OpenExchanges(options, onExchange);
  const [server, http1] = codec === 'own' ? ownHttp1(options, exchanges) : nodeHttp1(options, exchanges);
  const toHttp1 = http1.connected.bind(http1);
  const codecs: ListenerCodec[] = [http1];
  let connected = toHttp1;
  if (http2 === 'always' || (http2 === 'tls' && tls)) {
    const streams = new Http2Codec(options, exchanges);
    const toHttp2 = streams.connected.bind(streams);
    codecs.push(streams);
    if (tls) connected = chooseByAlpn(toHttp1, toHttp2);
    else {
      const choice = new PrefaceChoice(toHttp1, toHttp2, tickLimitsOf(limits).head);
      codecs.push(choice);
      connected = choice.connected.bind(choice);
    }
  }
  server.on(tls ? 'secureConnection' : 'connection', connected);
  return new ListeningSocket(server, options, { exchanges, codecs });
}

function ownHttp1(options: HttpServerOptions, exchanges: OpenExchanges) {
  return [http1Server(options), new Http1Codec(options, exchanges)] as const;
}

function nodeHttp1(options: HttpServerOptions, exchanges: OpenExchanges) {
  const server = nodeHttpServer(options);
  return [server, new NodeHttpCodec(server, options, exchanges)] as const;
}
