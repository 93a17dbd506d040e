import { type Metadata, Server, ServerCredentials } from '@grpc/grpc-js';
import { operatorScope } from '@signalbox/config';
import type { Clock, Logger, Metrics, Random, TlsFiles } from '@signalbox/runtime';
import {
  type AdsServer,
  type AdsServerLimits,
  type ClientNode,
  type CollectionSource,
  createAdsServer,
  statusCode,
  type StreamEnd,
  type StreamGrant,
  type StreamObserver,
} from '@signalbox/xds';
import { nativeFamily } from '../projections/native.ts';
import type { NodeAuthenticator } from './node-identity.ts';
import { reloadingCredentials } from './tls-credentials.ts';

export interface DiscoveryServiceOptions {
  /** Port 0 lets the system choose. */
  readonly listen: { readonly host: string; readonly port: number };
  /** Absent: plaintext. */
  readonly tls?: TlsFiles | undefined;
  readonly source: CollectionSource;
  readonly authenticator: NodeAuthenticator;
  /** The node registry. */
  readonly observer: StreamObserver;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly limits: AdsServerLimits;
}

/** The gRPC server on which nodes subscribe to their configuration. */
export class DiscoveryService {
  readonly #options: DiscoveryServiceOptions;
  readonly #ads: AdsServer;
  readonly #server: Server;

  constructor(options: DiscoveryServiceOptions) {
    const { authenticator, source, observer, clock, random, logger, metrics, limits } = options;
    this.#options = options;
    this.#ads = createAdsServer({
      family: nativeFamily,
      source,
      authenticate: (metadata, node) => admitNode(authenticator, metadata, node),
      observer,
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
      const credentials = tls ? reloadingCredentials(tls) : ServerCredentials.createInsecure();
      this.#server.bindAsync(`${host}:${listen.port}`, credentials, (error, port) => {
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

/**
 * Lets a node in on its token alone. What it claims must agree with the token, and is checked before anything is sent,
 * so that no name of a foreign gateway leaks.
 */
async function admitNode(
  authenticator: NodeAuthenticator,
  metadata: Metadata,
  node: ClientNode,
): Promise<StreamGrant | StreamEnd> {
  const token = bearerToken(metadata);
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
  return {
    identity: { credentialId: identity.tokenId, name: identity.name },
    collections: identity.tenants === null ? 'all' : new Set([operatorScope, ...identity.tenants]),
  };
}

function bearerToken(metadata: Metadata): string | undefined {
  const [header] = metadata.get('authorization');
  const [, token] = /^Bearer +(\S+)$/i.exec(String(header ?? '')) ?? [];
  return token;
}
