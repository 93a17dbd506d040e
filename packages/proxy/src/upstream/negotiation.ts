import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { type Deadlines, disarmed, type Expiring } from './deadlines.ts';
import { type AlpnProtocol, connectTls, type Endpoint } from './endpoint.ts';
import type { KeyedPool } from './pools.ts';
import { requestHead } from './request-head.ts';
import type { UpstreamError, UpstreamExchange, UpstreamHandler, UpstreamRequest } from './upstream.ts';

type Dispatch = (request: UpstreamRequest, handler: UpstreamHandler) => UpstreamExchange;

/** Speaks one version of HTTP. */
interface NegotiatedClient {
  dispatch: Dispatch;
  /** The same, over the connection on which it was agreed. */
  dispatchOn(socket: Socket, request: UpstreamRequest, handler: UpstreamHandler): UpstreamExchange;
}

export interface NegotiationContext {
  readonly deadlines: Deadlines;
  /** Requests that wait for what is agreed on. Beyond: `pool-full`. */
  readonly maxWaiting: number;
  /** What speaks it. */
  clientFor(protocol: AlpnProtocol): NegotiatedClient;
  /** Nothing is known of the endpoint. */
  forget(negotiation: Negotiation): void;
}

/**
 * Finds out which version of HTTP an endpoint speaks, by the handshake of its first connection (ALPN, RFC 7301), which is
 * then used. What came out holds for as long as there are connections.
 */
export class Negotiation implements KeyedPool, Expiring {
  deadlineTick = disarmed;
  deadlinePrevious: Expiring | undefined = undefined;
  deadlineNext: Expiring | undefined = undefined;
  readonly poolKey: string;
  readonly origin: string;
  /** Undefined while it is being found out. */
  protocol: AlpnProtocol | undefined = undefined;
  readonly #context: NegotiationContext;
  readonly #socket: Socket;
  readonly #waiting = new Set<NegotiatedExchange>();
  #errorCode = '';
  #over = false;

  constructor(context: NegotiationContext, { poolKey, origin, peer, timeouts }: UpstreamRequest, endpoint: Endpoint) {
    this.#context = context;
    this.poolKey = poolKey;
    this.origin = origin;
    this.#socket = connectTls(endpoint, ['h2', 'http/1.1']);
    this.#socket.on('error', this.#onError).on('close', this.#onClose).on('secureConnect', this.#onSecure);
    context.deadlines.arm(this, peer?.connection.connectMs ?? timeouts.connectMs);
  }

  /** A request that comes while it is being found out. @throws TypeError like `Upstream.dispatch`. */
  add(request: UpstreamRequest, handler: UpstreamHandler): UpstreamExchange {
    requestHead(request, '');
    const exchange = new NegotiatedExchange(request, handler, () => this.#waiting.delete(exchange));
    if (this.#waiting.size < this.#context.maxWaiting) this.#waiting.add(exchange);
    else queueMicrotask(() => exchange.fail('pool-full', 'too many requests wait for a connection'));
    return exchange;
  }

  /** Knowing is no connection: it never stands in the way of another. */
  get unused(): boolean {
    return this.protocol !== undefined;
  }

  closeIdle(): void {
    if (this.protocol !== undefined) this.#context.forget(this);
  }

  close(): void {
    this.#fail('closed-early', 'the client was closed');
  }

  onDeadline(): void {
    this.#fail('connect-timeout', 'the connection was not made in time');
  }

  readonly #onError = (error: NodeJS.ErrnoException): void => {
    this.#errorCode ||= error.code ?? error.name;
  };

  readonly #onClose = (): void => {
    this.#fail('connect-failed', `the connection failed: ${this.#errorCode || 'closed'}`);
  };

  readonly #onSecure = (): void => {
    const socket = this.#socket as TLSSocket;
    const [first, ...others] = this.#waiting;
    if (!first) return this.#fail('closed-early', 'nobody waits');
    this.#over = true;
    this.#context.deadlines.disarm(this);
    this.#waiting.clear();
    socket.off('error', this.#onError).off('close', this.#onClose);
    // Whoever does not know of ALPN speaks HTTP/1.1.
    this.protocol = socket.alpnProtocol === 'h2' ? 'h2' : 'http/1.1';
    const client = this.#context.clientFor(this.protocol);
    first.begin((request, handler) => client.dispatchOn(socket, request, handler));
    for (const other of others) other.begin((request, handler) => client.dispatch(request, handler));
  };

  #fail(code: UpstreamError['code'], message: string): void {
    if (this.#over) return;
    this.#over = true;
    this.#context.deadlines.disarm(this);
    this.#context.forget(this);
    this.#socket.destroy();
    for (const exchange of [...this.#waiting]) exchange.fail(code, message);
  }
}

/** An exchange that waits until it is known how its endpoint is spoken to, and then is another one. */
class NegotiatedExchange implements UpstreamExchange {
  readonly #request: UpstreamRequest;
  readonly #handler: UpstreamHandler;
  readonly #left: () => void;
  #exchange: UpstreamExchange | undefined;
  #paused = false;
  #over = false;
  #pieces: Buffer[] = [];
  #trailers: readonly string[] | undefined;

  /** @param left it waits no longer. */
  constructor(request: UpstreamRequest, handler: UpstreamHandler, left: () => void) {
    this.#request = request;
    this.#handler = handler;
    this.#left = left;
  }

  begin(dispatch: Dispatch): void {
    const exchange = dispatch(this.#request, this.#handler);
    this.#exchange = exchange;
    if (this.#paused) exchange.pause();
    for (const piece of this.#pieces) exchange.write(piece);
    this.#pieces = [];
    if (this.#trailers) exchange.endBody(this.#trailers);
  }

  fail(code: UpstreamError['code'], message: string): void {
    if (this.#over) return;
    this.#leave();
    this.#handler.onError({ code, message, notAccepted: true });
  }

  pause(): void {
    this.#paused = true;
    this.#exchange?.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#exchange?.resume();
  }

  detach(): void {
    this.#exchange?.detach();
  }

  write(chunk: Buffer): boolean {
    if (this.#exchange) return this.#exchange.write(chunk);
    if (!this.#over) this.#pieces.push(chunk);
    return false;
  }

  endBody(trailers: readonly string[] = []): void {
    if (this.#exchange) return this.#exchange.endBody(trailers);
    this.#trailers ??= trailers;
  }

  abort(): void {
    if (this.#exchange) return this.#exchange.abort();
    this.#leave();
  }

  #leave(): void {
    this.#over = true;
    this.#pieces = [];
    this.#left();
  }
}
