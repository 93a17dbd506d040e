import {
  defaultRemovalLimits,
  defaultTableLimits,
  kinds,
  parseDiscoveryName,
  type RoutingTable,
  type TableLimits,
  typeUrlOf,
} from '@signalbox/config';
import type { TenantRights } from '@signalbox/control-plane/testing';
import {
  Activation,
  CurrentTable,
  type LastGoodSet,
  Subscriber,
  TenantDemand,
  TimeSlice,
} from '@signalbox/proxy/testing';
import { type Clock, Metrics, type Random, Secret } from '@signalbox/runtime';
import { MemoryLogger } from '@signalbox/runtime/testing';
import { AdsClient, type ClientHandler, type ClientTransport, type ResourceUpdate } from '@signalbox/xds';

import { ProcessClock } from './process-clock.ts';

/** A node that outlives its processes: its name, its credential and its disk. */
export interface NodePlan {
  readonly id: string;
  /** Tenants that its credential covers; null: all. */
  readonly rights: TenantRights | null;
  readonly groups?: readonly string[];
  /** It refuses larger sets. */
  readonly routes?: number;
  /** It loads tenants when they are asked for. */
  readonly isOnDemand?: boolean;
  /** It is served by a relay. */
  readonly isBelowRelay?: boolean;
}

const demandLimits = { tenants: 2, waiting: 20, waitMs: 400, idleMs: 800, retryMs: 100 };

export interface SimulatedNodeOptions extends NodePlan {
  readonly transport: ClientTransport;
  readonly disk: Map<string, LastGoodSet>;
  readonly clock: Clock;
  readonly random: Random;
  /** Told of everything that the node is sent, before it sees it. */
  readonly onUpdate: (update: ResourceUpdate) => void;
  readonly onTable: (table: RoutingTable) => void;
}

const types = [...kinds, 'Manifest' as const].map((kind) => typeUrlOf(kind));

/** How long the disk takes for a set, at most, in milliseconds. */
const diskMs = 30;

/** One life of a proxy as far as discovery goes: the real client, subscriber, activation and table. */
export class SimulatedNode {
  readonly current = new CurrentTable();
  readonly clock: ProcessClock;
  readonly limits: TableLimits;
  readonly demand: TenantDemand | undefined;
  /** Tenants that it has asked for so far. */
  readonly asked = new Set<string>();
  readonly #options: SimulatedNodeOptions;
  readonly #subscriber: Subscriber;
  readonly #client: AdsClient;
  #diskBusyUntilMs = 0;

  constructor(options: SimulatedNodeOptions) {
    const { id, transport, clock, random, disk, routes, isOnDemand = false } = options;
    this.#options = options;
    this.clock = new ProcessClock(clock);
    this.limits = { ...defaultTableLimits, ...(routes === undefined ? {} : { routes }) };
    const logger = new MemoryLogger();
    const slice = new TimeSlice(this.clock, 1);
    const kit = { clock: this.clock, logger, metrics: new Metrics() };
    this.demand = isOnDemand ? new TenantDemand({ ...kit, limits: demandLimits }) : undefined;
    this.#subscriber = new Subscriber({
      activation: new Activation(this.current, slice, this.limits),
      lastGood: {
        save: (set) => this.#write(() => void disk.set(set.snapshot.scope, set)),
        forget: (scope) => this.#write(() => void disk.delete(scope)),
      },
      limits: { scopes: 20, resources: 1_000, bytes: 1 << 20 },
      removals: defaultRemovalLimits,
      ...{ ...kit, slice, demand: this.demand, resubscribe: (changes) => this.#client.resubscribe(changes) },
    });
    this.current.observe({ onSwap: (_previous, next) => options.onTable(next), onRetired: () => undefined });
    this.#client = new AdsClient({
      ...{ address: 'a replica', token: new Secret(id), transport, handler: this.#handler() },
      node: { id, cluster: 'default', userAgentName: 'simulation', userAgentVersion: '1', metadata: {} },
      types,
      ...{ clock: this.clock, random, logger },
      backoff: { minMs: 20, maxMs: 500, stableAfterMs: 1_000 },
      limits: {
        maxResponseBytes: 4 << 20,
        connectTimeoutMs: 1_000,
        keepaliveIntervalMs: 10_000,
        keepaliveTimeoutMs: 5_000,
      },
    });
  }

  /** Boots from disk, then dials. */
  async start(): Promise<void> {
    const { disk } = this.#options;
    for (const scope of disk.keys()) this.asked.add(scope);
    if (disk.size > 0) await this.#subscriber.restore([...disk.values()]);
    if (!this.clock.isKilled) this.#client.start();
  }

  /** Scopes of which it has told the control plane that it holds something. */
  get heldScopes(): ReadonlySet<string> {
    const names = types.flatMap((typeUrl) => [...this.#subscriber.heldVersions(typeUrl).keys()]);
    return new Set(names.flatMap((name) => parseDiscoveryName(name)?.scope ?? []));
  }

  /** A request for a tenant comes, and runs for a while if it can. */
  async request(tenant: string, forMs: number): Promise<void> {
    const { demand } = this;
    if (!demand) return;
    this.asked.add(tenant);
    if ((await demand.want(tenant)) !== 'loaded' || this.clock.isKilled) return;
    demand.use(tenant);
    await this.clock.sleep(forMs);
    demand.release(tenant);
  }

  kill(): void {
    this.clock.kill();
  }

  #handler(): ClientHandler {
    const { onUpdate, random } = this.#options;
    return {
      heldVersions: (typeUrl) => this.#subscriber.heldVersions(typeUrl),
      subscriptions: (typeUrl) => this.#subscriber.subscriptions(typeUrl),
      onConnection: (state, detail) => this.#subscriber.onConnection(state, detail),
      onResponse: async (update) => {
        onUpdate(update);
        const faults = await this.#subscriber.onResponse(update);
        // Now and then a node is slow to answer.
        if (random.fraction() < 0.1) await this.clock.sleep(random.fraction() * 200);
        return faults;
      },
    };
  }

  /** One after the other; a file is there whole or not at all; what was not written when the process was killed never is. */
  #write(write: () => void): void {
    const now = this.clock.monotonic();
    this.#diskBusyUntilMs = Math.max(this.#diskBusyUntilMs, now) + this.#options.random.fraction() * diskMs;
    this.clock.timer(this.#diskBusyUntilMs - now, write);
  }
}
