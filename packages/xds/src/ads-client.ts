import { type MethodDefinition, status } from '@grpc/grpc-js';
import { Backoff, type BackoffOptions, type Clock, type Logger, type Random, type Secret } from '@signalbox/runtime';
import type { ClientHandler, SubscriptionChange } from './client-handler.ts';
import { ClientStreamRun, type StreamOutcome } from './client-stream-run.ts';
import type { ClientTransport } from './discovery-transport.ts';
import { type AdsClientTls, GrpcClientTransport } from './grpc-client-transport.ts';
import type { ClientNode } from './node.ts';

export interface AdsClientOptions {
  /** `host:port` of the server. */
  readonly address: string;
  /** Bearer token, sent when a stream opens; absent: the certificate says who this is. */
  readonly token: Secret | undefined;
  /** Asked when dialing; absent: plaintext. */
  readonly tls?: () => AdsClientTls;
  readonly node: ClientNode;
  /** Type URLs to subscribe to with a wildcard, in the order in which they are requested. */
  readonly types: readonly string[];
  readonly handler: ClientHandler;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Delays between streams. */
  readonly backoff: BackoffOptions;
  readonly limits: AdsClientLimits;
  /** What carries the streams. Absent: gRPC to the address. */
  readonly transport?: ClientTransport;
}

export interface AdsClientLimits {
  /** A larger response ends the stream. */
  readonly maxResponseBytes: number;
  /** How long a connection may take to be made and accepted. */
  readonly connectTimeoutMs: number;
  /** Time between pings that find a half-open connection. */
  readonly keepaliveIntervalMs: number;
  /** How long an answer to a ping may take. */
  readonly keepaliveTimeoutMs: number;
}

/** No server keeps a client away for longer. */
const maxPushbackMs = 60_000;

/**
 * Keeps one delta stream to the server open, for as long as it runs: connects, hands every response to the handler,
 * acknowledges or refuses it, and reconnects when the stream ends, whatever the reason.
 */
export class AdsClient {
  readonly #options: AdsClientOptions;
  readonly #transport: ClientTransport;
  readonly #backoff: Backoff;
  readonly #stopping = new AbortController();
  #running: Promise<void> | undefined;
  /** The stream that has said what the handler wants. */
  #present: ClientStreamRun | undefined;

  constructor(options: AdsClientOptions) {
    this.#options = options;
    this.#transport = options.transport ?? new GrpcClientTransport({ ...options, ...options.limits });
    this.#backoff = new Backoff(options.backoff, options.clock, options.random);
  }

  /** Dials in the background. */
  start(): void {
    this.#running ??= this.#run();
  }

  /** Calls another service of the server over the connection of the stream. @throws Error as the transport's call. */
  async call<Request, Response>(
    method: MethodDefinition<Request, Response>,
    request: Request,
    deadlineMs: number,
  ): Promise<Response> {
    const answer = this.#transport.call?.(method, request, deadlineMs);
    if (!answer) throw new Error('this transport carries streams only');
    return answer;
  }

  /**
   * Asks for other names on the present stream, type by type in the order of the types. Without a stream nothing is
   * asked: the next one begins with what the handler then wants.
   */
  resubscribe(changes: readonly SubscriptionChange[]): void {
    for (const change of changes) this.#present?.resubscribe(change);
  }

  /** Ends the stream. Resolves when the handler is no longer called. */
  async stop(): Promise<void> {
    this.#stopping.abort(new Error('the client was stopped'));
    await this.#running;
  }

  async #run(): Promise<void> {
    const { clock, handler, address } = this.#options;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      handler.onConnection('connecting', address);
      const outcome = await this.#stream(signal);
      handler.onConnection('disconnected', outcome.detail);
      if (signal.aborted) return;
      // A server that is full says when there is room: whoever comes earlier only makes it wait longer.
      const delayMs = this.#backoff.nextDelayMs() + Math.min(outcome.retryAfterMs ?? 0, maxPushbackMs);
      this.#log(outcome, delayMs);
      await clock.sleep(delayMs, signal).catch(() => undefined);
    }
  }

  /** One stream, from dialing to its end. */
  #stream(signal: AbortSignal): Promise<StreamOutcome> {
    const { node, types, handler, clock, logger, limits } = this.#options;
    const run = new ClientStreamRun({
      ...{ transport: this.#transport, node, types, handler, clock, logger },
      connectTimeoutMs: limits.connectTimeoutMs,
      onAnswer: () => this.#backoff.succeeded(),
    });
    this.#present = run;
    return run.toEnd(signal).finally(() => (this.#present = undefined));
  }

  /** A stream that ends after it has answered is no failure. */
  #log({ answered, code, detail }: StreamOutcome, delayMs: number): void {
    const { logger, address } = this.#options;
    const fields = { address, code: status[code] ?? code, detail, delayMs: Math.round(delayMs) };
    if (answered) logger.info('discovery stream ended, reconnecting', fields);
    else logger.warn('discovery stream failed, retrying', fields);
  }
}
