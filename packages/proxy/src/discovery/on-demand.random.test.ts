import {
  defaultRemovalLimits,
  defaultTableLimits,
  discoveryName,
  kinds,
  operatorScope,
  type Snapshot,
  typeUrlOf,
} from '@signalbox/config';
import { Metrics, type Random, Secret } from '@signalbox/runtime';
import { ManualClock, MemoryLogger, SeededRandom } from '@signalbox/runtime/testing';
import {
  AdsClient,
  type Collection,
  type CollectionSource,
  createAdsServer,
  encodeEntry,
  type ResourceEntry,
} from '@signalbox/xds';
import { PipeTransport } from '@signalbox/xds/testing';
import { describe, expect, it } from 'vitest';
import { CurrentTable } from '../table/current-table.ts';
import { TimeSlice } from '../table/time-slice.ts';
import { manifestsOf, operatorSet, tenantSet } from '../testing/config-sets.ts';
import { Activation } from './activation.ts';
import { Subscriber } from './subscriber.ts';
import { TenantDemand } from './tenant-demand.ts';

const tenants = ['acme', 'beta', 'gamma', 'delta'];
const limits = { tenants: 3, waiting: 20, waitMs: 300, idleMs: 1_000, retryMs: 100 };
const serverLimits = {
  ...{ maxTypesPerStream: 16, maxNamesPerStream: 100, maxStreams: 10, streamsPerSecond: 1_000, streamBurst: 1_000 },
  ...{ maxRequestBytes: 1 << 20, maxResponseBytes: 1_000, maxStreamAgeMs: 3_600_000, streamAgeJitter: 0 },
  ...{ streamAgeGraceMs: 1_000, handshakeTimeoutMs: 5_000, authenticationCheckMs: 60_000, lateRemovalMs: 5_000 },
  ...{ answerTimeoutMs: 60_000, keepaliveIntervalMs: 60_000, keepaliveTimeoutMs: 60_000 },
};

/** A published set, as it stands on the wire. */
class SetCollection implements Collection {
  readonly id: string;
  readonly revision: bigint;
  readonly #entries = new Map<string, Map<string, ResourceEntry>>();

  constructor(set: Snapshot) {
    this.id = set.scope;
    this.revision = set.revision;
    for (const { kind, name, digest, body } of set.resources.values()) {
      const typeUrl = typeUrlOf(kind);
      this.#add({ name: discoveryName({ kind, scope: set.scope, name }), version: digest, typeUrl, body });
    }
    for (const manifest of manifestsOf([set], [], set.revision).resources) this.#add(manifest);
  }

  get(typeUrl: string, name: string): ResourceEntry | undefined {
    return this.#entries.get(typeUrl)?.get(name);
  }

  all(typeUrl: string): Iterable<ResourceEntry> {
    return this.#entries.get(typeUrl)?.values() ?? [];
  }

  changedSince(): undefined {
    return undefined;
  }

  #add(resource: Parameters<typeof encodeEntry>[0]): void {
    const entries = this.#entries.get(resource.typeUrl) ?? new Map<string, ResourceEntry>();
    this.#entries.set(resource.typeUrl, entries.set(resource.name, encodeEntry(resource, this.revision)));
  }
}

/** What a control plane publishes: a tenant's set while the operator's names it. */
class Published implements CollectionSource {
  readonly ready = true;
  readonly newest = new Map<string, Snapshot>();
  readonly committed = new Set<string>();
  readonly #collections = new Map<string, SetCollection>();
  readonly #listeners = new Set<(ids: readonly string[]) => void>();

  commit(set: Snapshot): void {
    const named = this.#tenants();
    this.newest.set(set.scope, set);
    this.#collections.set(set.scope, new SetCollection(set));
    this.committed.add(`${set.scope} ${set.revision} ${set.hash}`);
    const moved =
      set.scope === operatorScope ? tenants.filter((name) => named.has(name) !== this.#tenants().has(name)) : [];
    for (const listener of this.#listeners) listener([set.scope, ...moved]);
  }

  get(id: string): Collection | undefined {
    return id === operatorScope || this.#tenants().has(id) ? this.#collections.get(id) : undefined;
  }

  ids(): Iterable<string> {
    return [...this.#collections.keys()].filter((id) => this.get(id));
  }

  onChange(listener: (ids: readonly string[]) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  #tenants(): ReadonlySet<string> {
    const resources = this.newest.get(operatorScope)?.resources.keys() ?? [];
    return new Set([...resources].flatMap((key) => (key.startsWith('Tenant/') ? key.slice(7) : [])));
  }
}

/** A control plane and a node that loads tenants on demand, on pipes with delays, in manual time. */
class World {
  readonly clock = new ManualClock(0);
  readonly published = new Published();
  readonly current = new CurrentTable();
  readonly demand: TenantDemand;
  readonly pipe: PipeTransport;
  readonly logger = new MemoryLogger();
  readonly #random: Random;
  readonly #client: AdsClient;

  constructor(random: Random) {
    const { clock, logger, published } = this;
    const kit = { clock, random, logger, metrics: new Metrics() };
    this.#random = random;
    this.published.commit(operatorSet(1n, tenants));
    const types = [...kinds, 'Manifest' as const].map((kind) => typeUrlOf(kind));
    const family = {
      name: 'native',
      types: types.map((typeUrl) => ({ typeUrl, closesRound: typeUrl === types.at(-1) })),
    };
    const identity = { credentialId: 'token', name: 'token' };
    const nobody = () => undefined;
    const server = createAdsServer({
      ...{ ...kit, limits: serverLimits, families: [{ family, source: published }] },
      authenticate: async () => ({ identity, family: 'native', collections: 'all' as const }),
      observer: { opened: nobody, heard: nobody, sent: nobody, acked: nobody, nacked: nobody, closed: nobody },
    });
    this.pipe = new PipeTransport((stream) => server.serve(stream), { clock, random, maxDelayMs: 20 });
    this.demand = new TenantDemand({ ...kit, limits });
    const slice = new TimeSlice(clock, 2);
    const handler = new Subscriber({
      ...{ ...kit, slice, demand: this.demand, activation: new Activation(this.current, slice, defaultTableLimits) },
      ...{ lastGood: { save: nobody, forget: nobody }, removals: defaultRemovalLimits },
      limits: { scopes: 10, resources: 100, bytes: 100_000 },
      resubscribe: (changes) => this.#client.resubscribe(changes),
    });
    this.#client = new AdsClient({
      ...{ ...kit, types, handler, address: 'pipe', token: new Secret('token'), transport: this.pipe },
      node: { id: 'node', cluster: 'default', userAgentName: 'test', userAgentVersion: '1', metadata: {} },
      backoff: { minMs: 10, maxMs: 50, stableAfterMs: 1_000 },
      limits: {
        maxResponseBytes: 1 << 20,
        connectTimeoutMs: 5_000,
        keepaliveIntervalMs: 60_000,
        keepaliveTimeoutMs: 60_000,
      },
    });
    this.#client.start();
  }

  commitTenant(tenant: string): void {
    const revision = (this.published.newest.get(tenant)?.revision ?? 0n) + 1n;
    const routes = ['a', 'b', 'c', 'd'].filter(() => this.#random.fraction() < 0.5);
    this.published.commit(tenantSet(tenant, revision, { routes }));
  }

  commitOperator(): void {
    const revision = (this.published.newest.get(operatorScope)?.revision ?? 0n) + 1n;
    this.published.commit(
      operatorSet(
        revision,
        tenants.filter(() => this.#random.fraction() < 0.8),
      ),
    );
  }

  /** Tenants that are served and that nobody ever committed like that. */
  faults(): readonly string[] {
    const served = [...(this.current.value?.tenants ?? [])];
    return served.flatMap(([name, { revision, hash }]) =>
      this.published.committed.has(`${name} ${revision} ${hash}`) ? [] : `${name}@${revision}`,
    );
  }

  served(): Readonly<Record<string, bigint>> {
    const served = [...(this.current.value?.tenants ?? [])];
    return Object.fromEntries(served.map(([name, { revision }]) => [name, revision]));
  }

  /** In steps: a client that has lost its stream must come to set its timer before time passes it by. */
  async pass(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 25) await this.clock.advance(25);
  }

  async stop(): Promise<void> {
    this.demand.stop();
    await this.#client.stop();
  }
}

async function run(seed: number) {
  const random = new SeededRandom(seed);
  const world = new World(random);
  const any = () => tenants[Math.floor(random.fraction() * tenants.length)] as string;
  const faults: string[] = [];
  const uses: string[] = [];
  for (let step = 0; step < 60; step += 1) {
    const dice = random.fraction();
    if (dice < 0.3) world.commitTenant(any());
    else if (dice < 0.35) world.commitOperator();
    else if (dice < 0.6) void world.demand.want(any());
    else if (dice < 0.65) world.pipe.cut();
    else if (dice < 0.7) {
      const tenant = any();
      if (world.current.value?.tenants.has(tenant)) uses.push(tenant);
      if (uses.at(-1) === tenant) world.demand.use(tenant);
    } else if (dice < 0.75) world.demand.release(uses.pop() ?? '');
    else if (dice < 0.8) await world.pass(limits.idleMs);
    else await world.clock.advance(Math.floor(random.fraction() * 60));
    faults.push(...world.faults());
  }
  for (const tenant of uses) world.demand.release(tenant);
  await world.pass(3 * limits.idleMs);
  const left = world.served();
  const revision = (world.published.newest.get(operatorScope)?.revision ?? 0n) + 1n;
  world.published.commit(operatorSet(revision, tenants));
  await world.pass(200);
  const two = tenants.slice(0, 2);
  for (const tenant of two) world.published.commit(tenantSet(tenant, 1_000n, { routes: ['final'] }));
  const wanted = Promise.all(two.map((tenant) => world.demand.want(tenant)));
  await world.pass(300);
  const outcomes = await wanted;
  for (const tenant of tenants) world.published.commit(tenantSet(tenant, 1_001n, { routes: ['last'] }));
  await world.pass(200);
  const errors = world.logger.lines.filter(({ level }) => level === 'error');
  await world.stop();
  return { faults, left, outcomes, served: world.served(), errors };
}

describe('a node that loads tenants on demand, under random commits, cuts, uses and idle times', () => {
  it.each(Array.from({ length: 40 }, (_, at) => at + 1))(
    'serves only committed revisions, gives all up when idle, and follows what it is asked for (seed %i)',
    async (seed) => {
      expect(await run(seed)).toEqual({
        ...{ faults: [], left: {}, outcomes: ['loaded', 'loaded'], errors: [] },
        served: { acme: 1_001n, beta: 1_001n },
      });
    },
  );
});
