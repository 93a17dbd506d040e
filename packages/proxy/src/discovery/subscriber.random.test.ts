import {
  defaultRemovalLimits,
  defaultTableLimits,
  discoveryName,
  kinds,
  operatorScope,
  type Snapshot,
  typeUrlOf,
} from '@signalbox/config';
import { Metrics, type Random } from '@signalbox/runtime';
import { ManualClock, MemoryLogger, SeededRandom } from '@signalbox/runtime/testing';
import type { ResourceUpdate } from '@signalbox/xds';
import { describe, expect, it } from 'vitest';
import { CurrentTable } from '../table/current-table.ts';
import { TimeSlice } from '../table/time-slice.ts';
import { manifestsOf, operatorSet, tenantSet } from '../testing/config-sets.ts';
import { Activation } from './activation.ts';
import type { LastGoodSet } from './last-good-format.ts';
import { Subscriber } from './subscriber.ts';

const tenants = ['acme', 'beta', 'gamma'];

/** A control plane that commits at random; every revision that it ever committed is kept. */
class ControlPlane {
  readonly newest = new Map<string, Snapshot>();
  readonly committed = new Map<string, Set<string>>();
  readonly #history: ReadonlyMap<string, Snapshot>[] = [];
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
    this.#commit(operatorSet(1n, tenants));
    for (const tenant of tenants) this.commitTo(tenant);
  }

  commitTo(tenant: string): void {
    const revision = (this.newest.get(tenant)?.revision ?? 0n) + 1n;
    const routes = ['a', 'b', 'c', 'd'].filter(() => this.#random.fraction() < 0.5);
    const virtualServer = this.#random.fraction() < 0.15 ? 'missing' : 'assistant';
    const upstreamPort = 3000 + Math.floor(this.#random.fraction() * 3);
    this.#commit(tenantSet(tenant, revision, { routes, upstreamPort, virtualServer }));
  }

  commitOperator(): void {
    const revision = (this.newest.get(operatorScope)?.revision ?? 0n) + 1n;
    const some = tenants.filter(() => this.#random.fraction() < 0.8);
    this.#commit(operatorSet(revision, some, 8080 + Math.floor(this.#random.fraction() * 3)));
  }

  #commit(set: Snapshot): void {
    this.newest.set(set.scope, set);
    this.#history.push(new Map(this.newest));
    const known = this.committed.get(set.scope) ?? new Set();
    this.committed.set(set.scope, known.add(`${set.revision} ${set.hash}`));
  }

  /** A replica that may lag behind: it has what was newest some commits ago. */
  replica(lag: number): Replica {
    return new Replica(lag > 0 ? (this.#history.at(-1 - lag) ?? this.newest) : this.newest);
  }
}

/** What one replica of the control plane sends. */
class Replica {
  readonly #sets: ReadonlyMap<string, Snapshot>;

  constructor(sets: ReadonlyMap<string, Snapshot>) {
    this.#sets = sets;
  }

  /** What a stream that opens with these versions is sent: kind by kind, each as one update, manifests last. */
  round(held: (typeUrl: string) => ReadonlyMap<string, string>): readonly ResourceUpdate[] {
    const data = kinds.map((kind) => deltaOf(typeUrlOf(kind), this.#versions(kind), held(typeUrlOf(kind))));
    const manifests = manifestsOf([...this.#sets.values()]);
    const known = held(manifests.typeUrl);
    const news = manifests.resources.filter(({ name, version }) => known.get(name) !== version);
    return [...data, { ...manifests, resources: news }];
  }

  #versions(kind: (typeof kinds)[number]) {
    return [...this.#sets.values()].flatMap(({ scope, resources }) =>
      [...resources.values()]
        .filter((resource) => resource.kind === kind)
        .map(({ name, digest, body }) => ({
          name: discoveryName({ kind, scope, name }),
          version: digest,
          typeUrl: typeUrlOf(kind),
          body,
        })),
    );
  }
}

function deltaOf(typeUrl: string, all: ResourceUpdate['resources'], held: ReadonlyMap<string, string>): ResourceUpdate {
  const existing = new Set(all.map(({ name }) => name));
  return {
    typeUrl,
    resources: all.filter(({ name, version }) => held.get(name) !== version),
    removed: [...held.keys()].filter((name) => !existing.has(name)),
  };
}

class Node {
  readonly current = new CurrentTable();
  readonly disk: Map<string, LastGoodSet>;
  readonly subscriber: Subscriber;

  /** @param disk what an earlier process of the node left. */
  constructor(disk = new Map<string, LastGoodSet>()) {
    this.disk = disk;
    const slice = new TimeSlice(new ManualClock(), 2);
    this.subscriber = new Subscriber({
      activation: new Activation(this.current, slice, defaultTableLimits),
      lastGood: {
        save: (set) => void this.disk.set(set.snapshot.scope, set),
        forget: (scope) => void this.disk.delete(scope),
      },
      limits: { scopes: 10, resources: 100, bytes: 100_000 },
      removals: defaultRemovalLimits,
      slice,
      clock: new ManualClock(),
      logger: new MemoryLogger(),
      metrics: new Metrics(),
    });
  }
}

/** What is wrong with a node: a scope that it serves must be, whole, some revision that was committed. */
function faultsOf(node: Node, plane: ControlPlane): readonly string[] {
  const table = node.current.value;
  if (!table) return [];
  const scopes = [
    { scope: operatorScope, set: table.operator },
    ...[...table.tenants].map(([scope, set]) => ({ scope, set })),
  ];
  return scopes.flatMap(({ scope, set }) => {
    const served = `${set?.revision} ${set?.hash}`;
    return plane.committed.get(scope)?.has(served) ? [] : [`${scope} serves ${served}, which was never committed`];
  });
}

async function run(seed: number): Promise<{ readonly faults: readonly string[]; readonly converged: boolean }> {
  const random = new SeededRandom(seed);
  const plane = new ControlPlane(random);
  let node = new Node();
  const faults: string[] = [];
  const lastServed = new Map<string, bigint>();
  for (let step = 0; step < 40; step += 1) {
    const dice = random.fraction();
    if (dice < 0.6) plane.commitTo(tenants[Math.floor(random.fraction() * tenants.length)] as string);
    else if (dice < 0.7) plane.commitOperator();
    else if (dice < 0.8) node = await restarted(node);
    await stream(node, plane, random);
    faults.push(...faultsOf(node, plane), ...regressions(node, lastServed));
  }
  for (const tenant of tenants) plane.newest.set(tenant, tenantSet(tenant, 1_000n, { routes: ['final'] }));
  plane.newest.set(operatorScope, operatorSet(1_000n, tenants));
  const final = plane.replica(0).round((typeUrl) => node.subscriber.heldVersions(typeUrl));
  for (const update of final) await node.subscriber.onResponse(update);
  const revisions = [...(node.current.value?.tenants.values() ?? [])].map(({ revision }) => revision);
  return { faults, converged: revisions.length === 3 && revisions.every((revision) => revision === 1_000n) };
}

/**
 * One stream: to a replica that may lag behind, cut off after any response, sometimes with a response that never made it
 * into the node. What a later stream sends is computed from what the node then says it holds.
 */
async function stream(node: Node, plane: ControlPlane, random: Random): Promise<void> {
  const lag = random.fraction() < 0.2 ? Math.floor(random.fraction() * 5) : 0;
  const updates = plane.replica(lag).round((typeUrl) => node.subscriber.heldVersions(typeUrl));
  const cutAfter = random.fraction() < 0.4 ? Math.floor(random.fraction() * updates.length) : updates.length;
  const lost = random.fraction() < 0.3 ? Math.floor(random.fraction() * updates.length) : -1;
  for (const [at, update] of updates.entries()) {
    if (at < cutAfter && at !== lost) await node.subscriber.onResponse(update);
  }
}

async function restarted(node: Node): Promise<Node> {
  const next = new Node(node.disk);
  await next.subscriber.restore([...node.disk.values()]);
  return next;
}

/** Tenants whose revision went down while they were served without interruption. */
function regressions(node: Node, lastServed: Map<string, bigint>): readonly string[] {
  const served = node.current.value?.tenants ?? new Map();
  const before = new Map(lastServed);
  lastServed.clear();
  for (const [tenant, { revision }] of served) lastServed.set(tenant, revision);
  return [...lastServed].flatMap(([tenant, revision]) =>
    revision < (before.get(tenant) ?? 0n) ? [`${tenant} went back to ${revision}`] : [],
  );
}

describe('a node under random commits, cuts and restarts', () => {
  it.each(Array.from({ length: 40 }, (_, at) => at + 1))(
    'serves only committed revisions, whole, and converges (seed %i)',
    async (seed) => {
      expect(await run(seed)).toEqual({ faults: [], converged: true });
    },
  );
});
