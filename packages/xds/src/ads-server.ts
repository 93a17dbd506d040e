import type { ChannelOptions, Metadata, Server } from '@grpc/grpc-js';
import type { Clock, Logger, Metrics, Random } from '@signalbox/runtime';
import { AdsMetrics } from './ads-metrics.ts';
import { AdsStream } from './ads-stream.ts';
import { ChangeSet, type CollectionChange } from './change-set.ts';
import type { ServerTransport } from './discovery-transport.ts';
import { ResponseEncoder } from './encoded-response.ts';
import type { Collection, CollectionSource, ResourceFamily } from './family.ts';
import { type DeltaCall, GrpcServerTransport } from './grpc-transport.ts';
import type { ClientNode } from './node.ts';
import { type SendOrder, sendOrderOf } from './send-order.ts';
import type { SessionLimits } from './server-session.ts';
import { discoveryServiceDefinition } from './service-definition.ts';
import { statusCode, type StreamEnd } from './stream-end.ts';
import type { StreamIdentity, StreamObserver } from './stream-observer.ts';

export interface AdsServerOptions {
  readonly family: ResourceFamily;
  readonly source: CollectionSource;
  /** Who opens a stream, from its credential, and what it may see. Nothing is sent before the answer. */
  readonly authenticate: (
    metadata: Metadata,
    node: ClientNode,
    /** The client's certificate in DER, if it has shown one that is trusted. */
    certificate: Buffer | undefined,
  ) => Promise<StreamGrant | StreamEnd>;
  readonly observer: StreamObserver;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly limits: AdsServerLimits;
}

export interface StreamGrant {
  readonly identity: StreamIdentity;
  /** Ids of the collections that the stream may see, whether they exist yet or not. */
  readonly collections: 'all' | ReadonlySet<string>;
}

export interface AdsServerLimits extends SessionLimits {
  /** Streams at one time; one more is refused with RESOURCE_EXHAUSTED. */
  readonly maxStreams: number;
  /** A larger request ends its stream with RESOURCE_EXHAUSTED. */
  readonly maxRequestBytes: number;
  /** A larger response is split. Clients accept 4 MiB unless told otherwise. */
  readonly maxResponseBytes: number;
  /** Age at which a stream is asked to reconnect, so that load spreads and credentials are checked again. */
  readonly maxStreamAgeMs: number;
  /** Each stream's age limit lies up to this fraction (0 to 1) above or below, so that not all return at once. */
  readonly streamAgeJitter: number;
  /** How long a stream that reached its age may go on with the round it is in. */
  readonly streamAgeGraceMs: number;
  /** How long the first request and its authentication may take. */
  readonly handshakeTimeoutMs: number;
  /** Time between checks that the credential of an open stream is still good. */
  readonly authenticationCheckMs: number;
  /** How long a response may stay unanswered before its stream is ended. */
  readonly answerTimeoutMs: number;
  /** Time between pings that find a half-open connection. */
  readonly keepaliveIntervalMs: number;
  /** How long an answer to a ping may take. */
  readonly keepaliveTimeoutMs: number;
}

/** Streams that are served one after the other before the event loop turns. */
const fanOutChunk = 100;

/** A discovery server for one family. Add it to a gRPC server that was made with its channel options. */
export function createAdsServer(options: AdsServerOptions): AdsServer {
  return new AdsServer(options);
}

/**
 * Serves the aggregated discovery service, delta variant: one session a stream.
 *
 * 1. All streams read the same immutable collections. A change first moves every stream's position back to where the
 *    stream really is, at once; only then are streams served, in chunks between which the event loop turns.
 * 2. A change reaches only the streams that may see the collection; the others are not even looked at.
 * 3. Nothing is written to a stream that has not answered: a slow consumer costs its lag and nothing more.
 */
export class AdsServer {
  readonly #options: AdsServerOptions;
  readonly #encoder: ResponseEncoder;
  readonly #order: SendOrder;
  readonly #metrics: AdsMetrics;
  readonly #newest = new Map<string, Collection>();
  readonly #streams = new Set<AdsStream>();
  /** Authenticated streams that see everything. */
  readonly #seeingAll = new Set<AdsStream>();
  /** Authenticated streams that see a collection by name, by its id. */
  readonly #seeing = new Map<string, Set<AdsStream>>();
  readonly #due = new Set<AdsStream>();
  readonly #subscriptions = new DisposableStack();
  #fanningOut = false;
  #stopping = false;
  #nextId = 1;

  constructor(options: AdsServerOptions) {
    this.#options = options;
    this.#encoder = new ResponseEncoder(options.limits.maxResponseBytes);
    this.#order = sendOrderOf(options.family);
    this.#metrics = new AdsMetrics(options.metrics, () => this.#streams.size);
    for (const id of options.source.ids()) this.#read(id);
    this.#subscriptions.use(options.source.onChange((ids) => this.#onChange(ids)));
    const sweepMs = Math.max(1, options.limits.answerTimeoutMs / 4);
    this.#subscriptions.use(options.clock.interval(sweepMs, () => this.#sweep()));
  }

  /** Options that the gRPC server must be made with: limits and keepalive live below the service. */
  get channelOptions(): ChannelOptions {
    const { limits } = this.#options;
    return {
      'grpc.max_receive_message_length': limits.maxRequestBytes,
      'grpc.keepalive_time_ms': limits.keepaliveIntervalMs,
      'grpc.keepalive_timeout_ms': limits.keepaliveTimeoutMs,
      // Streams end by themselves, in order. This frees a connection that others would keep open for ever.
      'grpc.max_connection_age_ms': limits.maxStreamAgeMs * (1 + limits.streamAgeJitter) * 1.25,
      'grpc.max_connection_age_grace_ms': limits.streamAgeGraceMs,
      'grpc.enable_channelz': 0,
    };
  }

  /** Registers the service. What it does not offer answers UNIMPLEMENTED. */
  addTo(server: Server): void {
    server.addService(discoveryServiceDefinition, {
      deltaAggregatedResources: (call: DeltaCall) => this.serve(new GrpcServerTransport(call)),
    });
  }

  /** Serves a stream until it ends. */
  serve(transport: ServerTransport): void {
    const refusal = this.#refusal();
    const { clock, random, logger, observer, authenticate, limits } = this.#options;
    const stream = new AdsStream(transport, {
      id: this.#nextId++,
      session: { order: this.#order, encoder: this.#encoder, limits },
      limits,
      newest: this.#newest,
      authenticate,
      observer,
      clock,
      random,
      logger,
      metrics: this.#metrics,
      onAuthenticated: (opened) => this.#enlist(opened),
      onClosed: (closed) => this.#forget(closed),
    });
    if (refusal) return stream.close(refusal);
    this.#streams.add(stream);
    stream.start();
  }

  /** How many streams are open, those that still authenticate included. */
  get streamCount(): number {
    return this.#streams.size;
  }

  /** Ends every stream that was opened with a credential. @returns how many. */
  closeStreams(credentialId: string, reason: string): number {
    let count = 0;
    for (const stream of this.#streams) {
      if (stream.info?.identity.credentialId !== credentialId) continue;
      count += 1;
      stream.close({ code: statusCode.unauthenticated, message: reason });
    }
    return count;
  }

  /** Ends all streams and takes no new ones. */
  stop(): void {
    this.#stopping = true;
    this.#subscriptions.dispose();
    for (const stream of this.#streams) {
      stream.close({ code: statusCode.unavailable, message: 'the server is stopping: reconnect' });
    }
  }

  #refusal(): StreamEnd | undefined {
    const { source, limits } = this.#options;
    if (this.#stopping) return { code: statusCode.unavailable, message: 'the server is stopping: reconnect' };
    if (!source.ready) {
      return { code: statusCode.unavailable, message: 'the server has not read all configuration yet: retry' };
    }
    if (this.#streams.size < limits.maxStreams) return undefined;
    return { code: statusCode.resourceExhausted, message: `the server has ${limits.maxStreams} streams: retry later` };
  }

  #enlist(stream: AdsStream): void {
    const visible = stream.info?.collections ?? new Set();
    if (visible === 'all') return void this.#seeingAll.add(stream);
    for (const id of visible) {
      const streams = this.#seeing.get(id) ?? new Set();
      this.#seeing.set(id, streams.add(stream));
    }
  }

  #forget(stream: AdsStream): void {
    this.#streams.delete(stream);
    this.#seeingAll.delete(stream);
    this.#due.delete(stream);
    const visible = stream.info?.collections ?? new Set();
    if (visible === 'all') return;
    for (const id of visible) {
      const streams = this.#seeing.get(id);
      streams?.delete(stream);
      if (streams?.size === 0) this.#seeing.delete(id);
    }
  }

  #onChange(ids: readonly string[]): void {
    const changes = new Map<string, CollectionChange>();
    for (const id of ids) {
      const from = this.#newest.get(id);
      const to = this.#read(id);
      if (from !== to) changes.set(id, { from, to });
    }
    if (changes.size === 0) return;
    const changeSet = new ChangeSet(changes);
    const concerned = new Set(this.#seeingAll);
    for (const id of changes.keys()) for (const stream of this.#seeing.get(id) ?? []) concerned.add(stream);
    for (const stream of concerned) {
      stream.fallBehind(changeSet);
      this.#due.add(stream);
    }
    if (!this.#fanningOut) this.#fanOut();
  }

  /** Reads a collection's newest state. */
  #read(id: string): Collection | undefined {
    const collection = this.#options.source.get(id);
    if (collection) this.#newest.set(id, collection);
    else this.#newest.delete(id);
    return collection;
  }

  /** Moves the streams on that are due. Node flushes sockets only when the loop turns: so no long run without one. */
  #fanOut(): void {
    let count = 0;
    for (const stream of this.#due) {
      this.#due.delete(stream);
      stream.catchUp();
      count += 1;
      if (count === fanOutChunk) break;
    }
    this.#fanningOut = this.#due.size > 0;
    if (this.#fanningOut) setImmediate(() => this.#fanOut());
  }

  #sweep(): void {
    for (const stream of this.#streams) stream.checkAnswers();
  }
}
