import type { Metadata } from '@grpc/grpc-js';
import type { Clock, LogFields, Logger, Random } from '@signalbox/runtime';
import type { AdsMetrics } from './ads-metrics.ts';
import type { AdsServerLimits, StreamGrant } from './ads-server.ts';
import type { ChangeSet } from './change-set.ts';
import type { ServerTransport } from './discovery-transport.ts';
import type { ResponseEncoder } from './encoded-response.ts';
import { type ClientNode, nodeOf } from './node.ts';
import { followedBy, together } from './followed.ts';
import type { ServedFamilies } from './served-families.ts';
import type { ServedFamily } from './served-family.ts';
import {
  awaitsRemoval,
  identify,
  isAtRest,
  newServerSession,
  type ServerSession,
  type SessionContext,
  type SessionEffect,
  type SessionEvent,
  stepServer,
} from './server-session.ts';
import { dialects } from './session-dialect.ts';
import { statusCode, type StreamEnd } from './stream-end.ts';
import type { Refusal, StreamInfo, StreamObserver } from './stream-observer.ts';
import { StreamPosition } from './stream-position.ts';
import type { StreamRequest } from './stream-request.ts';

/** What responses are made with: for each variant, and for clients of it that support times to live. */
export type ResponseEncoders = Readonly<Record<'delta' | 'leasedDelta' | 'state' | 'leasedState', ResponseEncoder>>;

export interface AdsStreamOptions {
  readonly id: number;
  readonly encoders: ResponseEncoders;
  readonly limits: AdsServerLimits;
  readonly families: ServedFamilies;
  readonly authenticate: (
    metadata: Metadata,
    node: ClientNode,
    certificate: Buffer | undefined,
  ) => Promise<StreamGrant | StreamEnd>;
  readonly observer: StreamObserver;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: AdsMetrics;
  readonly onClosed: (stream: AdsStream) => void;
}

/** What exists from the moment at which the subscriber is known. */
interface Opened {
  readonly info: StreamInfo;
  readonly grant: StreamGrant;
  readonly family: ServedFamily;
  readonly position: StreamPosition;
  readonly context: SessionContext;
  session: ServerSession;
  /** Collections that it has asked for, of those that it may see. */
  asked: 'all' | ReadonlySet<string>;
  /** Collections of whose changes it is told. */
  followed: 'all' | ReadonlySet<string>;
}

const noIds: ReadonlySet<string> = new Set();

/** One stream: a session bound to its transport, with its timers. Waiting for a first request, then open, then closed. */
export class AdsStream {
  readonly #transport: ServerTransport;
  readonly #options: AdsStreamOptions;
  readonly #timers = new DisposableStack();
  #phase: 'new' | 'authenticating' | 'open' | 'closed' = 'new';
  #opened: Opened | undefined;
  /** Since when a response has been unanswered; undefined while the session is at rest. */
  #waitingSinceMs: number | undefined;
  #isOld = false;
  /** Until it fires, removals wait for the rest of their round. */
  #removing: Disposable | undefined;
  /** Kept, because a connection that ends forgets it. */
  readonly #certificate: Buffer | undefined;

  constructor(transport: ServerTransport, options: AdsStreamOptions) {
    this.#transport = transport;
    this.#certificate = transport.certificate;
    this.#options = options;
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
    this.#transport.listen({
      onRequest: (request) => this.#onRequest(request),
      onEnd: (reason) => this.#closed(reason),
    });
  }

  /** Ends the stream with a status. */
  close(end: StreamEnd): void {
    if (this.#phase === 'closed') return;
    this.#closed(end.message);
    this.#options.metrics.ended(end.code);
    this.#transport.end(end);
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
    if (opened.followed !== opened.asked) this.#follow(opened);
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

  #onRequest(request: StreamRequest): void {
    if (this.#opened && this.#phase === 'open') return this.#take(this.#opened, request);
    if (this.#phase !== 'new') return;
    this.#phase = 'authenticating';
    this.#transport.pause();
    void this.#authenticate(request);
  }

  #take(opened: Opened, request: StreamRequest): void {
    this.#options.observer.heard(opened.info);
    if (this.#waitingSinceMs !== undefined) this.#waitingSinceMs = this.#options.clock.monotonic();
    const { types } = opened.session;
    this.#step(opened, { kind: 'request', request });
    if (this.#phase !== 'open') return;
    if (changesSubscription(request, types)) this.#askedFor(opened);
    this.catchUp();
  }

  #askedFor(opened: Opened): void {
    const { info, family, session } = opened;
    const isDelta = this.#transport.variant === 'delta';
    // Requests of the other variant say all their names each time, and are few.
    opened.asked = isDelta ? followedBy(session, family.order, info.collections) : info.collections;
    this.#follow(opened);
    if (isDelta) this.#options.observer.following?.(info, opened.asked);
  }

  /**
   * Has changes told of what the stream has asked for, and of nothing else. But in a round it stands where the round began,
   * also in what it gives up: of that something may be unanswered, and it may ask for it again before the round ends.
   */
  #follow(opened: Opened): void {
    const { family, session, asked, followed } = opened;
    opened.followed = isAtRest(session) ? asked : together(followed, asked);
    family.follow(this, opened.followed);
  }

  async #authenticate(request: StreamRequest): Promise<void> {
    const refusal = identify(undefined, request);
    if (refusal) return this.close(refusal);
    const node = nodeOf(request.node);
    const answer = await this.#ask(node);
    if (this.#phase !== 'authenticating') return;
    if (!answer)
      return this.close({ code: statusCode.unavailable, message: 'the credential cannot be checked: retry' });
    if ('code' in answer) return this.close(answer);
    this.#open(node, answer, request);
  }

  /** Undefined: nobody could tell. */
  async #ask(node: ClientNode): Promise<StreamGrant | StreamEnd | undefined> {
    const { authenticate, logger } = this.#options;
    try {
      return await authenticate(this.#transport.metadata, node, this.#certificate);
    } catch (error) {
      logger.warn('a subscriber could not be authenticated', { node: node.id, error: String(error) });
      return undefined;
    }
  }

  /** Ends the stream when its credential is no longer good for what it sees. No answer leaves the stream as it is. */
  async #checkAgain({ info, grant }: Opened): Promise<void> {
    const answer = await this.#ask(info.node);
    if (this.#phase !== 'open' || !answer) return;
    if ('code' in answer) return this.close(answer);
    if (sameGrant(answer, grant)) return;
    this.close({ code: statusCode.aborted, message: 'what the credential may see has changed: reconnect' });
  }

  #open(node: ClientNode, grant: StreamGrant, request: StreamRequest): void {
    const { id, families, observer, clock, limits, logger } = this.#options;
    const family = families.enter(grant);
    if (!family) return this.close(notServed(grant.family));
    const { identity, collections, sources } = grant;
    const info: StreamInfo = {
      ...{ id, node, identity, family: grant.family, collections },
      ...(sources === undefined ? {} : { sources }),
      remoteAddress: this.#transport.remoteAddress,
    };
    const position = new StreamPosition(family.newestFor(info), grant.collections);
    const context = this.#context(node, family, position);
    const opened: Opened = {
      ...{ info, grant, family, position, context },
      ...{ session: newServerSession, asked: noIds, followed: noIds },
    };
    this.#opened = opened;
    this.#phase = 'open';
    this.#timers.use(clock.interval(limits.authenticationCheckMs, () => void this.#checkAgain(opened)));
    const { heartbeatMs } = family.family;
    if (heartbeatMs !== undefined && this.#keepsLeases(node)) {
      this.#timers.use(clock.interval(heartbeatMs, () => this.#renew(opened)));
    }
    observer.opened(info);
    logger.info('subscriber connected', { node: node.id, credential: info.identity.name, remote: info.remoteAddress });
    // Tells the client that it is connected even when there is nothing to send.
    this.#transport.accept();
    this.#take(opened, request);
    if (this.#isClosed()) return;
    this.#transport.resume();
  }

  #context(node: ClientNode, { order }: ServedFamily, collections: StreamPosition): SessionContext {
    const { encoders, limits } = this.#options;
    const { variant } = this.#transport;
    const leased = variant === 'delta' ? 'leasedDelta' : 'leasedState';
    const encoder = encoders[this.#keepsLeases(node) ? leased : variant];
    return { dialect: dialects[variant], order, collections, encoder, limits };
  }

  /** In the state of the world, resources with a time to live need an envelope that the client has to know, too. */
  #keepsLeases({ features = [] }: ClientNode): boolean {
    const knowsEnvelope = this.#transport.variant === 'delta' || features.some((one) => envelopeFeatures.has(one));
    return features.includes(leaseFeature) && knowsEnvelope;
  }

  #renew(opened: Opened): void {
    if (this.#phase === 'open') this.#step(opened, { kind: 'heartbeat' });
  }

  #step(opened: Opened, event: SessionEvent): void {
    const { session, effects } = stepServer(opened.session, event, opened.context);
    opened.session = session;
    for (const effect of effects) this.#apply(opened.info, effect);
    if (isAtRest(session)) this.#waitingSinceMs = undefined;
    else this.#waitingSinceMs ??= this.#options.clock.monotonic();
    this.#boundRemovals(opened);
  }

  /** Removals wait for answers to the rest of their round, but not for ever. */
  #boundRemovals(opened: Opened): void {
    if (this.#isClosed() || opened.context.order.late.length === 0) return;
    if (!awaitsRemoval(opened.session)) {
      this.#removing?.[Symbol.dispose]();
      this.#removing = undefined;
    } else if (!this.#removing) {
      const { clock, limits } = this.#options;
      this.#removing = clock.timer(limits.lateRemovalMs, () => {
        this.#removing = undefined;
        if (this.#phase === 'open') this.#step(opened, { kind: 'overdue' });
      });
    }
  }

  #apply(info: StreamInfo, effect: SessionEffect): void {
    const { observer, logger, metrics } = this.#options;
    switch (effect.kind) {
      case 'send':
        metrics.sent(effect.response.bytes.length);
        this.#transport.send(effect.response);
        break;
      case 'heartbeat':
        metrics.renewed();
        this.#transport.send(effect.response);
        break;
      case 'sent':
        observer.sent(info, effect.collections);
        break;
      case 'acked':
        observer.acked(info, effect.collections);
        break;
      case 'nacked':
        observer.nacked(info, effect.refusal);
        logger.warn('a subscriber refuses a response', logFields(info, effect.refusal));
        break;
      case 'unknown-type':
        metrics.askedForUnknownType();
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
    this.#removing?.[Symbol.dispose]();
    this.#opened?.family.forget(this);
    if (this.#opened) this.#options.families.leave(this.#opened.grant);
    this.#options.onClosed(this);
    const { logger, observer } = this.#options;
    if (this.#opened && wasOpen) {
      observer.closed(this.#opened.info, reason);
      logger.info('subscriber disconnected', { node: this.#opened.info.node.id, reason });
    } else logger.info('subscriber not let in', { remote: this.#transport.remoteAddress, reason });
  }
}

/** Reasons in the log; the observer is told all of them. */
const maxLoggedFaults = 5;

function logFields({ node }: StreamInfo, { typeUrl, faults, nonce, version }: Refusal): LogFields {
  return { node: node.id, typeUrl, nonce, version, count: faults.length, faults: faults.slice(0, maxLoggedFaults) };
}

/** What a client declares that forgets by itself what is not renewed. */
const leaseFeature = 'xds.config.supports-resource-ttl';
/** The second name is that of gRPC. */
const envelopeFeatures: ReadonlySet<string> = new Set([
  'xds.config.supports-resource-in-sotw',
  'xds.config.resource-in-sotw',
]);

/** Whether a request may ask for something else than the ones before it. */
function changesSubscription(request: StreamRequest, types: ServerSession['types']): boolean {
  if (!types.has(request.typeUrl)) return true;
  if (!('resourceNamesSubscribe' in request)) return false;
  return request.resourceNamesSubscribe.length > 0 || request.resourceNamesUnsubscribe.length > 0;
}

function notServed(family: string): StreamEnd {
  const message = `the credential is for subscribers of the family "${family}", which is not served here`;
  return { code: statusCode.permissionDenied, message };
}

function sameGrant(a: StreamGrant, b: StreamGrant): boolean {
  if (a.identity.credentialId !== b.identity.credentialId || a.family !== b.family || a.source !== b.source)
    return false;
  if (String(a.identity.groups ?? []) !== String(b.identity.groups ?? [])) return false;
  if (a.collections === 'all' || b.collections === 'all') return a.collections === b.collections;
  const { size } = a.collections;
  const seen = b.collections;
  return size === seen.size && [...a.collections].every((id) => seen.has(id));
}
