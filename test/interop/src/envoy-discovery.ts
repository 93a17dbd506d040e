import { envoyFamily } from '@signalbox/control-plane/projections';
import { until } from '@signalbox/test-harness';
import { jsonLogger, Metrics, systemClock, systemRandom } from '@signalbox/runtime';
import {
  type Collection,
  type CollectionSource,
  createAdsServer,
  GrpcServer,
  encodeEntry,
  type PlainResource,
  type Refusal,
  type ResourceEntry,
} from '@signalbox/xds';

/** A discovery server for one gateway's Envoys: what is set is what they get. */
export interface EnvoyDiscovery {
  readonly port: number;
  readonly token: string;
  /** What Envoy did not accept. */
  readonly refusals: readonly Refusal[];
  /** Replaces the resources, and waits until Envoy has acknowledged all of them. */
  set(resources: readonly PlainResource[]): Promise<void>;
  stop(): void;
}

const limits = {
  maxTypesPerStream: 8,
  maxNamesPerStream: 10_000,
  maxStreams: 10,
  streamsPerSecond: 100,
  streamBurst: 10,
  maxRequestBytes: 1 << 20,
  maxResponseBytes: 4 << 20,
  maxStreamAgeMs: 3_600_000,
  streamAgeJitter: 0.1,
  streamAgeGraceMs: 10_000,
  handshakeTimeoutMs: 5_000,
  authenticationCheckMs: 30_000,
  lateRemovalMs: 5_000,
  answerTimeoutMs: 60_000,
  keepaliveIntervalMs: 10_000,
  keepaliveTimeoutMs: 5_000,
};

export async function startEnvoyDiscovery(resources: readonly PlainResource[]): Promise<EnvoyDiscovery> {
  const token = 'interop-token';
  const refusals: Refusal[] = [];
  let active = 0n;
  const source = new GatewaySource(resources);
  const ads = createAdsServer({
    families: [{ family: envoyFamily, source }],
    authenticate: async (metadata) =>
      metadata.get('authorization')[0] === `Bearer ${token}`
        ? { identity: { credentialId: 'interop', name: 'interop' }, family: 'envoy', collections: 'all' }
        : { code: 16, message: 'unknown token' },
    observer: {
      ...{ opened() {}, heard() {}, sent() {}, closed() {} },
      acked: (_stream, [collection]) => void (active = collection?.revision ?? active),
      nacked: (_stream, refusal) => void refusals.push(refusal),
    },
    ...{ clock: systemClock, random: systemRandom, logger: jsonLogger('silent'), metrics: new Metrics(), limits },
  });
  const server = new GrpcServer({ clock: systemClock, limits: ads.connectionLimits });
  ads.addTo(server);
  const port = await server.listen({ host: '127.0.0.1', port: 0 });
  return {
    port,
    token,
    refusals,
    set: async (next) => {
      const revision = source.set(next);
      await until(`Envoy to run revision ${revision}`, () => active >= revision || undefined);
    },
    stop: () => {
      ads.stop();
      server.destroy();
    },
  };
}

const collectionId = 'gateway';

class GatewaySource implements CollectionSource {
  readonly ready = true;
  readonly #listeners = new Set<(ids: readonly string[]) => void>();
  #collection: Collection;

  constructor(resources: readonly PlainResource[]) {
    this.#collection = collectionOf(resources, 1n);
  }

  get(id: string): Collection | undefined {
    return id === collectionId ? this.#collection : undefined;
  }

  ids(): Iterable<string> {
    return [collectionId];
  }

  onChange(listener: (ids: readonly string[]) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  set(resources: readonly PlainResource[]): bigint {
    this.#collection = collectionOf(resources, this.#collection.revision + 1n);
    for (const listener of this.#listeners) listener([collectionId]);
    return this.#collection.revision;
  }
}

function collectionOf(resources: readonly PlainResource[], revision: bigint): Collection {
  const byType = new Map<string, Map<string, ResourceEntry>>();
  for (const resource of resources) {
    const entries = byType.get(resource.typeUrl) ?? new Map<string, ResourceEntry>();
    byType.set(resource.typeUrl, entries.set(resource.name, encodeEntry(resource, revision)));
  }
  return {
    id: collectionId,
    revision,
    get: (typeUrl, name) => byType.get(typeUrl)?.get(name),
    all: (typeUrl) => byType.get(typeUrl)?.values() ?? [],
    changedSince: () => undefined,
  };
}
