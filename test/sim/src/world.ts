import { kinds, operatorScope, type Snapshot, typeUrlOf } from '@signalbox/config';
import { type LastGoodSet, operatorSet, tenantSet } from '@signalbox/proxy/testing';
import { ManualClock, SeededRandom } from '@signalbox/runtime/testing';
import type { ClientTransport } from '@signalbox/xds';
import { PipeTransport } from '@signalbox/xds/testing';

import { Invariants, setsIn } from './invariants.ts';
import { SimulatedDatabase } from './simulated-database.ts';
import { type NodePlan, SimulatedNode } from './simulated-node.ts';
import { SimulatedReplica } from './simulated-replica.ts';

/** A node and what outlives its processes. */
interface NodePlace {
  readonly plan: NodePlan;
  readonly disk: Map<string, LastGoodSet>;
  running: SimulatedNode | undefined;
  pipe: PipeTransport | undefined;
}

export const tenants = ['acme', 'beta', 'gamma', 'delta'];
type Listener = Parameters<ClientTransport['open']>[0];
const unavailable = 14;
/** In this time everything that is left to do is done: polls, retries, streams that grow old. */
const restMs = 8_000;
/** What one turn of the world's clock lasts: whoever is woken in it sets his timers before the next. */
const turnMs = 25;

/** A database, replicas and nodes in manual time. Equal seeds make equal worlds. */
export class World {
  readonly clock = new ManualClock();
  readonly random: SeededRandom;
  readonly database: SimulatedDatabase;
  readonly invariants: Invariants;
  readonly replicas: (SimulatedReplica | undefined)[];
  readonly nodes: readonly NodePlace[];
  /** What happened, for whoever looks into a seed. */
  readonly trace: string[] = [];
  readonly #maxDelayMs: number;
  readonly #streamAgeMs: number;
  readonly #startedMs: number;
  /** Writes that have not ended. */
  #writing = 0;

  constructor(seed: number) {
    this.random = new SeededRandom(seed);
    this.database = new SimulatedDatabase(this.clock, this.random);
    this.invariants = new Invariants(this.database);
    this.#startedMs = this.clock.now();
    this.#maxDelayMs = this.random.fraction() < 0.2 ? 150 : 8;
    this.#streamAgeMs = this.random.fraction() < 0.5 ? 3_000 : 3_600_000;
    this.replicas = Array.from({ length: 1 + this.pick(3) }, () => undefined);
    const plans: NodePlan[] = [
      { id: 'all', tenants: undefined },
      { id: 'acme', tenants: ['acme'] },
      { id: 'strict', tenants: ['acme', 'beta'], routes: 2 },
    ];
    this.nodes = plans.map((plan) => ({ plan, disk: new Map(), running: undefined, pipe: undefined }));
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
    const { database, clock, random, invariants } = this;
    const nothing = () => undefined;
    this.replicas[at] = new SimulatedReplica({
      ...{ database, clock, random, streamAgeMs: this.#streamAgeMs },
      observer: {
        ...{ opened: nothing, heard: nothing, sent: nothing, closed: nothing },
        nacked: ({ node }, { faults }) => invariants.refused(node.id, faults),
        acked: ({ node }, collections) => invariants.acknowledged(node.id, collections),
      },
    });
  }

  killReplica(at: number): void {
    const replica = this.replicas[at];
    if (!replica) return;
    this.note(`replica ${at} is killed`);
    this.replicas[at] = undefined;
    replica.kill();
  }

  async startNode(place: NodePlace): Promise<void> {
    if (place.running) return;
    const { plan, disk } = place;
    this.note(`node ${plan.id} starts with ${disk.size} sets on disk`);
    const held = new Map(Array.from(disk, ([scope, { snapshot }]) => [scope, snapshot.revision]));
    const node = new SimulatedNode({
      ...{ ...plan, disk, clock: this.clock, random: this.random, transport: this.#wayOf(place) },
      onUpdate: (update) => this.invariants.update(plan, update),
      onTable: (table) => {
        if (place.running !== node && !isStarting) return;
        this.note(
          `node ${plan.id} serves ${Array.from(setsIn(table), ([scope, set]) => `${scope}@${set.revision}`).join(' ')}`,
        );
        this.invariants.table(plan, table);
      },
    });
    let isStarting = true;
    place.running = node;
    await node.start();
    isStarting = false;
    if (place.running === node) this.invariants.booted(plan, node.current.value, held);
  }

  killNode(place: NodePlace): void {
    if (!place.running) return;
    this.note(`node ${place.plan.id} is killed`);
    place.running.kill();
    place.running = undefined;
    place.pipe?.cut();
    this.invariants.killed(place.plan.id);
  }

  /** Commits another state of a tenant, or of the operator. */
  write(
    scope: string,
    how: { readonly forMs: number; readonly ends: 'commit' | 'rollback'; readonly isBad?: boolean },
  ) {
    this.note(`${scope} is written (${how.forMs.toFixed(0)} ms, ${how.isBad === true ? 'bad, ' : ''}${how.ends})`);
    this.#writing += 1;
    const change = (_before: Snapshot | undefined, revision: bigint): Snapshot =>
      scope === operatorScope ? this.#operatorSet(revision) : this.#tenantSet(scope, revision, how.isBad === true);
    const written = () => void (this.#writing -= 1);
    this.database.write(scope, change, how).then(written, (error: unknown) => {
      written();
      this.invariants.violations.push(`a write failed: ${String(error)}`);
    });
  }

  async #untilWritten(): Promise<void> {
    while (this.#writing > 0) await this.wait(100);
  }

  /** What is wrong when everything has come to rest. */
  atRest(): readonly string[] {
    this.invariants.end();
    return [...this.invariants.violations, ...this.#unlikeDatabase(), ...this.#behind()];
  }

  /** Every node and replica works, and everything that can be fixed is. */
  async heal(): Promise<void> {
    this.note('everything is healed');
    this.database.start();
    this.replicas.forEach((_, at) => this.startReplica(at));
    for (const place of this.nodes) await this.startNode(place);
    await this.#untilWritten();
    for (const tenant of tenants) this.write(tenant, { forMs: 1, ends: 'commit' });
    await this.#untilWritten();
    await this.wait(restMs);
  }

  /** A replica of those that run answers; a connection lives as long as it does. */
  #wayOf(place: NodePlace): ClientTransport {
    return {
      open: (listener) => {
        const running = this.replicas.filter((replica) => replica !== undefined);
        const replica = running[this.pick(running.length)];
        if (!replica) return this.#nobody(listener);
        const pipe = new PipeTransport((stream) => replica.server.serve(stream), {
          ...{ clock: this.clock, random: this.random, maxDelayMs: this.#maxDelayMs },
          headers: { authorization: place.plan.tenants?.join(',') ?? 'all' },
        });
        place.pipe = pipe;
        replica.connected(pipe);
        return pipe.open(listener);
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
    return operatorSet(revision, some, 8080 + this.pick(3));
  }

  #tenantSet(tenant: string, revision: bigint, isBad: boolean): Snapshot {
    const routes = ['a', 'b', 'c', 'd'].filter(() => this.random.fraction() < 0.5);
    const options = { routes: isBad ? ['a', ...routes.slice(1)] : routes, upstreamPort: 3_000 + this.pick(50) };
    return tenantSet(tenant, revision, { ...options, virtualServer: isBad ? 'missing' : 'assistant' });
  }

  /** Every replica publishes exactly what is committed, in the same bytes. */
  #unlikeDatabase(): readonly string[] {
    const faults: string[] = [];
    for (const [at, replica] of this.replicas.entries()) {
      for (const [scope, set] of this.database.live()) {
        const published = replica?.publisher.snapshot(scope);
        if (published?.hash !== set.hash || published.revision !== set.revision)
          faults.push(`replica ${at} publishes ${scope}@${published?.revision}, committed is ${set.revision}`);
      }
      if (this.#bytesOf(replica) !== this.#bytesOf(this.replicas[0]))
        faults.push(`replica ${at} publishes other bytes than replica 0`);
    }
    return faults;
  }

  #bytesOf(replica: SimulatedReplica | undefined): string {
    const types = [...kinds, 'Manifest' as const].map((kind) => typeUrlOf(kind));
    const entries = [...(replica?.publisher.ids() ?? [])].flatMap((id) =>
      types.flatMap((typeUrl) =>
        Array.from(replica?.publisher.get(id)?.all(typeUrl) ?? [], ({ encoded }) => encoded.toString('base64')),
      ),
    );
    return entries.sort().join();
  }

  /** Every node ends on the newest revision of all that it may see and can serve. */
  #behind(): readonly string[] {
    return this.nodes.flatMap(({ plan, running }) => {
      const table = running?.current.value;
      const sets = table ? setsIn(table) : new Map<string, { readonly revision: bigint }>();
      const live = this.database.live();
      const seen = [...live].filter(([scope]) => scope === operatorScope || (plan.tenants?.includes(scope) ?? true));
      const behind = seen.flatMap(([scope, set]) => {
        const routes = [...set.resources.values()].filter(({ kind }) => kind === 'Route').length;
        if (routes > (plan.routes ?? Infinity) || sets.get(scope)?.revision === set.revision) return [];
        return `node ${plan.id} ends on ${scope}@${sets.get(scope)?.revision}, newest is ${set.revision}`;
      });
      const held = new Set([...sets.keys(), ...(running?.heldScopes ?? [])]);
      const tooMuch = [...held].filter((scope) => !live.has(scope));
      return [...behind, ...tooMuch.map((scope) => `node ${plan.id} still has ${scope}, which is gone`)];
    });
  }
}
