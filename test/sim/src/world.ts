import { operatorScope, type Snapshot } from '@signalbox/config';
import type { NodeRegistry } from '@signalbox/control-plane/testing';
import { type LastGoodSet, operatorSet, tenantSet } from '@signalbox/proxy/testing';
import { ManualClock, SeededRandom } from '@signalbox/runtime/testing';
import type { ClientTransport, StreamObserver } from '@signalbox/xds';
import { PipeTransport } from '@signalbox/xds/testing';

import { type FleetPlan, fleetPlan, tenants } from './fleet-plan.ts';
import { Invariants, setsIn } from './invariants.ts';
import { attend } from './person.ts';
import { PropagationWatch } from './propagation-watch.ts';
import { faultsAtRest } from './rest.ts';
import { SeenOperator } from './seen-operator.ts';
import { type Manner, SimulatedDatabase } from './simulated-database.ts';
import { type NodePlan, SimulatedNode } from './simulated-node.ts';
import { type RelayDisk, SimulatedRelay } from './simulated-relay.ts';
import { type Credential, SimulatedReplica } from './simulated-replica.ts';

/** A node and what outlives its processes. */
export interface NodePlace {
  readonly plan: NodePlan;
  readonly disk: Map<string, LastGoodSet>;
  running: SimulatedNode | undefined;
  startedAtMs: number;
  readonly link: Link;
}

/** A way to a server. */
interface Link {
  pipe: PipeTransport | undefined;
  /** Since when it has been let in on its stream; undefined without one. */
  connectedSinceMs: number | undefined;
}

type Listener = Parameters<ClientTransport['open']>[0];
/** Whoever takes streams. */
type Server = SimulatedReplica | SimulatedRelay;

const unavailable = 14;
/** In this time everything that is left to do is done: polls, retries, streams that grow old, stages. */
const restMs = 20_000;
/** Who has come to rest is watched for so long: nothing may move that is not to. */
const calmMs = 800;
/** What one turn of the world's clock lasts: whoever is woken in it sets his timers before the next. */
const turnMs = 25;

/** A database, replicas, perhaps a relay, and nodes in manual time. Equal seeds make equal worlds. */
export class World {
  readonly clock = new ManualClock();
  readonly random: SeededRandom;
  readonly plan: FleetPlan;
  readonly database: SimulatedDatabase;
  readonly invariants: Invariants;
  readonly operator: SeenOperator;
  readonly replicas: (SimulatedReplica | undefined)[];
  readonly nodes: readonly NodePlace[];
  relay: SimulatedRelay | undefined;
  readonly relayLink: Link = { pipe: undefined, connectedSinceMs: undefined };
  /** What happened, for whoever looks into a seed. */
  readonly trace: string[] = [];
  readonly watch: PropagationWatch | undefined;
  readonly #credentials: ReadonlyMap<string, Credential>;
  readonly #relayDisk: RelayDisk = { kept: undefined };
  readonly #startedMs: number;
  /** Writes that have not ended. */
  #writing = 0;

  constructor(seed: number) {
    this.random = new SeededRandom(seed);
    this.plan = fleetPlan(this.random);
    this.database = new SimulatedDatabase(this.clock, this.random);
    this.operator = new SeenOperator(this.database);
    this.invariants = new Invariants(this.database, this.operator);
    this.#startedMs = this.clock.now();
    this.replicas = Array.from({ length: this.plan.replicas }, () => undefined);
    this.nodes = this.plan.nodes.map((plan) => {
      const link = { pipe: undefined, connectedSinceMs: undefined };
      return { plan, disk: new Map(), link, running: undefined, startedAtMs: 0 };
    });
    const owners = this.plan.nodes.map(({ id: name, rights, groups = [] }) => ({ name, rights, groups }));
    const relay = { name: 'relay', rights: null, groups: [] };
    this.#credentials = new Map([...owners, relay].map((credential) => [credential.name, credential]));
    this.watch = this.plan.isWatched ? new PropagationWatch(this) : undefined;
  }

  /** A whole number below `count`. */
  pick(count: number): number {
    return Math.floor(this.random.fraction() * count);
  }

  note(what: string): void {
    this.trace.push(`${(this.clock.now() - this.#startedMs).toFixed(0).padStart(6)} ms  ${what}`);
  }

  async wait(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= turnMs) await this.clock.advance(Math.min(left, turnMs));
  }

  startReplica(at: number): void {
    if (this.replicas[at]) return;
    this.note(`replica ${at} starts`);
    this.replicas[at] = new SimulatedReplica({
      ...{ ...this.#serving(`replica ${at}`, false), database: this.database },
      isTelling: this.plan.isWatched || this.plan.rollouts.size > 0,
    });
  }

  killReplica(at: number): void {
    const replica = this.replicas[at];
    if (!replica) return;
    this.note(`replica ${at} is killed`);
    this.replicas[at] = undefined;
    replica.kill();
  }

  startRelay(): void {
    if (this.relay || !this.plan.hasRelay) return;
    this.note(`the relay starts ${this.#relayDisk.kept ? 'from its disk' : 'with nothing'}`);
    this.relay = new SimulatedRelay({
      ...{ ...this.#serving('relay', true), database: this.database, disk: this.#relayDisk, token: 'relay' },
      transport: this.#way('relay', this.relayLink),
    });
  }

  killRelay(): void {
    if (!this.relay) return;
    this.note('the relay is killed');
    this.relay.kill();
    this.relay = undefined;
    this.relayLink.pipe?.cut();
  }

  async startNode(place: NodePlace): Promise<void> {
    if (place.running) return;
    const { plan, disk } = place;
    this.note(`node ${plan.id} starts with ${disk.size} sets on disk`);
    const held = new Map(Array.from(disk, ([scope, { snapshot }]) => [scope, snapshot.revision]));
    const node: SimulatedNode = new SimulatedNode({
      ...{ ...plan, disk, clock: this.clock, random: this.random },
      transport: this.#way(plan.id, place.link, plan.isBelowRelay),
      onUpdate: (update) => this.invariants.update(plan, update, node.asked),
      onTable: (table) => {
        if (place.running !== node && !isStarting) return;
        const sets = Array.from(setsIn(table), ([scope, set]) => `${scope}@${set.revision}`);
        this.note(`node ${plan.id} serves ${sets.join(' ')}`);
        this.invariants.table(plan, table);
      },
    });
    let isStarting = true;
    place.running = node;
    place.startedAtMs = this.clock.now();
    await node.start();
    isStarting = false;
    if (place.running === node) this.invariants.booted(plan, node.current.value, held);
  }

  killNode(place: NodePlace): void {
    if (!place.running) return;
    this.note(`node ${place.plan.id} is killed`);
    place.running.kill();
    place.running = undefined;
    place.link.pipe?.cut();
    this.invariants.killed(place.plan.id);
  }

  /** Commits another state of a tenant, or of the operator. */
  write(scope: string, how: Omit<Manner, 'plan' | 'takesBack'> & { readonly set?: 'bad' | 'good' }): void {
    this.note(`${scope} is written (${how.forMs.toFixed(0)} ms, ${how.set === 'bad' ? 'bad, ' : ''}${how.ends})`);
    this.#writing += 1;
    const change = (_before: Snapshot | undefined, revision: bigint): Snapshot =>
      scope === operatorScope ? this.#operatorSet(revision) : this.#tenantSet(scope, revision, how.set);
    const written = () => void (this.#writing -= 1);
    this.database
      .write(scope, change, { ...how, plan: this.plan.rollouts.get(scope) })
      .then(written, (error: unknown) => {
        written();
        this.invariants.report(`a write failed: ${String(error)}`);
      });
  }

  /** Every node and replica works, somebody looks after rollouts, and everything that can be fixed is. */
  async heal(): Promise<void> {
    this.note('everything is healed');
    this.database.start();
    this.replicas.forEach((_, at) => this.startReplica(at));
    this.startRelay();
    for (const place of this.nodes) await this.startNode(place);
    await this.#untilWritten();
    for (const tenant of tenants) this.write(tenant, { forMs: 1, ends: 'commit', set: 'good' });
    await this.#untilWritten();
    const until = this.clock.now() + restMs;
    do {
      await attend(this);
      await this.wait(250);
    } while (this.clock.now() < until && faultsAtRest(this).length > 0);
    await this.wait(calmMs);
  }

  /** What is wrong when everything has come to rest. */
  atRest(): readonly string[] {
    this.invariants.end();
    return [...this.invariants.violations, ...faultsAtRest(this)];
  }

  async #untilWritten(): Promise<void> {
    while (this.#writing > 0) await this.wait(100);
  }

  /** What replicas and relays are given alike. */
  #serving(id: string, isRelay: boolean) {
    const { clock, random, plan } = this;
    return {
      ...{ id, clock, random, credentials: this.#credentials, streamAgeMs: plan.streamAgeMs },
      observer: (registry: NodeRegistry) => this.#witness(registry, isRelay),
    };
  }

  #witness(registry: NodeRegistry, isRelay: boolean): Pick<StreamObserver, 'sent' | 'acked' | 'nacked'> {
    const { invariants, nodes } = this;
    const planOf = (id: string) => nodes.find(({ plan }) => plan.id === id)?.plan;
    return {
      sent: (stream, collections) => invariants.sent(stream, collections, isRelay),
      nacked: ({ node }, { faults }) => {
        const plan = planOf(node.id);
        if (plan) invariants.refused(plan, faults);
      },
      acked: ({ node }, collections) => {
        const plan = planOf(node.id);
        const status = plan && registry.list().find(({ id, connected }) => id === node.id && connected);
        for (const { id: scope } of collections) {
          const revision = status?.scope(scope)?.applied;
          if (plan && revision !== undefined) invariants.saidToRun(plan.id, plan.rights, { id: scope, revision });
        }
      },
    };
  }

  /** To a server of those that run; a connection lives as long as it does. */
  #way(token: string, link: Link, isBelowRelay = false): ClientTransport {
    return {
      open: (listener) => {
        const servers = isBelowRelay ? [this.relay] : this.replicas;
        const running: readonly Server[] = servers.filter((server) => server !== undefined);
        const server = running[this.pick(running.length)];
        if (!server) return this.#nobody(listener);
        const pipe = new PipeTransport((stream) => server.server.serve(stream), {
          ...{ clock: this.clock, random: this.random, maxDelayMs: this.plan.maxDelayMs },
          headers: { authorization: token },
        });
        link.pipe = pipe;
        server.connected(pipe);
        return pipe.open(this.#watched(listener, link));
      },
    };
  }

  /** Notes since when somebody has been connected. */
  #watched(listener: Listener, link: Link): Listener {
    return {
      onAccepted: () => {
        link.connectedSinceMs = this.clock.now();
        listener.onAccepted();
      },
      onResponse: (response) => listener.onResponse(response),
      onEnd: (code, detail, retryAfterMs) => {
        link.connectedSinceMs = undefined;
        listener.onEnd(code, detail, retryAfterMs);
      },
    };
  }

  #nobody(listener: Listener): ReturnType<ClientTransport['open']> {
    const refused = this.clock.timer(1, () => listener.onEnd(unavailable, 'nobody answers'));
    const cancel = () => {
      refused[Symbol.dispose]();
      listener.onEnd(1, 'cancelled');
    };
    return { remoteAddress: 'nowhere', send: () => undefined, cancel };
  }

  #operatorSet(revision: bigint): Snapshot {
    const some = revision === 1n ? tenants : tenants.filter(() => this.random.fraction() < 0.8);
    const golden = new Set(some.filter(() => this.random.fraction() < 0.5));
    this.operator.written(revision, golden);
    const labelsOf = (tenant: string) => ({ tier: golden.has(tenant) ? 'gold' : 'lead' });
    return operatorSet(revision, some, 8080 + this.pick(3), labelsOf);
  }

  /** A bad one is refused by every node, a good one by none. */
  #tenantSet(tenant: string, revision: bigint, set: 'bad' | 'good' | undefined): Snapshot {
    const some = ['a', 'b', 'c', 'd'].filter(() => this.random.fraction() < 0.5);
    const routes = set === 'bad' ? ['a', ...some.slice(1)] : set === 'good' ? some.slice(0, 2) : some;
    const options = { routes, upstreamPort: 3_000 + this.pick(50) };
    return tenantSet(tenant, revision, { ...options, virtualServer: set === 'bad' ? 'missing' : 'assistant' });
  }
}
