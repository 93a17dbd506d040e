import type { Clock, Logger, Metrics, Random, TlsFiles } from '@signalbox/runtime';
import {
  type AdsServer,
  type AdsServerLimits,
  type CollectionSource,
  createAdsServer,
  GrpcServer,
  type StreamInfo,
  type StreamObserver,
} from '@signalbox/xds';
import { nativeFamily } from '../projections/native.ts';
import { ExternalMetrics } from './external-metrics.ts';
import type { NodeAdmission, ServedViews } from './node-admission.ts';

export interface DiscoveryServiceOptions {
  /** Port 0 lets the system choose. */
  readonly listen: { readonly host: string; readonly port: number };
  /** Absent: plaintext. */
  readonly tls?: TlsFiles | undefined;
  /** What our own nodes receive. */
  readonly source: CollectionSource;
  /** What others receive. */
  readonly views: readonly ServedViews[];
  readonly admission: NodeAdmission;
  /** Further services of the same port. */
  readonly services?: readonly ((server: Pick<GrpcServer, 'handle'>) => void)[];
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
  readonly #server: GrpcServer;

  constructor(options: DiscoveryServiceOptions) {
    const { admission, source, views, observer, clock, random, logger, metrics, limits, tls } = options;
    this.#options = options;
    this.#ads = createAdsServer({
      families: [{ family: nativeFamily, source }, ...views],
      authenticate: (metadata, node, certificate) => admission.admit(metadata, node, certificate),
      observer: holdingViews([observer, new ExternalMetrics(views, metrics)], views, logger),
      clock,
      random,
      logger,
      metrics,
      limits,
    });
    this.#server = new GrpcServer({ clock, tls, limits: this.#ads.connectionLimits });
    this.#ads.addTo(this.#server);
    for (const add of options.services ?? []) add(this.#server);
  }

  /** Listens. @returns the port. @throws when the address cannot be used. */
  start(): Promise<number> {
    return this.#server.listen(this.#options.listen);
  }

  /** Ends every stream and stops listening; cuts what is left when the deadline aborts. */
  async stop(deadline: AbortSignal): Promise<void> {
    this.#ads.stop();
    const force = () => this.#server.destroy();
    deadline.addEventListener('abort', force, { once: true });
    if (deadline.aborted) force();
    await this.#server.close();
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

/** Views live as long as streams read them. */
function holdingViews(
  observers: readonly StreamObserver[],
  views: readonly ServedViews[],
  logger: Logger,
): StreamObserver {
  const read = ({ family, collections }: StreamInfo, change: 'hold' | 'release') => {
    const served = views.find((each) => each.family.name === family);
    if (served && collections !== 'all') served.source[change](collections);
  };
  return {
    opened(stream) {
      read(stream, 'hold');
      warnOfVariant(stream, views, logger);
      for (const observer of observers) observer.opened(stream);
    },
    closed(stream, reason) {
      read(stream, 'release');
      for (const observer of observers) observer.closed(stream, reason);
    },
    heard: (stream) => observers.forEach((observer) => observer.heard(stream)),
    following: (stream, collections) => observers.forEach((observer) => observer.following?.(stream, collections)),
    sent: (stream, collections) => observers.forEach((observer) => observer.sent(stream, collections)),
    acked: (stream, collections) => observers.forEach((observer) => observer.acked(stream, collections)),
    nacked: (stream, refusal) => observers.forEach((observer) => observer.nacked(stream, refusal)),
  };
}

/** A node that gets less than others of its gateway: that has to be seen, since nothing refuses it. */
function warnOfVariant({ node, family }: StreamInfo, views: readonly ServedViews[], logger: Logger): void {
  const variant = views.find((each) => each.family.name === family)?.source.variantOf(node);
  if (!variant) return;
  logger.warn(variant.note, { node: node.id, family, version: node.userAgentVersion });
}
