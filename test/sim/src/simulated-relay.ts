import { kinds, defaultRemovalLimits, typeUrlOf } from '@signalbox/config';
import { FleetReporter, Publisher, reportMessage, reportOf, UpstreamFeed } from '@signalbox/control-plane/testing';
import { Metrics, Secret } from '@signalbox/runtime';
import { MemoryLogger } from '@signalbox/runtime/testing';
import { AdsClient, type AdsServer, type ClientTransport } from '@signalbox/xds';
import type { PipeTransport } from '@signalbox/xds/testing';

import { ProcessClock } from './process-clock.ts';
import { publishing, reporting, Serving, type SimulatedReplicaOptions } from './simulated-replica.ts';

export interface SimulatedRelayOptions extends Omit<SimulatedReplicaOptions, 'isTelling'> {
  /** Its way to a control plane. */
  readonly transport: ClientTransport;
  readonly token: string;
  readonly disk: RelayDisk;
}

/** What outlives its processes. */
export interface RelayDisk {
  kept: ReturnType<Publisher['committed']> | undefined;
}

/** How often what is served is kept, in milliseconds. */
const keepMs = 400;
const types = [...kinds, 'Manifest' as const].map((kind) => typeUrlOf(kind));

/** One life of a relay: fed by the discovery stream of a control plane, it serves nodes of its own. */
export class SimulatedRelay {
  readonly clock: ProcessClock;
  readonly publisher: Publisher;
  readonly server: AdsServer;
  readonly #feed: UpstreamFeed;
  readonly #pipes = new Set<PipeTransport>();

  constructor(options: SimulatedRelayOptions) {
    const { id, clock, random, transport, token, disk } = options;
    this.clock = new ProcessClock(clock);
    const kit = { clock: this.clock, random, logger: new MemoryLogger(), metrics: new Metrics() };
    const feed: UpstreamFeed = new UpstreamFeed({
      ...kit,
      loadSnapshot: async () => disk.kept,
      resubscribe: (changes) => client.resubscribe(changes),
      limits: { scopes: 20, resources: 1_000, bytes: 1 << 20, removals: defaultRemovalLimits },
    });
    this.#feed = feed;
    const client = new AdsClient({
      ...{ ...kit, address: 'a replica', token: new Secret(token), transport, types, handler: feed },
      node: { id, cluster: 'default', userAgentName: 'simulation', userAgentVersion: '1', metadata: {} },
      backoff: { minMs: 20, maxMs: 500, stableAfterMs: 1_000 },
      limits: {
        maxResponseBytes: 4 << 20,
        connectTimeoutMs: 1_000,
        keepaliveIntervalMs: 10_000,
        keepaliveTimeoutMs: 5_000,
      },
    });
    this.publisher = new Publisher({ ...kit, ...publishing, feed });
    const { registry, server, time } = new Serving(this.publisher, kit, options);
    this.server = server;
    const reporter = new FleetReporter({
      ...{ ...kit, ...reporting, registry, time, replica: { id: random.uuid(), name: id }, isPartial: true },
      ...{ store: this.#upward(options), onOutage: () => undefined },
    });
    this.publisher.start().catch(() => undefined);
    void feed.loaded.then(() => client.start());
    void reporter.start();
    this.clock.interval(keepMs, () => {
      if (this.publisher.ready && feed.stalenessMs === 0) disk.kept = this.publisher.committed();
    });
  }

  /** A connection that ends with the process. */
  connected(pipe: PipeTransport): void {
    this.#pipes.add(pipe);
  }

  kill(): void {
    this.clock.kill();
    for (const pipe of this.#pipes) pipe.cut();
  }

  /** It tells the control plane what it knows of its nodes, while it has a connection. */
  #upward({ database, token }: SimulatedRelayOptions): ConstructorParameters<typeof FleetReporter>[0]['store'] {
    const relay = { tokenId: token, gateway: 'default', covers: () => true };
    return {
      report: async (report) => {
        if (this.clock.isKilled || this.#feed.stalenessMs > 0) throw new Error('there is no connection');
        return database.fleet.report(reportOf(reportMessage(report), relay));
      },
      leave: () => Promise.resolve(),
      sweep: () => Promise.resolve(),
    };
  }
}
