import { makeSnapshot, type Snapshot } from '@signalbox/config';
import {
  DatabaseTime,
  Fleet,
  FleetNodes,
  FleetReporter,
  HealthCollector,
  nativeFamily,
  NodeRegistry,
  pause,
  Publisher,
  resume,
  type Rollout,
  RolloutDriver,
  type RolloutStore,
  ScopedSources,
  Tail,
  TenantDirectory,
  type TenantRights,
} from '@signalbox/control-plane/testing';
import { type Clock, Metrics, type Random } from '@signalbox/runtime';
import { MemoryLogger } from '@signalbox/runtime/testing';
import { type AdsServer, createAdsServer, type StreamGrant, type StreamObserver } from '@signalbox/xds';
import type { PipeTransport } from '@signalbox/xds/testing';

import { tailDatabase } from './log-statements.ts';
import { ProcessClock } from './process-clock.ts';
import { rolloutStore } from './rollout-statements.ts';
import type { SimulatedDatabase } from './simulated-database.ts';

/** What a credential gives its node. */
export interface Credential {
  readonly name: string;
  /** Null: all tenants. */
  readonly rights: TenantRights | null;
  readonly groups: readonly string[];
}

export interface SimulatedReplicaOptions {
  readonly id: string;
  readonly database: SimulatedDatabase;
  readonly clock: Clock;
  readonly random: Random;
  /** By the tokens that nodes show. */
  readonly credentials: ReadonlyMap<string, Credential>;
  /** Told what the registry is told, after it. */
  readonly observer: (registry: NodeRegistry) => Pick<StreamObserver, 'sent' | 'acked' | 'nacked'>;
  /** Streams that grow old make up for what was not sent; where they do not, nothing may be forgotten. */
  readonly streamAgeMs: number;
  /** Replicas tell each other who runs what. */
  readonly isTelling: boolean;
}

/** Small pages and a short memory, so that the rare ways through tail and publisher are taken often. */
const tailLimits = { pollMs: 250, pageRows: 7, passRows: 40 };
export const publishing = { debounce: { quietMs: 5, maxMs: 50 }, maxRememberedChanges: 1 };
/** How long a node that left may take to come back, and how long a replica may say nothing, in milliseconds. */
export const returnMs = 1_500;
export const reporting = { coalesceMs: 100, leaseMs: 1_000, maxRows: 3, retentionMs: 3_600_000 };

const serverLimits = {
  ...{ maxStreams: 100, streamsPerSecond: 50, streamBurst: 20, maxTypesPerStream: 16, maxNamesPerStream: 100 },
  ...{ maxRequestBytes: 1 << 20, maxResponseBytes: 1_500, handshakeTimeoutMs: 2_000 },
  ...{ streamAgeJitter: 0.5, streamAgeGraceMs: 300 },
  ...{
    authenticationCheckMs: 1_000,
    lateRemovalMs: 5_000,
    answerTimeoutMs: 2_000,
    keepaliveIntervalMs: 10_000,
    keepaliveTimeoutMs: 5_000,
  },
};

/** What serves streams: the same objects in a control plane and in a relay. */
export class Serving {
  readonly registry: NodeRegistry;
  readonly server: AdsServer;
  readonly time: DatabaseTime;

  constructor(
    publisher: Publisher,
    kit: { readonly clock: Clock; readonly random: Random; readonly metrics: Metrics; readonly logger: MemoryLogger },
    { id, credentials, observer, streamAgeMs }: Omit<SimulatedReplicaOptions, 'database' | 'isTelling'>,
  ) {
    this.time = new DatabaseTime(kit.clock);
    const directory = new TenantDirectory(publisher);
    const { maxRememberedChanges } = publishing;
    const scopes = new ScopedSources({ published: publisher, directory, maxRememberedChanges, maxSources: 10 });
    const registry = new NodeRegistry({
      ...{ source: publisher, replica: id, time: this.time, metrics: kit.metrics },
      ...{ maxDisconnectedNodes: 100, maxRevisions: 3 },
    });
    this.registry = registry;
    const witness = observer(registry);
    this.server = createAdsServer({
      families: [{ family: nativeFamily, source: publisher }],
      authenticate: async (metadata) => grantOf(credentials.get(String(metadata.get('authorization')[0])), scopes),
      observer: {
        opened: (stream) => registry.opened(stream),
        heard: (stream) => registry.heard(stream),
        following: (stream, collections) => registry.following(stream, collections),
        closed: (stream) => registry.closed(stream),
        sent(stream, collections) {
          registry.sent(stream, collections);
          witness.sent(stream, collections);
        },
        acked(stream, collections) {
          registry.acked(stream, collections);
          witness.acked(stream, collections);
        },
        nacked(stream, refusal) {
          registry.nacked(stream, refusal);
          witness.nacked(stream, refusal);
        },
      },
      ...{ ...kit, limits: { ...serverLimits, maxStreamAgeMs: streamAgeMs } },
    });
  }
}

/** One life of a control plane, between starting and being killed: the real parts from the tail of the log to the streams. */
export class SimulatedReplica {
  readonly clock: ProcessClock;
  readonly publisher: Publisher;
  readonly server: AdsServer;
  readonly registry: NodeRegistry;
  readonly fleet: Fleet;
  readonly rollouts: RolloutStore;
  readonly driver: RolloutDriver;
  readonly #reporter: FleetReporter;
  readonly #pipes = new Set<PipeTransport>();
  readonly #isTelling: boolean;

  constructor(options: SimulatedReplicaOptions) {
    const { id, database, clock, random, isTelling } = options;
    this.clock = new ProcessClock(clock);
    this.#isTelling = isTelling;
    const metrics = new Metrics();
    const kit = { clock: this.clock, random, logger: new MemoryLogger(), metrics };
    const doorbell = {
      listen: async (onRing: () => void) => {
        database.onCommit((own) => {
          this.clock.timer(random.fraction() * 5, own ? () => tail.committed(own) : onRing);
        });
      },
    };
    const tail = new Tail({ ...kit, ...tailLimits, database: tailDatabase(database, this.clock, random), doorbell });
    this.publisher = new Publisher({ ...kit, ...publishing, feed: tail });
    const { registry, server, time } = new Serving(this.publisher, kit, options);
    this.registry = registry;
    this.server = server;
    const parts = {
      ...kit,
      replica: { id: random.uuid(), name: id },
      registry,
      store: this.#fleetStore(database),
      time,
    };
    this.fleet = new Fleet({ ...parts, pollMs: 100, leaseMs: reporting.leaseMs });
    this.#reporter = new FleetReporter({ ...parts, ...reporting, onOutage: () => this.fleet.interrupted() });
    this.rollouts = rolloutStore(database, { clock: this.clock, random, onChange: () => tail.kick() });
    this.driver = new RolloutDriver({
      ...{ ...kit, store: this.rollouts, fleet: new FleetNodes(this.fleet), health: new HealthCollector() },
      ...{ replica: parts.replica.id, returnMs, intervalMs: 300, isNeeded: () => this.publisher.isStaged },
      takeBack: (rollout, { reason, actor }) => takeBack(database, rollout, { reason, actor }),
    });
    void this.#start();
  }

  /** A connection that ends with the process. */
  connected(pipe: PipeTransport): void {
    this.#pipes.add(pipe);
  }

  kill(): void {
    this.clock.kill();
    for (const pipe of this.#pipes) pipe.cut();
  }

  pause(rollout: Rollout): Promise<boolean> {
    return this.rollouts.change(pause(rollout, 'somebody', ''));
  }

  resume(rollout: Rollout): Promise<boolean> {
    return this.rollouts.change(resume(rollout, 'somebody', ''));
  }

  /** A process that was killed says nothing more. */
  #fleetStore({
    fleet,
  }: SimulatedDatabase): ConstructorParameters<typeof FleetReporter>[0]['store'] &
    ConstructorParameters<typeof Fleet>[0]['store'] {
    const living = <T>(work: () => Promise<T>) =>
      this.clock.isKilled ? Promise.reject(new Error('the process was killed')) : work();
    return {
      report: (report) => living(() => fleet.report(report)),
      read: (known, scopes) => living(() => fleet.read(known, scopes)),
      leave: (replica) => living(() => fleet.leave(replica)),
      sweep: () => Promise.resolve(),
    };
  }

  /** Until the database is there. */
  async #start(): Promise<void> {
    if (this.#isTelling) {
      void this.#reporter.start();
      this.fleet.follow();
      this.driver.start();
    }
    while (!this.clock.isKilled) {
      try {
        return await this.publisher.start();
      } catch {
        await this.clock.sleep(100);
      }
    }
  }
}

async function takeBack(
  database: SimulatedDatabase,
  rollout: Rollout,
  { reason, actor }: { readonly reason: string; readonly actor: string },
) {
  const base = database.set(rollout.scope, rollout.base);
  if (!base) return { refused: `there is no revision ${rollout.base}` };
  const end = { state: 'rolled-back', reason, actor } as const;
  const written = await database.write(rollout.scope, (_before, revision) => withRevision(base, revision), {
    ...{ forMs: 2, ends: 'commit', takesBack: { rollout, end } },
  });
  return written === 'committed' ? 'done' : 'changed';
}

function withRevision({ scope, resources }: Snapshot, revision: bigint): Snapshot {
  return makeSnapshot(scope, revision, resources.values());
}

function grantOf(credential: Credential | undefined, scopes: ScopedSources): StreamGrant {
  if (!credential) throw new Error('nobody has given the node anything');
  const { name, rights, groups } = credential;
  const grant = {
    identity: { credentialId: name, name, groups },
    family: nativeFamily.name,
    collections: 'all' as const,
  };
  const source = rights && scopes.open(rights);
  return source ? { ...grant, source, sources: source } : grant;
}
