import type { DeltaDiscoveryResponse } from '@signalbox/proto/envoy/service/discovery/v3/discovery_pb.ts';
import type { Clock, Logger } from '@signalbox/runtime';
import type { ClientHandler, ResourceFault, ResourceUpdate, SubscriptionChange } from './client-handler.ts';
import { type ClientEvent, type ClientSession, newClientSession, stepClient } from './client-session.ts';
import type { ClientStream, ClientTransport } from './discovery-transport.ts';
import type { ClientNode } from './node.ts';

export interface ClientStreamRunOptions {
  readonly transport: ClientTransport;
  readonly node: ClientNode;
  readonly types: readonly string[];
  readonly handler: ClientHandler;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly connectTimeoutMs: number;
  /** The first response has arrived: the stream works. */
  readonly onAnswer: () => void;
}

const everything: readonly string[] = ['*'];

/** How a stream ended. */
export interface StreamOutcome {
  /** It has delivered something. */
  readonly answered: boolean;
  /** gRPC status code. */
  readonly code: number;
  readonly detail: string;
  /** How long the server wants the client to stay away, in milliseconds. */
  readonly retryAfterMs: number | undefined;
}

/** How long a server may take to end a stream that is over, in milliseconds. */
const farewellMs = 500;

/** One stream of a client: a session bound to a transport and to the handler, from dialing to the end. */
export class ClientStreamRun {
  readonly #options: ClientStreamRunOptions;
  readonly #ended = Promise.withResolvers<Omit<StreamOutcome, 'answered'>>();
  #session: ClientSession;
  #stream: ClientStream | undefined;
  #handling: Promise<void> = Promise.resolve();
  #phase: 'connecting' | 'connected' | 'over' = 'connecting';
  #answered = false;
  /** Why this end cancelled the stream. */
  #abortReason: string | undefined;

  constructor(options: ClientStreamRunOptions) {
    this.#options = options;
    this.#session = newClientSession(options.types);
  }

  /** Dials, and resolves when the stream has ended and the handler has returned. Call once. */
  async toEnd(signal: AbortSignal): Promise<StreamOutcome> {
    const { transport, clock, connectTimeoutMs, node, handler } = this.#options;
    this.#stream = transport.open({
      onAccepted: () => this.#accepted(),
      onResponse: (response) => this.#receive(response),
      onEnd: (code, detail, retryAfterMs) => {
        this.#phase = 'over';
        this.#ended.resolve({ code, detail, retryAfterMs });
      },
    });
    using farewell = new DisposableStack();
    const stop = () => farewell.use(this.#sayGoodbye());
    signal.addEventListener('abort', stop, { once: true });
    using _connecting = clock.timer(connectTimeoutMs, () => {
      if (this.#phase === 'connecting') this.#abort(`not accepted within ${connectTimeoutMs} ms`);
    });
    this.#step({
      kind: 'opened',
      node,
      held: (typeUrl) => handler.heldVersions(typeUrl),
      names: (typeUrl) => handler.subscriptions?.(typeUrl) ?? everything,
    });
    const { code, detail: told, retryAfterMs } = await this.#ended.promise;
    signal.removeEventListener('abort', stop);
    await this.#handling;
    const detail = this.#abortReason ?? (told || 'the server ended the stream');
    return { answered: this.#answered, code, detail, retryAfterMs };
  }

  /** Asks for other names than before. Call in the order of types: what closes a round comes last. */
  resubscribe(change: SubscriptionChange): void {
    this.#step({ kind: 'resubscribe', change });
  }

  #accepted(): void {
    if (this.#phase !== 'connecting') return;
    this.#phase = 'connected';
    this.#options.handler.onConnection('connected', this.#stream?.remoteAddress ?? '');
  }

  #receive(response: DeltaDiscoveryResponse): void {
    this.#accepted();
    if (!this.#answered) this.#options.onAnswer();
    this.#answered = true;
    this.#step({ kind: 'response', response });
  }

  #step(event: ClientEvent): void {
    if (this.#phase === 'over' || this.#abortReason !== undefined) return;
    const { session, effects } = stepClient(this.#session, event);
    this.#session = session;
    for (const effect of effects) {
      if (effect.kind === 'send') this.#stream?.send(effect.request);
      else if (effect.kind === 'abort') this.#abort(effect.reason);
      else this.#handling = this.#handle(effect.update).then((faults) => this.#step({ kind: 'handled', faults }));
    }
  }

  /** The handler's answer. One that throws refuses the whole response: that is a bug, and it must be seen. */
  async #handle(update: ResourceUpdate): Promise<readonly ResourceFault[]> {
    try {
      return await this.#options.handler.onResponse(update);
    } catch (error) {
      const fields = { typeUrl: update.typeUrl, error: String(error) };
      this.#options.logger.error('a discovery response could not be handled', fields);
      return [{ name: '', error: `the node failed to handle the response: ${String(error)}` }];
    }
  }

  /** A server that does not take it in time is left without. */
  #sayGoodbye(): Disposable {
    const reason = 'the client was stopped';
    const stream = this.#stream;
    if (this.#phase !== 'connected' || !stream?.finish) this.#abort(reason);
    else {
      this.#abortReason ??= reason;
      stream.finish();
    }
    return this.#options.clock.timer(farewellMs, () => this.#abort(reason));
  }

  #abort(reason: string): void {
    this.#abortReason ??= reason;
    this.#stream?.cancel();
  }
}
