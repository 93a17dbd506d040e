import { Metrics } from '@signalbox/runtime';
import { ManualClock, MemoryLogger } from '@signalbox/runtime/testing';
import type { Collection, StreamInfo } from '@signalbox/xds';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { DatabaseTime } from '../store/database-time.ts';
import { MemoryFleetStore } from '../testing/memory-fleet-store.ts';
import { Fleet } from './fleet.ts';
import { FleetReporter } from './fleet-reporter.ts';
import { nodeKey } from './node-record.ts';
import { NodeRegistry } from './node-registry.ts';
import { propagationOf, type WatchedRevision } from './propagation.ts';

const scope = 'acme';
const leaseMs = 1_000;
const returnMs = 2_000;
const coalesceMs = 50;

/** One replica, from a collection that the test moves to what is committed. */
class Replica {
  readonly fleet: Fleet;
  readonly registry: NodeRegistry;
  readonly #reporter: FleetReporter;
  readonly #listeners: ((scopes: readonly string[]) => void)[] = [];
  readonly #commits: ReadonlyMap<bigint, number>;
  offered: bigint;
  isAlive = true;

  constructor(
    id: string,
    world: { clock: ManualClock; store: MemoryFleetStore; commits: ReadonlyMap<bigint, number> },
  ) {
    const { clock, store, commits } = world;
    this.#commits = commits;
    this.offered = BigInt(commits.size);
    const metrics = new Metrics();
    const time = new DatabaseTime(clock);
    const source = {
      get: () => ({ id: scope, revision: this.offered }) as Collection,
      ids: () => [scope],
      committedAtMs: () => this.#commits.get(this.offered) ?? 0,
      onChange: (listener: (scopes: readonly string[]) => void) => {
        this.#listeners.push(listener);
        return { [Symbol.dispose]: () => undefined };
      },
    };
    this.registry = new NodeRegistry({
      source,
      replica: id,
      time,
      metrics,
      maxDisconnectedNodes: 100,
      maxRevisions: 3,
    });
    // A replica that has crashed says nothing more.
    const mine = {
      report: (report: Parameters<MemoryFleetStore['report']>[0]) =>
        this.isAlive ? store.report(report) : Promise.reject(new Error('crashed')),
      read: (...args: Parameters<MemoryFleetStore['read']>) => store.read(...args),
      leave: (replica: string) => store.leave(replica),
      sweep: () => Promise.resolve(),
    };
    const parts = { replica: { id, name: id }, registry: this.registry, store: mine, time, clock, metrics, leaseMs };
    const logger = new MemoryLogger();
    this.fleet = new Fleet({ ...parts, logger, pollMs: 50 });
    const onOutage = () => this.fleet.interrupted();
    this.#reporter = new FleetReporter({ ...parts, logger, coalesceMs, maxRows: 2, retentionMs: 1e9, onOutage });
  }

  async start(): Promise<void> {
    await this.#reporter.start();
    this.fleet.follow(scope);
  }

  publish(): void {
    if (this.offered === BigInt(this.#commits.size)) return;
    this.offered = BigInt(this.#commits.size);
    for (const listener of this.#listeners) listener([scope]);
  }

  async stop(): Promise<void> {
    await this.#reporter.stop();
    this.fleet.stop();
    this.isAlive = false;
  }
}

/** A node, and the truth about it. */
interface TrueNode {
  readonly id: string;
  /** What it runs, whoever knows. */
  runs: bigint;
  stream: StreamInfo | undefined;
  at: Replica | undefined;
  /** Its newest connection, which may be over. */
  last: { readonly replica: Replica; readonly key: string; readonly sinceMs: number } | undefined;
  leftAtMs: number;
  /** Newest revision of which a replica that has not crashed since could know that the node was there before. */
  knownBefore: bigint | undefined;
  refused: bigint;
}

class World {
  readonly clock = new ManualClock(10_000);
  readonly store = new MemoryFleetStore(this.clock);
  readonly commits = new Map<bigint, number>([[1n, 10_000]]);
  readonly replicas: Replica[] = [];
  readonly nodes: TrueNode[] = ['a', 'b', 'c'].map((id) => ({
    ...{
      id,
      runs: 0n,
      stream: undefined,
      at: undefined,
      last: undefined,
      leftAtMs: 0,
      knownBefore: undefined,
      refused: 0n,
    },
  }));
  /** Streams that have ended, of which their replica does not know. */
  readonly #halfOpen: { readonly replica: Replica; readonly stream: StreamInfo }[] = [];
  #streams = 0;

  async addReplica(): Promise<void> {
    const replica = new Replica(`r${this.replicas.length}`, this);
    this.replicas.push(replica);
    await replica.start();
  }

  alive(): readonly Replica[] {
    return this.replicas.filter(({ isAlive }) => isAlive);
  }

  commit(): void {
    this.commits.set(BigInt(this.commits.size + 1), this.clock.now());
  }

  connect(node: TrueNode, replica: Replica, noticesOld: boolean): void {
    const { stream, at } = node;
    node.stream = {
      ...{ id: (this.#streams += 1), identity: { credentialId: 't', name: 't' }, remoteAddress: '', family: 'native' },
      ...{
        node: { id: node.id, cluster: 'g', userAgentName: '', userAgentVersion: '', metadata: {} },
        collections: 'all',
      },
    };
    node.at = replica;
    node.last = { replica, key: nodeKey(node.stream), sinceMs: this.clock.now() };
    // Whoever comes back when nobody waits for him any longer joins like somebody new.
    const isLate = stream === undefined && this.clock.now() >= node.leftAtMs + returnMs;
    if (isLate) node.knownBefore = BigInt(this.commits.size);
    else node.knownBefore ??= BigInt(this.commits.size);
    replica.registry.opened(node.stream);
    // Otherwise the connection is half open: its replica takes the node for connected still.
    if (stream && at && noticesOld) at.registry.closed(stream);
    else if (stream && at) this.#halfOpen.push({ replica: at, stream });
  }

  /** Pings find the half-open connections. */
  ping(): void {
    for (const { replica, stream } of this.#halfOpen) replica.registry.closed(stream);
  }

  leave(node: TrueNode): void {
    if (!node.stream || !node.at) return;
    if (node.at.isAlive) node.at.registry.closed(node.stream);
    node.stream = undefined;
    node.at = undefined;
    node.leftAtMs = this.clock.now();
  }

  answer(node: TrueNode, how: 'ack' | 'nack' | 'none'): void {
    if (!node.stream || !node.at) return;
    const collections = [{ id: scope, revision: node.at.offered }];
    node.at.registry.sent(node.stream, collections);
    if (how === 'ack') {
      node.runs = node.at.offered;
      node.at.registry.acked(node.stream, collections);
    } else if (how === 'nack') {
      node.refused = node.at.offered;
      const fault = { name: '', error: 'no' };
      node.at.registry.nacked(node.stream, {
        ...{ typeUrl: 'm', closesRound: true, collections, faults: [fault], nonce: '1', version: '' },
      });
    }
  }

  /** Ends a replica without a word. Nodes of which it alone knew were never known to anybody. */
  crash(replica: Replica): void {
    replica.isAlive = false;
    replica.fleet.stop();
    for (const node of this.nodes.filter(({ last }) => last?.replica === replica)) {
      if (node.last && !this.store.knows(node.last.key, node.last.sinceMs)) node.knownBefore = undefined;
      if (node.at) this.leave(node);
    }
  }
}

/** What is said of revisions that have arrived, and is not so. */
function lies(world: World): readonly string[] {
  return [...world.commits].flatMap(([revision, committedAtMs]) => {
    const watched: WatchedRevision = { scope, revision, committedAtMs };
    return world.alive().flatMap(({ fleet }) => {
      const { outcome, nodes } = propagationOf(watched, fleet.state(), returnMs);
      if (outcome === 'in-progress') return [];
      return world.nodes.flatMap((node) => {
        // Whoever came later joined later.
        if (node.knownBefore === undefined || node.knownBefore >= revision || node.runs >= revision) return [];
        const state = nodes.find((each) => each.node.id === node.id)?.state;
        const what = `${outcome} of ${revision}, but ${node.id} runs ${node.runs}; it is said to be ${state}`;
        if (outcome === 'complete' && (node.at || node.leftAtMs >= committedAtMs)) return what;
        // It has not answered: so it has refused, or is named as one who left.
        return node.at && state !== 'refused' && state !== 'left-unanswered' ? what : [];
      });
    });
  });
}

type Action =
  | { readonly kind: 'commit' | 'outage' | 'restart' | 'heal' | 'add' }
  | { readonly kind: 'publish' | 'stop' | 'crash'; readonly replica: number }
  | { readonly kind: 'connect'; readonly node: number; readonly replica: number; readonly noticesOld: boolean }
  | { readonly kind: 'leave'; readonly node: number }
  | { readonly kind: 'answer'; readonly node: number; readonly how: 'ack' | 'nack' | 'none' }
  | { readonly kind: 'wait'; readonly ms: number };

const node = fc.nat(2);
const replica = fc.nat(3);
const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('commit' as const) }) },
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('publish' as const), replica }) },
  {
    weight: 8,
    arbitrary: fc.record({ kind: fc.constant('connect' as const), node, replica, noticesOld: fc.boolean() }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('leave' as const), node }) },
  {
    weight: 12,
    arbitrary: fc.record({
      kind: fc.constant('answer' as const),
      node,
      how: fc.constantFrom('ack' as const, 'ack' as const, 'ack' as const, 'nack' as const, 'none' as const),
    }),
  },
  {
    weight: 12,
    arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.constantFrom(1, 20, 60, 200, 900) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('stop' as const, 'crash' as const), replica }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('outage' as const, 'add' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('restart' as const, 'heal' as const) }) },
);

async function act(world: World, step: Action): Promise<void> {
  const alive = world.alive();
  const at = <T>(list: readonly T[], index: number) => list[index % list.length] as T;
  switch (step.kind) {
    case 'commit':
      // Nobody commits without the database.
      return world.store.isDown ? undefined : world.commit();
    case 'publish':
      return world.store.isDown ? undefined : at(alive, step.replica).publish();
    case 'connect':
      return world.connect(at(world.nodes, step.node), at(alive, step.replica), step.noticesOld);
    case 'leave':
      return world.leave(at(world.nodes, step.node));
    case 'answer':
      return world.answer(at(world.nodes, step.node), step.how);
    case 'add':
      return alive.length < 4 && !world.store.isDown ? world.addReplica() : undefined;
    case 'stop':
    case 'crash': {
      if (alive.length < 2) return undefined;
      const going = at(alive, step.replica);
      if (step.kind === 'crash') return world.crash(going);
      for (const one of world.nodes.filter((each) => each.at === going)) world.leave(one);
      return going.stop();
    }
    case 'outage':
      world.store.isDown = true;
      return undefined;
    case 'restart':
      return world.store.restart();
    case 'heal':
      world.store.isDown = false;
      return undefined;
    case 'wait':
      return world.clock.advance(step.ms);
  }
}

describe('any interleaving of commits, reconnects, moves, crashes of replicas and of the database', () => {
  it('never makes a replica say that a revision has arrived that has not', async () => {
    expect.hasAssertions();
    await fc.assert(
      fc.asyncProperty(fc.array(action, { minLength: 10, maxLength: 60 }), async (steps) => {
        const world = new World();
        await world.addReplica();
        await world.addReplica();
        for (const step of steps) {
          await act(world, step);
          expect(lies(world)).toEqual([]);
        }
        for (const each of world.alive()) each.fleet.stop();
      }),
      { numRuns: 300 },
    );
  }, 60_000);

  it('makes every replica say so in the end', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 40 }), async (steps) => {
        const world = new World();
        await world.addReplica();
        await world.addReplica();
        for (const step of steps) await act(world, step);
        if (world.store.isDown) world.store.restart();
        world.ping();
        // Of what was committed while there was a replica of which everything is lost, nobody will ever know.
        for (let i = 0; i < 40; i += 1) await world.clock.advance(100);
        world.commit();
        for (const each of world.alive()) each.publish();
        for (const each of world.nodes) {
          if (!each.at) world.connect(each, world.alive()[0] as Replica, true);
          world.answer(each, 'ack');
        }
        for (let i = 0; i < 40; i += 1) await world.clock.advance(100);
        const newest = BigInt(world.commits.size);
        const watched = { scope, revision: newest, committedAtMs: world.commits.get(newest) ?? 0 };
        for (const { fleet } of world.alive()) {
          expect(propagationOf(watched, fleet.state(), returnMs)).toMatchObject({ outcome: 'complete' });
        }
        for (const each of world.alive()) each.fleet.stop();
      }),
      { numRuns: 50 },
    );
  }, 60_000);
});
