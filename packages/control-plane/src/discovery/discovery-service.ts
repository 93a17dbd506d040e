import { type Metadata, Server, ServerCredentials } from '@grpc/grpc-js';
import { operatorScope } from '@signalbox/config';
import type { Clock, Logger, Metrics, Random, Secret } from '@signalbox/runtime';
import {
  type AdsServer,
  type AdsServerLimits,
  type ClientNode,
  type CollectionSource,
  createAdsServer,
  type ResourceFamily,
  statusCode,
  type StreamEnd,
  type StreamGrant,
  type StreamInfo,
  type StreamObserver,
} from '@signalbox/xds';
import { nativeFamily } from '../projections/native.ts';
import type { ViewSource } from '../publish/view-source.ts';
import type { NodeAuthenticator, NodeIdentity } from './node-identity.ts';

export interface DiscoveryServiceOptions {
  /** Port 0 lets the system choose. */
  readonly listen: { readonly host: string; readonly port: number };
  /** Absent: plaintext. */
  readonly tls?: DiscoveryTls;
  /** What our own nodes receive. */
  readonly source: CollectionSource;
  /** What others receive. */
  readonly views: readonly ServedViews[];
  readonly authenticator: NodeAuthenticator;
  /** The node registry. */
  readonly observer: StreamObserver;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly limits: AdsServerLimits;
}

/** A foreign family and its views. */
interface ServedViews {
  readonly family: ResourceFamily;
  readonly source: ViewSource;
}

interface DiscoveryTls {
  /** PEM, with intermediates. */
  readonly certificateChain: Buffer;
  /** PEM. */
  readonly privateKey: Secret<Buffer>;
}

/** The gRPC server on which nodes subscribe to their configuration. */
export class DiscoveryService {
  readonly #options: DiscoveryServiceOptions;
  readonly #ads: AdsServer;
  readonly #server: Server;

  constructor(options: DiscoveryServiceOptions) {
    const { source, views, observer, clock, random, logger, metrics, limits } = options;
    this.#options = options;
    this.#ads = createAdsServer({
      families: [{ family: nativeFamily, source }, ...views],
      authenticate: (metadata, node) => admitNode(options, metadata, node),
      observer: holdingViews(observer, views),
      clock,
      random,
      logger,
      metrics,
      limits,
    });
    this.#server = new Server(this.#ads.channelOptions);
    this.#ads.addTo(this.#server);
  }

  /** Listens. @returns the port. @throws when the address cannot be used. */
  start(): Promise<number> {
    const { listen, tls } = this.#options;
    const host = listen.host.includes(':') ? `[${listen.host}]` : listen.host;
    return new Promise((resolve, reject) => {
      this.#server.bindAsync(`${host}:${listen.port}`, serverCredentials(tls), (error, port) => {
        if (error) reject(error);
        else resolve(port);
      });
    });
  }

  /** Ends every stream and stops listening; cuts what is left when the deadline aborts. */
  async stop(deadline: AbortSignal): Promise<void> {
    this.#ads.stop();
    const force = () => this.#server.forceShutdown();
    deadline.addEventListener('abort', force, { once: true });
    if (deadline.aborted) force();
    await new Promise<void>((resolve) => {
      // Fails only when the server was already shut down.
      this.#server.tryShutdown(() => resolve());
    });
    deadline.removeEventListener('abort', force);
  }

  /** Ends the streams that a token has opened: it was revoked. @returns how many. */
  closeStreams(tokenId: string): number {
    return this.#ads.closeStreams(tokenId, 'the node token was revoked: use another');
  }

  /** How many streams are open. */
  get streamCount(): number {
    return this.#ads.streamCount;
  }
}

function serverCredentials(tls: DiscoveryTls | undefined): ServerCredentials {
  if (!tls) return ServerCredentials.createInsecure();
  const pair = { cert_chain: tls.certificateChain, private_key: tls.privateKey.reveal() };
  return ServerCredentials.createSsl(null, [pair]);
}

/**
 * Lets a node in on its token alone. What it claims must agree with the token, and is checked before anything is sent,
 * so that no name of a foreign gateway leaks.
 */
async function admitNode(
  { authenticator, views }: DiscoveryServiceOptions,
  metadata: Metadata,
  node: ClientNode,
): Promise<StreamGrant | StreamEnd> {
  const token = bearerToken(metadata) ?? tokenInNode(node);
  if (token === undefined) {
    return { code: statusCode.unauthenticated, message: 'send a node token as "authorization: Bearer <token>"' };
  }
  const identity = await authenticator.authenticate(token);
  if (!identity) {
    const message = 'the token is unknown, expired, revoked or not one for nodes: create one with "signalbox token"';
    return { code: statusCode.unauthenticated, message };
  }
  if (node.cluster !== identity.gateway) {
    const message = `the token "${identity.name}" is not for the gateway that the node claims to serve: check node.cluster`;
    return { code: statusCode.permissionDenied, message };
  }
  return grantTo(identity, views);
}

/** What a credential may see: scopes as they are, or for foreign families the view that is made of them. */
function grantTo({ tokenId, name, gateway, family, tenants }: NodeIdentity, views: readonly ServedViews[]) {
  const identity = { credentialId: tokenId, name };
  const scopes = tenants === null ? 'all' : new Set([operatorScope, ...tenants]);
  const served = views.find((each) => each.family.name === family);
  if (!served) return { identity, family, collections: scopes } as const;
  const view = served.source.open(gateway, tenants);
  if (view === undefined) {
    const message = 'too many kinds of credentials are in use at once: raise SIGNALBOX_DISCOVERY_VIEWS';
    return { code: statusCode.resourceExhausted, message };
  }
  return { identity, family, collections: new Set([view]), sources: scopes } as const;
}

/** Views live as long as streams read them. */
function holdingViews(observer: StreamObserver, views: readonly ServedViews[]): StreamObserver {
  const read = ({ family, collections }: StreamInfo, change: 'hold' | 'release') => {
    const served = views.find((each) => each.family.name === family);
    if (served && collections !== 'all') served.source[change](collections);
  };
  return {
    opened(stream) {
      read(stream, 'hold');
      observer.opened(stream);
    },
    closed(stream, reason) {
      read(stream, 'release');
      observer.closed(stream, reason);
    },
    heard: (stream) => observer.heard(stream),
    sent: (stream, collections) => observer.sent(stream, collections),
    acked: (stream, collections) => observer.acked(stream, collections),
    nacked: (stream, refusal) => observer.nacked(stream, refusal),
  };
}

/** Proxyless gRPC clients cannot send headers: their bootstrap has the token in the metadata of the node. */
function tokenInNode({ metadata }: ClientNode): string | undefined {
  const token = metadata['signalbox-token'];
  return typeof token === 'string' ? token : undefined;
}

function bearerToken(metadata: Metadata): string | undefined {
  const [header] = metadata.get('authorization');
  const [, token] = /^Bearer +(\S+)$/i.exec(String(header ?? '')) ?? [];
  return token;
}
