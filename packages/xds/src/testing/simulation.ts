import { fromBinary } from '@bufbuild/protobuf';
import type { Metadata } from '@grpc/grpc-js';
import { DeltaDiscoveryResponseSchema } from '@signalbox/proto/envoy/service/discovery/v3/discovery_pb.ts';
import { Metrics, Secret } from '@signalbox/runtime';
import { ManualClock, MemoryLogger, SeededRandom } from '@signalbox/runtime/testing';
import { AdsClient } from '../ads-client.ts';
import { type AdsServer, type AdsServerLimits, createAdsServer, type StreamGrant } from '../ads-server.ts';
import type { ServerTransport } from '../discovery-transport.ts';
import { type StreamEnd, statusCode } from '../stream-end.ts';
import type { CollectionRevision, Refusal, StreamInfo, StreamObserver } from '../stream-observer.ts';
import { leafType, MemorySource, sealType, testFamily, twigType } from './memory-source.ts';
import { PipeTransport } from './pipe.ts';
import { RecordingNode } from './recording-node.ts';
import { testServerLimits } from './server-fixture.ts';

/** What the server's observer was told, and what it should never have been told. */
class RecordingObserver implements StreamObserver {
  readonly log: string[] = [];
  readonly refusals: Refusal[] = [];
  /** Revisions acknowledged by stream and collection; a revision that falls is a violation. */
  readonly violations: string[] = [];
  readonly open = new Set<number>();
  readonly #acked = new Map<string, bigint>();

  opened(stream: StreamInfo): void {
    this.open.add(stream.id);
    this.log.push(`opened ${stream.node.id}`);
  }

  heard(): void {}

  sent(stream: StreamInfo, collections: readonly CollectionRevision[]): void {
    this.#note('sent', stream, collections);
  }

  acked(stream: StreamInfo, collections: readonly CollectionRevision[]): void {
    this.#note('acked', stream, collections);
    for (const { id, revision } of collections) {
      const key = `${stream.id} ${id}`;
      if (revision === undefined) this.#acked.delete(key);
      else if (revision < (this.#acked.get(key) ?? 0n)) this.violations.push(`${key} fell to ${revision}`);
      else this.#acked.set(key, revision);
    }
  }

  nacked(stream: StreamInfo, refusal: Refusal): void {
    this.refusals.push(refusal);
    this.#note('nacked', stream, refusal.collections);
  }

  closed(stream: StreamInfo, reason: string): void {
    if (!this.open.delete(stream.id)) this.violations.push(`stream ${stream.id} closed twice`);
    this.log.push(`closed ${stream.node.id}: ${reason}`);
  }

  #note(what: string, { node }: StreamInfo, collections: readonly CollectionRevision[]): void {
    const states = collections.map(({ id, revision }) => `${id}@${revision ?? 'gone'}`);
    this.log.push(`${what} ${node.id} ${states.join(' ')}`);
  }
}

/** A server and its nodes on pipes, in manual time. Equal seeds behave equally. */
export class Simulation {
  readonly clock = new ManualClock();
  readonly source = new MemorySource();
  readonly observer = new RecordingObserver();
  readonly metrics = new Metrics();
  /** What the nodes logged. */
  readonly nodeLog = new MemoryLogger();
  readonly server: AdsServer;
  /** More than one unanswered response of a type on a stream. Must stay empty. */
  readonly overruns: string[] = [];
  /** Bytes of all responses sent. */
  bytesSent = 0;
  /** Asked when a stream opens: the bearer token, and the id that the node claims. */
  authenticate: (token: string, nodeId: string) => Promise<StreamGrant | StreamEnd>;
  readonly #random: SeededRandom;
  readonly #maxDelayMs: number;
  readonly #clients: AdsClient[] = [];

  constructor(seed = 1, maxDelayMs = 5, limits: Partial<AdsServerLimits> = {}) {
    this.#random = new SeededRandom(seed);
    this.#maxDelayMs = maxDelayMs;
    this.authenticate = async (token) => grantFor(token);
    this.server = createAdsServer({
      families: [{ family: testFamily, source: this.source }],
      authenticate: (metadata, node) => this.authenticate(tokenIn(metadata), node.id),
      observer: this.observer,
      clock: this.clock,
      random: this.#random,
      logger: new MemoryLogger(),
      metrics: this.metrics,
      limits: { ...testServerLimits, ...limits },
    });
  }

  /** A way to the server. @param token what the credential sees: `all`, or ids of collections with commas. */
  transport(token: string): PipeTransport {
    return new PipeTransport((stream) => this.server.serve(this.#watched(stream)), {
      clock: this.clock,
      random: this.#random,
      maxDelayMs: this.#maxDelayMs,
      headers: { authorization: `Bearer ${token}` },
    });
  }

  /** Starts a node. */
  node(id: string, token = 'all'): { readonly node: RecordingNode; readonly transport: PipeTransport } {
    const node = new RecordingNode();
    const transport = this.transport(token);
    const client = new AdsClient({
      ...{ address: 'pipe', token: new Secret(token), transport, handler: node },
      node: { id, cluster: 'edge', userAgentName: 'test', userAgentVersion: '1', metadata: {} },
      types: [leafType, twigType, sealType],
      ...{ clock: this.clock, random: this.#random, logger: this.nodeLog },
      backoff: { minMs: 10, maxMs: 100, stableAfterMs: 1_000 },
      limits: {
        maxResponseBytes: 4 << 20,
        connectTimeoutMs: 5_000,
        keepaliveIntervalMs: 10_000,
        keepaliveTimeoutMs: 5_000,
      },
    });
    client.start();
    this.#clients.push(client);
    return { node, transport };
  }

  async stop(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.stop()));
    this.server.stop();
  }

  /** Counts what a stream has not answered yet, type by type. */
  #watched(stream: ServerTransport): ServerTransport {
    const unanswered = new Map<string, string>();
    return {
      variant: stream.variant,
      metadata: stream.metadata,
      certificate: stream.certificate,
      remoteAddress: stream.remoteAddress,
      listen: (listener) =>
        stream.listen({
          onRequest: (request) => {
            if (unanswered.get(request.typeUrl) === request.responseNonce) unanswered.delete(request.typeUrl);
            listener.onRequest(request);
          },
          onEnd: (reason) => listener.onEnd(reason),
        }),
      pause: () => stream.pause(),
      resume: () => stream.resume(),
      accept: () => stream.accept(),
      end: (end) => stream.end(end),
      send: (response) => {
        const { bytes } = response;
        const { typeUrl, nonce } = fromBinary(DeltaDiscoveryResponseSchema, bytes);
        if (unanswered.has(typeUrl)) this.overruns.push(`${typeUrl} ${nonce}`);
        unanswered.set(typeUrl, nonce);
        this.bytesSent += bytes.length;
        stream.send(response);
      },
    };
  }
}

function tokenIn(metadata: Metadata): string {
  return String(metadata.get('authorization')[0] ?? '').replace('Bearer ', '');
}

function grantFor(token: string): StreamGrant | StreamEnd {
  if (token === 'bad') return { code: statusCode.unauthenticated, message: 'unknown token' };
  const collections = token === 'all' ? 'all' : new Set(token.split(','));
  return { identity: { credentialId: token, name: token }, family: 'test', collections };
}
