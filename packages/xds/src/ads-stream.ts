import type { Metadata, ServerDuplexStream } from '@grpc/grpc-js';
import { Metadata as GrpcMetadata } from '@grpc/grpc-js';
import type { DeltaDiscoveryRequest } from '@signalbox/proto/envoy/service/discovery/v3/discovery_pb.ts';
import type { Clock, Logger, Random } from '@signalbox/runtime';
import type { AdsServerLimits, StreamGrant } from './ads-server.ts';
import type { ChangeSet } from './change-set.ts';
import type { ResponseEncoder } from './encoded-response.ts';
import type { Collection, ResourceFamily } from './family.ts';
import { type ClientNode, nodeOf } from './node.ts';
import {
  isAtRest,
  newServerSession,
  type ServerSession,
  type SessionEffect,
  type SessionEvent,
  type SessionLimits,
  stepServer,
} from './server-session.ts';
import { statusCode, type StreamEnd } from './stream-end.ts';
import type { StreamInfo, StreamObserver } from './stream-observer.ts';
import { StreamPosition } from './stream-position.ts';

export interface AdsStreamOptions {
  readonly id: number;
  readonly session: {
    readonly family: ResourceFamily;
    readonly encoder: ResponseEncoder;
    readonly limits: SessionLimits;
  };
  readonly limits: AdsServerLimits;
  readonly newest: ReadonlyMap<string, Collection>;
  readonly authenticate: (metadata: Metadata, node: ClientNode) => Promise<StreamGrant | StreamEnd>;
  readonly observer: StreamObserver;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly onAuthenticated: (stream: AdsStream) => void;
  readonly onClosed: (stream: AdsStream) => void;
}

type Call = ServerDuplexStream<DeltaDiscoveryRequest, Buffer>;

/** What exists from the moment at which the subscriber is known. */
interface Opened {
  readonly info: StreamInfo;
  readonly position: StreamPosition;
  session: ServerSession;
}

/** One stream: a session bound to a gRPC call, with its timers. Waiting for a first request, then open, then closed. */
export class AdsStream {
  readonly #call: Call;
  readonly #options: AdsStreamOptions;
  readonly #timers = new DisposableStack();
  #phase: 'new' | 'authenticating' | 'open' | 'closed' = 'new';
  #opened: Opened | undefined;
  /** Since when a response has been unanswered; undefined while the session is at rest. */
  #waitingSinceMs: number | undefined;
  #isOld = false;

  constructor(call: Call, options: AdsStreamOptions) {
    this.#call = call;
    this.#options = options;
    // Without a listener an error of the socket would be an exception.
    call.on('error', (error: Error) => this.#closed(error.message));
    call.on('cancelled', () => this.#closed('the client cancelled the stream, or its connection ended'));
  }

  /** Undefined until the subscriber is authenticated. */
  get info(): StreamInfo | undefined {
    return this.#opened?.info;
  }

  /** Begins to read. */
  start(): void {
    const { clock, limits, random } = this.#options;
    const spread = 1 + (random.fraction() * 2 - 1) * limits.streamAgeJitter;
    this.#timers.use(clock.timer(limits.handshakeTimeoutMs, () => this.#handshakeExpired()));
    this.#timers.use(clock.timer(limits.maxStreamAgeMs * spread, () => this.#grewOld()));
    this.#call.on('data', (request: DeltaDiscoveryRequest) => this.#onRequest(request));
    this.#call.on('end', () => {
      this.#closed('the client ended the stream');
      this.#call.end();
    });
  }

  /** Ends the stream with a status. */
  close(end: StreamEnd): void {
    if (this.#phase === 'closed') return;
    this.#closed(end.message);
    // How grpc-js takes the status of a stream.
    this.#call.emit('error', Object.assign(new Error(end.message), { code: end.code, details: end.message }));
  }

  /** Collections have changed. Cheap: nothing is sent. */
  fallBehind(changes: ChangeSet): void {
    this.#opened?.position.fallBehind(changes);
  }

  /** Starts the next round, unless one is under way. */
  catchUp(): void {
    const opened = this.#opened;
    if (this.#phase !== 'open' || !opened || !isAtRest(opened.session)) return;
    if (this.#isOld) return this.#endOldStream();
    if (opened.position.isBehind) this.#step(opened, { kind: 'advance', changes: opened.position.advance() });
  }

  /** Ends the stream when a response has been unanswered for too long. */
  checkAnswers(): void {
    const { clock, limits } = this.#options;
    if (this.#waitingSinceMs === undefined) return;
    if (clock.monotonic() - this.#waitingSinceMs < limits.answerTimeoutMs) return;
    this.close({
      code: statusCode.aborted,
      message: `a response was not answered within ${limits.answerTimeoutMs} ms: reconnect`,
    });
  }

  #onRequest(request: DeltaDiscoveryRequest): void {
    if (this.#opened && this.#phase === 'open') return this.#take(this.#opened, request);
    if (this.#phase !== 'new') return;
    this.#phase = 'authenticating';
    this.#call.pause();
    void this.#authenticate(request);
  }

  #take(opened: Opened, request: DeltaDiscoveryRequest): void {
    this.#options.observer.heard(opened.info);
    if (this.#waitingSinceMs !== undefined) this.#waitingSinceMs = this.#options.clock.monotonic();
    this.#step(opened, { kind: 'request', request });
    this.catchUp();
  }

  /** A first request without an id is left to the session, which refuses it. */
  async #authenticate(request: DeltaDiscoveryRequest): Promise<void> {
    const node = request.node;
    if (!node || node.id === '') {
      return this.close({
        code: statusCode.invalidArgument,
        message: 'node.id is empty: the first request names the node',
      });
    }
    const claimed = nodeOf(node);
    const answer = await this.#options.authenticate(this.#call.metadata, claimed).catch((error: unknown): StreamEnd => {
      this.#options.logger.error('a subscriber could not be authenticated', { node: claimed.id, error: String(error) });
      return { code: statusCode.unavailable, message: 'the credential could not be checked: retry' };
    });
    if (this.#phase !== 'authenticating') return;
    if ('code' in answer) return this.close(answer);
    this.#open(claimed, answer, request);
  }

  #open(node: ClientNode, grant: StreamGrant, request: DeltaDiscoveryRequest): void {
    const { id, newest, observer, onAuthenticated } = this.#options;
    const info = { id, node, ...grant, remoteAddress: this.#call.getPeer() };
    const opened = { info, position: new StreamPosition(newest, grant.collections), session: newServerSession };
    this.#opened = opened;
    this.#phase = 'open';
    onAuthenticated(this);
    observer.opened(info);
    // Tells the client that it is connected even when there is nothing to send.
    this.#call.sendMetadata(new GrpcMetadata());
    this.#take(opened, request);
    if (this.#isClosed()) return;
    this.#call.resume();
  }

  #step(opened: Opened, event: SessionEvent): void {
    const context = { ...this.#options.session, collections: opened.position };
    const { session, effects } = stepServer(opened.session, event, context);
    opened.session = session;
    for (const effect of effects) this.#apply(opened.info, effect);
    if (isAtRest(session)) this.#waitingSinceMs = undefined;
    else this.#waitingSinceMs ??= this.#options.clock.monotonic();
  }

  #apply(info: StreamInfo, effect: SessionEffect): void {
    const { observer, logger } = this.#options;
    switch (effect.kind) {
      case 'send':
        this.#call.write(effect.response.bytes);
        break;
      case 'sent':
        observer.sent(info, effect.collections);
        break;
      case 'acked':
        observer.acked(info, effect.collections);
        break;
      case 'nacked':
        observer.nacked(info, effect.refusal);
        break;
      case 'unknown-type':
        logger.warn('a subscriber asks for a type that is not served', { node: info.node.id, typeUrl: effect.typeUrl });
        break;
      case 'close':
        this.close(effect.end);
        break;
    }
  }

  #handshakeExpired(): void {
    if (this.#phase !== 'new' && this.#phase !== 'authenticating') return;
    const { handshakeTimeoutMs } = this.#options.limits;
    this.close({
      code: statusCode.deadlineExceeded,
      message: `no authenticated first request within ${handshakeTimeoutMs} ms`,
    });
  }

  #grewOld(): void {
    this.#isOld = true;
    const { clock, limits } = this.#options;
    this.#timers.use(clock.timer(limits.streamAgeGraceMs, () => this.#endOldStream()));
    this.catchUp();
  }

  #endOldStream(): void {
    this.close({ code: statusCode.unavailable, message: 'the stream reached its maximum age: reconnect' });
  }

  #isClosed(): boolean {
    return this.#phase === 'closed';
  }

  #closed(reason: string): void {
    if (this.#phase === 'closed') return;
    const wasOpen = this.#phase === 'open';
    this.#phase = 'closed';
    this.#timers.dispose();
    this.#options.onClosed(this);
    if (this.#opened && wasOpen) this.#options.observer.closed(this.#opened.info, reason);
  }
}
