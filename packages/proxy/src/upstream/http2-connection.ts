import { type ClientHttp2Session, type ClientHttp2Stream, connect as connectHttp2, constants } from 'node:http2';
import { connect as connectTcp, type Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { type Deadlines, disarmed, type Expiring } from './deadlines.ts';
import type { DispatchedExchange } from './dispatched-exchange.ts';
import { connectTls, type Endpoint } from './endpoint.ts';
import type { Http2ClientLimits } from './http2-client.ts';
import { http2RequestHead } from './http2-head.ts';
import { Http2Stream, type Http2StreamOwner, nameOf } from './http2-stream.ts';
import type { UpstreamError } from './upstream.ts';

/** What a connection shares with the others of its pool. */
export interface Http2ConnectionOwner {
  readonly endpoint: Endpoint;
  readonly deadlines: Deadlines;
  readonly limits: Http2ClientLimits;
  readonly idleTimeoutMs: number;
  /** It stands, or has room again. */
  roomy(connection: Http2Connection): void;
  /** A stream of it counts no longer. */
  streamDetached(): void;
  /** The request was not answered, and can be sent again if that does no harm. */
  unanswered(exchange: DispatchedExchange, refused: boolean, message: string): void;
  /** It takes no more streams. */
  retired(connection: Http2Connection): void;
  /** It is gone. @param failure why it never stood. */
  closed(connection: Http2Connection, failure: Pick<UpstreamError, 'code' | 'message'> | undefined): void;
}

/**
 * One connection and the exchanges on its streams.
 *
 * 1. After GOAWAY, an error or its last request it takes no more streams, and ends with the last one under way.
 * 2. When a stream heard nothing in time, and nor did any other meanwhile, the peer is pinged: one that is gone would
 *    otherwise swallow requests for as long as its connection seems to stand.
 */
export class Http2Connection implements Http2StreamOwner, Expiring {
  deadlineTick = disarmed;
  deadlinePrevious: Expiring | undefined = undefined;
  deadlineNext: Expiring | undefined = undefined;
  /** Why it ended; empty while it stands. */
  lost = '';
  readonly #owner: Http2ConnectionOwner;
  readonly #connectMs: number;
  readonly #socket: Socket;
  readonly #streams = new Set<Http2Stream>();
  #session: ClientHttp2Session | undefined;
  #requests = 0;
  #detachedStreams = 0;
  #retired = false;
  #gone = false;
  /** A ping is not answered yet. */
  #isDoubted = false;
  /** How often something of an answer came. */
  #heard = 0;

  /** Begins to connect. @param ready a connection that already stands, on which HTTP/2 was agreed. */
  constructor(owner: Http2ConnectionOwner, connectMs: number, ready?: Socket) {
    this.#owner = owner;
    this.#connectMs = connectMs;
    const { endpoint, deadlines } = owner;
    const { secure, host, port } = endpoint;
    const options = { host, port, noDelay: true, keepAlive: true, keepAliveInitialDelay: 30_000 };
    this.#socket = ready ?? (secure ? connectTls(endpoint, ['h2']) : connectTcp(options));
    this.#socket.on('error', (error: NodeJS.ErrnoException) => void (this.lost ||= error.code ?? error.name));
    this.#socket.on('close', () => this.#onClose());
    if (ready) {
      this.#begin();
    } else {
      deadlines.arm(this, connectMs);
      this.#socket.on(secure ? 'secureConnect' : 'connect', () => this.#begin());
    }
  }

  get isConnecting(): boolean {
    return !this.#session && !this.#gone;
  }

  /** How many streams it can take. */
  get room(): number {
    const session = this.#session;
    if (!session || this.#retired || this.#isDoubted || session.closed || session.destroyed) return 0;
    return this.#maxStreams - this.#streams.size;
  }

  /** Takes no more streams, or is full of those that do not count. */
  get isGivenOver(): boolean {
    return this.#retired || (this.#detachedStreams > 0 && this.#detachedStreams >= this.#maxStreams);
  }

  get isIdle(): boolean {
    return this.#session !== undefined && this.#streams.size === 0;
  }

  get streams(): number {
    return this.#streams.size;
  }

  get maxHeadBytes(): number {
    return this.#owner.limits.maxHeadBytes;
  }

  /** Sends a request. There must be room. */
  run(exchange: DispatchedExchange): void {
    const { endpoint, deadlines, limits } = this.#owner;
    const { request } = exchange;
    deadlines.disarm(this);
    this.#requests += 1;
    const head = http2RequestHead(request, endpoint.authority, endpoint.secure);
    const endStream = request.streamed === undefined && !request.body?.length;
    const options = { endStream, waitForTrailers: request.trailers === true && !endStream };
    let stream: ClientHttp2Stream;
    try {
      stream = (this.#session as ClientHttp2Session).request(head, options);
    } catch (error) {
      return this.#notOpened(exchange, error);
    }
    this.#streams.add(new Http2Stream(this, stream, exchange, this.#heard));
    if (this.#requests >= limits.maxRequestsPerConnection) this.retire();
  }

  /** The session ended in this very turn, or the fields are none that HTTP/2 has. Not told within `dispatch`. */
  #notOpened(exchange: DispatchedExchange, error: unknown): void {
    const isOurs = this.room > 0;
    const message = `no stream could be opened: ${String(error)}`;
    if (this.#streams.size === 0) this.#owner.deadlines.arm(this, this.#owner.idleTimeoutMs);
    queueMicrotask(() => {
      if (isOurs) exchange.failed('protocol', message);
      else this.#owner.unanswered(exchange, true, message);
    });
  }

  /** Takes no more streams; ends with the last one. */
  retire(): void {
    if (this.#retired) return;
    this.#retired = true;
    this.#owner.retired(this);
    if (this.#streams.size === 0) this.destroy();
  }

  destroy(): void {
    this.#session?.destroy();
    this.#socket.destroy();
    this.#onClose();
  }

  /** Gives up, and all exchanges with it. */
  breakOff(reason: string): void {
    this.lost ||= reason;
    for (const stream of [...this.#streams]) stream.breakOff(reason);
    this.destroy();
  }

  /** The connection was not made in time, was idle for long enough, or its peer did not answer a ping. */
  onDeadline(): void {
    if (this.isConnecting) this.lost ||= 'timeout';
    if (this.#isDoubted) this.lost ||= 'its peer does not answer';
    this.destroy();
  }

  heard(): void {
    this.#heard += 1;
  }

  streamEnded(stream: Http2Stream, isSilent: boolean): void {
    this.#streams.delete(stream);
    if (stream.isDetached) this.#detachedStreams -= 1;
    if (this.#gone) return;
    if (isSilent && stream.mark === this.#heard) this.#doubt();
    else if (this.#streams.size === 0 && (this.#retired || this.#session?.closed === true)) this.destroy();
    else this.#rest();
  }

  detached(): void {
    this.#detachedStreams += 1;
    this.#owner.streamDetached();
  }

  unanswered(exchange: DispatchedExchange, refused: boolean, message: string): void {
    this.#owner.unanswered(exchange, refused, message);
  }

  /** Whoever waits comes next; else the connection waits for a while. */
  #rest(): void {
    if (this.room > 0) this.#owner.roomy(this);
    if (this.#streams.size === 0 && !this.#gone && !this.#isDoubted) {
      this.#owner.deadlines.arm(this, this.#owner.idleTimeoutMs);
    }
  }

  #begin(): void {
    const { endpoint, deadlines, limits } = this.#owner;
    const socket = this.#socket;
    if (endpoint.secure && (socket as TLSSocket).alpnProtocol !== 'h2') {
      this.lost ||= 'it does not speak HTTP/2';
      return this.destroy();
    }
    deadlines.disarm(this);
    const session = connectHttp2(`${endpoint.secure ? 'https' : 'http'}://${endpoint.authority}`, {
      createConnection: () => socket,
      ...sessionOptions(limits),
    });
    this.#session = session;
    session.setLocalWindowSize(Math.min(limits.windowBytes * sharedWindows, maxWindow));
    session.on('error', (error: NodeJS.ErrnoException) => void (this.lost ||= error.code ?? error.name));
    session.on('remoteSettings', () => this.#rest());
    session.on('goaway', (code) => this.#onGoaway(code));
    session.on('close', () => this.#onClose());
    // Whoever bounds streams more tightly may say so a moment later; what is beyond is refused, and sent again.
    this.#rest();
  }

  get #maxStreams(): number {
    const theirs = this.#session?.remoteSettings.maxConcurrentStreams ?? peerStreams;
    return Math.min(this.#owner.limits.maxStreams, theirs);
  }

  #onGoaway(code: number): void {
    if (code !== constants.NGHTTP2_NO_ERROR) this.lost ||= `the upstream ended the connection: ${nameOf(code)}`;
    this.retire();
  }

  #doubt(): void {
    const session = this.#session;
    if (this.#isDoubted || !session || session.destroyed) return;
    const isSent = session.ping((error) => {
      if (error || this.#gone) return;
      this.#isDoubted = false;
      this.#owner.deadlines.disarm(this);
      this.#rest();
    });
    if (!isSent) return this.destroy();
    this.#isDoubted = true;
    this.#owner.deadlines.arm(this, this.#connectMs);
  }

  #onClose(): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#owner.deadlines.disarm(this);
    this.lost ||= 'closed';
    const { lost } = this;
    const isTimeout = lost === 'timeout';
    const failure = this.#session
      ? undefined
      : ({
          code: isTimeout ? 'connect-timeout' : 'connect-failed',
          message: isTimeout ? 'the connection was not made in time' : `the connection failed: ${lost}`,
        } as const);
    this.lost = `the upstream closed the connection: ${lost}`;
    this.#owner.closed(this, failure);
  }
}

/** Streams that a peer takes before it says how many (RFC 9113 §6.5.2 recommends no fewer). */
const peerStreams = 100;
/** Windows of streams that the connection has room for: reading is not held up by those that nobody reads. */
const sharedWindows = 4;
const maxWindow = 2 ** 31 - 1;
/** What one connection may make node:http2 hold, in megabytes. */
const sessionMegabytes = 16;
/** Frames that make no sense, before the connection is given up. */
const maxInvalidFrames = 100;
/** The shortest field takes so much (RFC 9113 §6.5.2). */
const leastFieldBytes = 33;

function sessionOptions({ maxHeadBytes, windowBytes }: Http2ClientLimits) {
  return {
    maxHeaderListPairs: Math.ceil(maxHeadBytes / leastFieldBytes) + 1,
    maxSessionMemory: sessionMegabytes,
    maxSessionInvalidFrames: maxInvalidFrames,
    peerMaxConcurrentStreams: peerStreams,
    maxReservedRemoteStreams: 0,
    settings: { enablePush: false, initialWindowSize: windowBytes, maxHeaderListSize: maxHeadBytes },
  };
}
