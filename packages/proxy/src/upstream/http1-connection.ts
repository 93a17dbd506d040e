import { connect as connectTcp, type Socket } from 'node:net';
import { type Deadlines, disarmed, type Expiring } from './deadlines.ts';
import type { DispatchedExchange, ExchangeCarrier } from './dispatched-exchange.ts';
import { connectTls, type Endpoint } from './endpoint.ts';
import type { ResponseHead } from './response-head.ts';
import { ResponseParser, type ResponseSink } from './response-parser.ts';
import type { SpareBuffers } from './spare-buffers.ts';

/** What a connection shares with the others. */
export interface ConnectionOwner {
  readonly endpoint: Endpoint;
  readonly deadlines: Deadlines;
  readonly maxHeadBytes: number;
  readonly maxRequestsPerConnection: number;
  readonly idleTimeoutMs: number;
  /** Bytes are read into this buffer, whichever connection they are for. */
  readonly readBuffer: Buffer;
  /** Memory of large answers. */
  readonly spareBuffers: SpareBuffers;
  /** The connection is free for another exchange. */
  freed(connection: Http1Connection): void;
  /** The connection works for a stream: it counts no longer, until it is free again. */
  detached(connection: Http1Connection): void;
  /** The connection is gone. @param unanswered the exchange that had not a byte of its answer yet, on a kept connection. */
  closed(connection: Http1Connection, unanswered: DispatchedExchange | undefined): void;
}

/**
 * One socket and at most one exchange on it.
 *
 * 1. Whatever arrives while no answer is due closes the connection.
 * 2. After a problem, a timeout or an abort it is destroyed, never kept.
 * 3. Reads go to a buffer that all connections share, so that an idle connection or a quiet stream costs none, and are
 *    lent, or copied before they are handed on. An answer that fills it gets a buffer of its own, a larger one, handed on
 *    as it is: while the client takes everything at once the same memory is read into again, which stays warm.
 */
export class Http1Connection implements ExchangeCarrier, ResponseSink, Expiring {
  deadlineTick = disarmed;
  deadlinePrevious: Expiring | undefined = undefined;
  deadlineNext: Expiring | undefined = undefined;
  readonly #owner: ConnectionOwner;
  readonly #socket: Socket;
  readonly #parser: ResponseParser;
  /** What the next read goes to. */
  #buffer: Buffer;
  /** What is being read was not read into shared memory, and may be handed on. */
  #ownsBytes = false;
  /** Somebody still holds what was read into memory of our own, so the next read must go elsewhere. */
  #isHeld = false;
  #exchange: DispatchedExchange | undefined;
  #connected = false;
  #requests = 0;
  #keepMs: number;
  #gone = false;
  #errorCode = '';

  /**
   * Begins to connect.
   * @param first is sent as soon as the connection stands.
   * @param ready an encrypted connection that already does, on which HTTP/1.1 was agreed.
   */
  constructor(owner: ConnectionOwner, first: DispatchedExchange, ready?: Socket) {
    this.#owner = owner;
    this.#keepMs = owner.idleTimeoutMs;
    this.#buffer = owner.readBuffer;
    this.#parser = new ResponseParser(this, owner.maxHeadBytes);
    this.#exchange = first;
    first.connection = this;
    first.startWaiting('connecting');
    this.#socket = ready ?? this.#connect();
    this.#listen(ready !== undefined);
    if (ready) this.#onConnect();
  }

  /** Sends a request. The connection must be free. */
  run(exchange: DispatchedExchange): void {
    this.#owner.deadlines.disarm(this);
    this.#exchange = exchange;
    exchange.connection = this;
    if (this.#connected) this.#send(exchange);
  }

  /** Can take another exchange: nobody has closed it, and everything sent has left. */
  get usable(): boolean {
    return !this.#gone && !this.#socket.destroyed && this.#socket.writable && this.#socket.writableLength === 0;
  }

  /** It is nobody's turn: wait for another exchange for a while. */
  rest(): void {
    this.#owner.deadlines.arm(this, this.#keepMs);
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** Sends a piece of a streamed body. @returns false when the peer is slower than whoever sends. */
  upload(piece: Buffer, chunked: boolean): boolean {
    const socket = this.#socket;
    if (!chunked) return socket.write(piece);
    socket.cork();
    socket.write(`${piece.length.toString(16)}\r\n`, 'latin1');
    socket.write(piece);
    const takesMore = socket.write('\r\n', 'latin1');
    socket.uncork();
    return takesMore;
  }

  /** Ends a chunked body. */
  endUpload(): void {
    this.#socket.write('0\r\n\r\n', 'latin1');
  }

  /** Leaves its place in the pool to others. What is read on a GET stream is for long the last that is read. */
  detach(): void {
    if (this.#exchange?.request.method === 'GET') this.#parser.forgetLines();
    this.#owner.detached(this);
  }

  destroy(): void {
    this.#close();
    this.#socket.destroy();
  }

  /** Gives up, and the exchange with it. */
  breakOff(reason: string): void {
    const exchange = this.#exchange;
    this.destroy();
    exchange?.failed('closed-early', reason);
  }

  onDeadline(): void {
    this.destroy();
  }

  onHead(head: ResponseHead): void {
    if (head.keepAliveMs !== undefined) {
      // The peer counts from its last byte, and so may be ahead of us.
      this.#keepMs = Math.max(0, Math.min(this.#owner.idleTimeoutMs, head.keepAliveMs - peerAheadMs));
    }
    this.#exchange?.answered(head);
  }

  onBody(bytes: Buffer, start: number, end: number): void {
    const exchange = this.#exchange;
    if (!exchange) return;
    if (this.#ownsBytes) this.#isHeld = !exchange.data(bytes.subarray(start, end), false) || this.#isHeld;
    else if (exchange.borrows) exchange.data(bytes.subarray(start, end), true);
    else exchange.data(copyOf(bytes, start, end), false);
  }

  onComplete(reusable: boolean): void {
    const exchange = this.#exchange;
    this.#exchange = undefined;
    if (exchange) {
      exchange.connection = undefined;
      if (exchange.paused) this.#socket.resume();
    }
    const isSent = exchange?.uploading !== true;
    const kept =
      reusable && isSent && this.usable && this.#requests < this.#owner.maxRequestsPerConnection && this.#keepMs > 0;
    // Before the end is told: whoever hears it may send the next request at once.
    if (kept) this.#owner.freed(this);
    else this.destroy();
    exchange?.ended();
  }

  onProblem(problem: string): void {
    const exchange = this.#exchange;
    this.destroy();
    exchange?.failed('protocol', problem);
  }

  #connect(): Socket {
    const { endpoint } = this.#owner;
    return endpoint.secure ? connectTls(endpoint, ['http/1.1']) : this.#connectTcp(endpoint.host, endpoint.port);
  }

  #listen(isReady: boolean): void {
    const socket = this.#socket;
    const { secure } = this.#owner.endpoint;
    if (secure) socket.on('data', (bytes: Buffer) => this.#readOwned(bytes));
    if (!isReady) socket.on(secure ? 'secureConnect' : 'connect', () => this.#onConnect());
    socket.on('error', (error: NodeJS.ErrnoException) => void (this.#errorCode = error.code ?? error.name));
    socket.on('end', () => this.#onEnd());
    socket.on('close', () => this.#onEnd());
    socket.on('drain', () => this.#exchange?.drained());
  }

  #connectTcp(host: string, port: number): Socket {
    const options = { host, port, noDelay: true, keepAlive: true, keepAliveInitialDelay: 30_000 };
    // Reads on Windows are under way while others complete, so there a buffer cannot be shared.
    if (process.platform === 'win32') return connectTcp(options).on('data', (bytes: Buffer) => this.#readOwned(bytes));
    const callback = (size: number) => {
      this.#readBuffer(size);
      return true;
    };
    return connectTcp({ ...options, onread: { buffer: () => this.#buffer, callback } });
  }

  #onConnect(): void {
    this.#connected = true;
    if (this.#exchange) this.#send(this.#exchange);
  }

  #send(exchange: DispatchedExchange): void {
    const { request, head } = exchange;
    this.#requests += 1;
    this.#parser.begin(request.method);
    exchange.sent();
    const { body } = request;
    if (request.streamed !== undefined) {
      this.#socket.write(head, 'latin1');
      exchange.uploadOn(this);
    } else if (!body || body.length === 0) this.#socket.write(head, 'latin1');
    else if (body.length <= joinedBytes) this.#socket.write(head + body.toString('latin1'), 'latin1');
    else {
      this.#socket.cork();
      this.#socket.write(head, 'latin1');
      this.#socket.write(body);
      this.#socket.uncork();
    }
    if (exchange.paused) this.#socket.pause();
  }

  #readBuffer(size: number): void {
    const buffer = this.#buffer;
    const isShared = buffer === this.#owner.readBuffer;
    // A buffer that is mostly empty is copied from and used again, instead of being kept alive by a few bytes.
    this.#ownsBytes = !isShared && size * 2 > buffer.length;
    this.#isHeld = false;
    this.#read(buffer.subarray(0, size));
    if (!this.#exchange) {
      if (!isShared && !this.#isHeld) this.#owner.spareBuffers.give(buffer);
      this.#buffer = this.#owner.readBuffer;
    } else if (this.#isHeld || (isShared && size === buffer.length)) {
      this.#buffer = this.#owner.spareBuffers.take();
    }
  }

  #readOwned(bytes: Buffer): void {
    this.#ownsBytes = true;
    this.#read(bytes);
  }

  #read(bytes: Buffer): void {
    if (this.#gone) return;
    if (!this.#exchange) return this.destroy();
    this.#parser.push(bytes);
    this.#exchange?.watchBody();
  }

  /** The peer will send nothing more, or the socket is gone. */
  #onEnd(): void {
    if (this.#gone) return;
    const exchange = this.#exchange;
    if (exchange && !this.#connected) {
      this.#close();
      exchange.failed('connect-failed', `the connection failed: ${this.#errorCode || 'closed'}`);
    } else if (exchange && this.#parser.untouched && this.#requests > 1) {
      this.#close(exchange);
    } else if (exchange && (this.#errorCode !== '' || !this.#parser.end())) {
      this.#close();
      exchange.failed('closed-early', `the upstream closed the connection: ${this.#errorCode || 'end of stream'}`);
    } else {
      this.#close();
    }
    this.#socket.destroy();
  }

  #close(unanswered?: DispatchedExchange): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#parser.stop();
    this.#owner.deadlines.disarm(this);
    if (this.#exchange) this.#exchange.connection = undefined;
    this.#exchange = undefined;
    this.#owner.closed(this, unanswered);
  }
}

/** Bodies up to this size travel in one piece with their head. */
const joinedBytes = 12_288;
const peerAheadMs = 1_000;

function copyOf(bytes: Buffer, start: number, end: number): Buffer {
  const copy = Buffer.allocUnsafe(end - start);
  bytes.copy(copy, 0, start, end);
  return copy;
}
