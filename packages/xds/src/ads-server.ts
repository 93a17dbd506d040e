import type { DescMethod } from '@bufbuild/protobuf';
import type { Metadata } from '@grpc/grpc-js';
import { AggregatedDiscoveryService } from '@signalbox/proto/envoy/service/discovery/v3/ads_pb.ts';
import type { Clock, Logger, Metrics, Random } from '@signalbox/runtime';
import { Admission, type AdmissionLimits } from './admission.ts';
import { AdsMetrics } from './ads-metrics.ts';
import { AdsStream, type ResponseEncoders } from './ads-stream.ts';
import type { ServerTransport } from './discovery-transport.ts';
import { ResponseEncoder } from './encoded-response.ts';
import type { CollectionSource } from './family.ts';
import type { GrpcConnectionLimits } from './grpc-connection.ts';
import type { GrpcServer } from './grpc-server.ts';
import { GrpcServerTransport } from './grpc-server-transport.ts';
import type { ClientNode } from './node.ts';
import { deltaFormat, leasedDeltaFormat, leasedStateFormat, stateFormat } from './response-format.ts';
import { ServedFamilies } from './served-families.ts';
import type { ServedFamilyOptions } from './served-family.ts';
import type { SessionLimits } from './server-session.ts';
import { statusCode, type StreamEnd } from './stream-end.ts';
import type { SeenIds, StreamIdentity, StreamObserver } from './stream-observer.ts';

export interface AdsServerOptions {
  /** What is served; each stream gets the one family of its credential. Names differ. */
  readonly families: readonly ServedFamilyOptions[];
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
  /** Name of the family that the stream is served, whatever it claims to be. */
  readonly family: string;
  /** Ids of the collections that the stream may see, whether they exist yet or not. */
  readonly collections: 'all' | ReadonlySet<string>;
  /** Where its collections are read, if that is not where others of the family read theirs. One object for equal rights. */
  readonly source?: CollectionSource;
  /** Ids under which revisions of the collections are told of, where these are not the collections themselves. */
  readonly sources?: SeenIds;
}

export interface AdsServerLimits extends SessionLimits, AdmissionLimits {
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
  /** How long removals that wait for the rest of their round wait for it. */
  readonly lateRemovalMs: number;
  /** How long a response may stay unanswered before its stream is ended. */
  readonly answerTimeoutMs: number;
  /** Time between pings that find a half-open connection. */
  readonly keepaliveIntervalMs: number;
  /** How long an answer to a ping may take. */
  readonly keepaliveTimeoutMs: number;
}

/** Streams that are served one after the other before the event loop turns. */
const fanOutChunk = 100;

/** How long a client stays away from a server that has all the streams that it may have. */
const fullRetryMs = 5_000;

/** A discovery server. Add it to a gRPC server that was made with its connection limits. */
export function createAdsServer(options: AdsServerOptions): AdsServer {
  return new AdsServer(options);
}

/**
 * Serves the aggregated discovery service in both variants: one session a stream, of the family of its credential.
 *
 * 1. A change reaches only the streams that may see the collection. They are served in chunks between which the event
 *    loop turns.
 * 2. Nothing is written to a stream that has not answered: a slow consumer costs its lag and nothing more.
 * 3. Streams are let in at a bounded rate, so that a storm of them does not starve those that are open.
 */
export class AdsServer {
  readonly #options: AdsServerOptions;
  readonly #encoders: ResponseEncoders;
  readonly #families: ServedFamilies;
  readonly #metrics: AdsMetrics;
  readonly #admission: Admission;
  readonly #streams = new Set<AdsStream>();
  readonly #due = new Set<AdsStream>();
  readonly #sweeping: Disposable;
  #servedInTurn = 0;
  #turning = false;
  #stopping = false;
  #nextId = 1;

  constructor(options: AdsServerOptions) {
    const { families, limits, clock, metrics } = options;
    const encoder = (format: typeof deltaFormat) => new ResponseEncoder(limits.maxResponseBytes, format);
    this.#options = options;
    this.#encoders = {
      delta: encoder(deltaFormat),
      leasedDelta: encoder(leasedDeltaFormat),
      state: encoder(stateFormat),
      leasedState: encoder(leasedStateFormat),
    };
    this.#metrics = new AdsMetrics(metrics, () => this.#streams.size);
    this.#admission = new Admission(limits, clock);
    this.#families = new ServedFamilies(families, (streams) => this.#onBehind(streams));
    this.#sweeping = clock.interval(Math.max(1, limits.answerTimeoutMs / 4), () => this.#sweep());
  }

  /** What the gRPC server must be made with: limits and keepalive live below the service. */
  get connectionLimits(): GrpcConnectionLimits {
    const { limits } = this.#options;
    return {
      maxRequestBytes: limits.maxRequestBytes,
      keepaliveIntervalMs: limits.keepaliveIntervalMs,
      keepaliveTimeoutMs: limits.keepaliveTimeoutMs,
      // Streams end by themselves, in order. This frees a connection that others would keep open for ever.
      maxConnectionAgeMs: limits.maxStreamAgeMs * (1 + limits.streamAgeJitter) * 1.25,
      connectionAgeGraceMs: limits.streamAgeGraceMs,
      maxStreamsPerConnection: limits.maxStreams,
    };
  }

  /** Registers the service. */
  addTo(server: Pick<GrpcServer, 'handle'>): void {
    const { deltaAggregatedResources: delta, streamAggregatedResources: state } = AggregatedDiscoveryService.method;
    server.handle(pathOf(delta), (call) => this.serve(new GrpcServerTransport(call, 'delta')));
    server.handle(pathOf(state), (call) => this.serve(new GrpcServerTransport(call, 'state')));
  }

  /** Serves a stream until it ends. */
  serve(transport: ServerTransport): void {
    const refusal = this.#refusal();
    const { clock, random, logger, observer, authenticate, limits } = this.#options;
    const stream = new AdsStream(transport, {
      id: this.#nextId++,
      encoders: this.#encoders,
      families: this.#families,
      limits,
      authenticate,
      observer,
      clock,
      random,
      logger,
      metrics: this.#metrics,
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
    this.#sweeping[Symbol.dispose]();
    for (const stream of this.#streams) {
      stream.close({ code: statusCode.unavailable, message: 'the server is stopping: reconnect' });
    }
    this.#families.stop();
  }

  #refusal(): StreamEnd | undefined {
    const { limits } = this.#options;
    if (this.#stopping) return { code: statusCode.unavailable, message: 'the server is stopping: reconnect' };
    if (!this.#families.ready) {
      return { code: statusCode.unavailable, message: 'the server has not read all configuration yet: retry' };
    }
    if (this.#streams.size >= limits.maxStreams) {
      const message = `the server has ${limits.maxStreams} streams: retry later`;
      return { code: statusCode.resourceExhausted, message, retryAfterMs: fullRetryMs };
    }
    const retryAfterMs = this.#admission.take();
    if (retryAfterMs === undefined) return undefined;
    this.#metrics.deferred();
    const message = `more than ${limits.streamsPerSecond} streams a second: retry in ${Math.ceil(retryAfterMs)} ms`;
    return { code: statusCode.resourceExhausted, message, retryAfterMs };
  }

  #forget(stream: AdsStream): void {
    this.#streams.delete(stream);
    this.#due.delete(stream);
  }

  #onBehind(streams: ReadonlySet<AdsStream>): void {
    for (const stream of streams) this.#due.add(stream);
    this.#fanOut();
  }

  /**
   * Moves the streams on that are due, so many in one turn of the event loop, whoever has asked for it: node flushes
   * sockets only when the loop turns.
   */
  #fanOut(): void {
    for (const stream of this.#due) {
      if (this.#servedInTurn === fanOutChunk) break;
      this.#servedInTurn += 1;
      this.#due.delete(stream);
      stream.catchUp();
    }
    if (this.#servedInTurn === 0 || this.#turning) return;
    this.#turning = true;
    setImmediate(() => {
      this.#turning = false;
      this.#servedInTurn = 0;
      this.#fanOut();
    });
  }

  #sweep(): void {
    for (const stream of this.#streams) stream.checkAnswers();
  }
}

function pathOf({ parent, name }: DescMethod): string {
  return `/${parent.typeName}/${name}`;
}
