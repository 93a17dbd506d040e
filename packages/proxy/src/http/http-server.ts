import type { Clock, Logger, Metrics, TlsFiles } from '@signalbox/runtime';
import type { Server, Socket } from 'node:net';
import type { RequestHead } from './exchange.ts';

/** A listener with one codec behind it. Every request that passes the gate becomes one `Exchange`. */
export interface HttpServer {
  /**
   * @throws Error when the address cannot be bound.
   * @param port 0 lets the system choose.
   * @param shared other processes may listen on the address as well; the system spreads connections over all.
   */
  listen(host: string, port: number, shared?: boolean): Promise<{ readonly port: number }>;
  /** Listens on a socket that another process has opened. */
  adopt(given: GivenListener): Promise<{ readonly port: number }>;
  /** What is listened on, to give it to another process. */
  readonly socket: Server;
  /** Accepts no more; whatever was accepted is served as before. */
  stopListening(): void;
  /** From now on every answer carries `Connection: close`; the listener still accepts, so that no client is refused. */
  drain(): void;
  /**
   * Stops listening, closes idle connections, waits for the exchanges in flight; at the signal destroys what is left.
   * Implies `drain`.
   */
  close(deadline: AbortSignal): Promise<void>;
  /** Open connections. */
  readonly connections: number;
  /** Exchanges handed out and not yet complete. */
  readonly inFlight: number;
}

/** A listening socket that another process has opened, and what was accepted on it since. */
export interface GivenListener {
  readonly server: Server;
  /** Hands over connections: those that wait, and those that still come. */
  serve(serve: (connection: Socket) => void): void;
}

/** Why a request is turned away before anything else looks at it. `reason` is for people; it quotes no input. */
export interface Refusal {
  readonly status: number;
  readonly reason: string;
}

/** Judges Host and Origin against lists that change at run time. Undefined: welcome. */
export type JudgeHost = (head: RequestHead) => Refusal | undefined;

/** A request that never became an exchange. */
export interface RefusedRequest {
  /** Method, when it is one that is served; empty when there was none to read or it is not. */
  readonly method: string;
  /** Status that it was answered with; 0 when the connection was closed without an answer. */
  readonly status: number;
  /** Name of the error; absent: what is read is no request. */
  readonly error?: string;
}

/** Where HTTP/2 is spoken beside HTTP/1.1. */
export const http2Modes = ['off', 'tls', 'always'] as const;

/** Nowhere; on encrypted connections whose client asks for it; also on others that begin with it (prior knowledge). */
export type Http2Mode = (typeof http2Modes)[number];

export interface HttpServerOptions {
  readonly limits: HttpServerLimits;
  /** Absent: plaintext. */
  readonly tls?: TlsFiles | undefined;
  /** Where HTTP/2 is spoken. */
  readonly http2: Http2Mode;
  readonly judgeHost: JudgeHost;
  /** Called once for each request that the gate, `judgeHost` or the parser refused. Must not throw. */
  readonly onRefused: (refused: RefusedRequest) => void;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** Bounds of one listener. */
export interface HttpServerLimits {
  /** Request line and headers together, bytes. Beyond: 431. */
  readonly maxHeaderBytes: number;
  /** Header lines of a request. Beyond: 431. */
  readonly maxHeaders: number;
  /** Request target, bytes. Beyond: 414. */
  readonly maxUrlBytes: number;
  /** From the first byte of a head to its end. Beyond: 408. */
  readonly headersTimeoutMs: number;
  /** From the first byte of a request to the end of its body. Beyond: 408. */
  readonly requestTimeoutMs: number;
  /** How long a connection may wait for its next request. */
  readonly keepAliveTimeoutMs: number;
  /** How often the three timeouts above are looked at. */
  readonly checkIntervalMs: number;
  /** A client that does not take the answer for so long is cut off. */
  readonly writeTimeoutMs: number;
  /** Slowest rate, bytes a second, at which a client may take the rest of a finished answer, beside `writeTimeoutMs`. */
  readonly minWriteBytesPerSecond: number;
  /** Connections that may wait to be accepted; the system has a bound of its own (`net.core.somaxconn`). */
  readonly backlog: number;
  /** Connections at a time; more are closed at once. */
  readonly maxConnections: number;
  /** Requests on one connection; the last answer closes it. */
  readonly maxRequestsPerConnection: number;
  /** Streams of one HTTP/2 connection at a time; more are refused. */
  readonly maxStreamsPerConnection: number;
  /** Bytes of a request that may come over a stream of HTTP/2 before somebody reads them. */
  readonly streamWindowBytes: number;
  /** Streams of one HTTP/2 connection that may be reset or refused before it is closed; a tenth is forgiven a check. */
  readonly maxStreamFaults: number;
}

/** What a listener uses unless the settings say otherwise. */
export const defaultHttpServerLimits: HttpServerLimits = Object.freeze({
  maxHeaderBytes: 16_384,
  maxHeaders: 100,
  maxUrlBytes: 8_192,
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 30_000,
  keepAliveTimeoutMs: 65_000,
  checkIntervalMs: 1_000,
  writeTimeoutMs: 30_000,
  minWriteBytesPerSecond: 16_384,
  backlog: 4_096,
  maxConnections: 10_000,
  maxRequestsPerConnection: 10_000,
  maxStreamsPerConnection: 100,
  streamWindowBytes: 65_535,
  maxStreamFaults: 1_000,
});
