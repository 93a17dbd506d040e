import { constants, performServerHandshake, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import { type ConnectionAddresses, GatedHead } from './gated-head.ts';
import { Http2Exchange } from './http2-exchange.ts';
import { readHttp2Head } from './http2-head.ts';
import type { HttpServerLimits, JudgeHost, Refusal } from './http-server.ts';
import type { OpenExchanges } from './open-exchange.ts';
import type { RefusalCounter } from './refusal-counter.ts';
import { passGate, servedMethods } from './request-gate.ts';
import type { TickLimits } from './tick-limits.ts';

/** What a connection shares with the others of its listener. */
export interface Http2ConnectionOwner {
  readonly limits: HttpServerLimits;
  readonly judgeHost: JudgeHost;
  readonly refusals: RefusalCounter;
  readonly exchanges: OpenExchanges;
  /** Counts the checks of timeouts. */
  readonly tick: number;
  /** Connections end when nothing is under way on them. */
  readonly draining: boolean;
  /** The connection is closed because of what its client does to its streams. */
  flooded(): void;
  /** The connection is gone. */
  closed(connection: Http2Connection): void;
}

/**
 * One connection of a client that speaks HTTP/2, and the exchanges on its streams.
 *
 * 1. A request that does not pass the gate gets a fixed answer on its stream; the connection goes on, since its streams
 *    cannot be taken for one another.
 * 2. Streams that their client resets, makes us reset, or is refused are counted: a client that does little else loses its connection. Frames
 *    that never become a stream are bounded below us, by node:http2 and nghttp2.
 */
export class Http2Connection {
  readonly #owner: Http2ConnectionOwner;
  readonly #session: ServerHttp2Session;
  readonly #addresses: ConnectionAddresses;
  /** Streams so far, and those under way. */
  #streams = 0;
  #open = 0;
  #faults = 0;
  /** Tick at which the last stream ended, or the connection began. */
  #since: number;

  /** @param socket speaks HTTP/2 from its first byte on, even if some have been read and put back. */
  constructor(owner: Http2ConnectionOwner, socket: Socket) {
    this.#owner = owner;
    this.#since = owner.tick;
    const { localPort, remoteAddress } = socket;
    this.#addresses = { localPort, remoteAddress, encrypted: (socket as ConnectionAddresses).encrypted === true };
    // HTTP/2 has its own word for the end of a request: a client that ends the connection has left.
    socket.allowHalfOpen = false;
    this.#session = performServerHandshake(socket, sessionOptions(owner.limits));
    this.#session.on('stream', (stream, _headers, _flags, fields) => this.#take(stream, fields));
    this.#session.on('error', ignore);
    socket.on('close', () => owner.closed(this));
  }

  /** Nothing is under way. */
  get idle(): boolean {
    return this.#open === 0;
  }

  destroy(): void {
    this.#session.destroy();
  }

  /** No new streams, please; those that come all the same are served. */
  drain(): void {
    if (this.#streams > 0 && !this.#session.destroyed) this.#session.goaway(constants.NGHTTP2_NO_ERROR, lastStreamId);
  }

  /** Ends the connection in order, once nothing is under way. */
  end(): void {
    if (!this.#session.closed) this.#session.close();
  }

  /** Called by the sweep: ends what has waited for too long. */
  checkTime(limits: TickLimits): void {
    this.#faults = Math.max(0, this.#faults - Math.ceil(this.#owner.limits.maxStreamFaults / forgivenShare));
    if (!this.idle) return;
    const waited = this.#owner.tick - this.#since;
    if (this.#streams === 0 ? waited > limits.head : waited > limits.keepAlive + limits.ending) this.destroy();
    else if (waited > limits.keepAlive) this.end();
  }

  #take(stream: ServerHttp2Stream, fields: readonly string[]): void {
    this.#streams += 1;
    stream.on('error', ignore);
    // Reset in the same read that began it: nobody waits for an answer.
    if (stream.destroyed || stream.closed) {
      this.#owner.refusals.refused(0);
      return this.#fault();
    }
    const owner = this.#owner;
    if (this.#streams >= owner.limits.maxRequestsPerConnection) this.end();
    this.#open += 1;
    const parsed = readHttp2Head(fields, !stream.endAfterHeaders, owner.limits.maxHeaderBytes);
    if (parsed.refusal) return this.#refuse(stream, parsed.refusal, '');
    const { request } = parsed;
    const passed = passGate(request, owner.limits);
    if (passed.refusal) return this.#refuse(stream, passed.refusal, request.method);
    const head = new GatedHead(request.method, passed.head, this.#addresses);
    const refusal = owner.judgeHost(head);
    if (refusal) return this.#refuse(stream, refusal, request.method);
    const exchange = new Http2Exchange(stream, head, passed.head, owner.tick);
    // Comes before `close` does, which waits until what was sent of the body is read. Not at once: it may be our own doing.
    stream.on('aborted', () => process.nextTick(leave, stream, exchange));
    stream.on('close', () => {
      owner.exchanges.finished(exchange);
      this.#streamEnded(exchange.streamClosed());
    });
    owner.exchanges.begin(exchange);
  }

  #refuse(stream: ServerHttp2Stream, refusal: Refusal, method: string): void {
    this.#owner.refusals.refused(refusal.status, method);
    stream.on('close', () => this.#streamEnded(false));
    const allow = refusal.status === 405 ? { allow: servedMethods } : {};
    stream.respond({ ':status': refusal.status, 'content-type': 'text/plain', ...allow });
    stream.end(`${refusal.reason}\n`);
    if (!stream.endAfterHeaders) stream.close(constants.NGHTTP2_NO_ERROR);
  }

  /** @param isFair its client neither cut it short nor was refused. */
  #streamEnded(isFair: boolean): void {
    this.#open -= 1;
    this.#since = this.#owner.tick;
    if (!isFair) this.#fault();
    if (this.#open === 0 && this.#owner.draining) this.end();
  }

  #fault(): void {
    this.#faults += 1;
    if (this.#faults <= this.#owner.limits.maxStreamFaults || this.#session.destroyed) return;
    this.#owner.flooded();
    this.#session.destroy(new Error('too many streams were reset'), constants.NGHTTP2_ENHANCE_YOUR_CALM);
  }
}

/** Highest id of a stream: none that is on its way is turned away (RFC 9113 §6.8). */
const lastStreamId = 2 ** 31 - 1;
/** The share of the faults a connection may have that is forgiven at each check. */
const forgivenShare = 10;
/** Fields of the request line. */
const pseudoFields = 4;
/** What one connection may make node:http2 hold, in megabytes. */
const sessionMegabytes = 16;

function sessionOptions(limits: HttpServerLimits) {
  return {
    maxHeaderListPairs: limits.maxHeaders + pseudoFields,
    maxSessionMemory: sessionMegabytes,
    maxSessionInvalidFrames: limits.maxStreamFaults,
    maxSessionRejectedStreams: limits.maxStreamFaults,
    streamResetBurst: limits.maxStreamFaults,
    streamResetRate: Math.ceil(limits.maxStreamFaults / forgivenShare),
    settings: {
      maxConcurrentStreams: limits.maxStreamsPerConnection,
      maxHeaderListSize: limits.maxHeaderBytes,
      initialWindowSize: limits.streamWindowBytes,
      enablePush: false,
    },
  };
}

function leave(stream: ServerHttp2Stream, exchange: Http2Exchange): void {
  exchange.streamClosed();
  stream.resume();
}

function ignore(): void {}
