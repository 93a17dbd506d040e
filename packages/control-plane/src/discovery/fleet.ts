import type { Clock, Logger } from '@signalbox/runtime';

import type { DatabaseTime } from '../store/database-time.ts';
import type { FleetReading, FleetStore } from '../store/fleet-store.ts';
import { LatencySketch } from './latency-sketch.ts';
import type { NodeStatus, ReplicaStatus } from './node-directory.ts';
import type { NodeRegistry } from './node-registry.ts';
import type { FleetState, WatchedRevision } from './propagation.ts';
import { RemoteReplica } from './remote-replica.ts';

export interface FleetOptions {
  /** This process: a UUID, and a name for people. */
  readonly replica: { readonly id: string; readonly name: string };
  readonly registry: Pick<NodeRegistry, 'list' | 'offered' | 'onChange'>;
  readonly store: Pick<FleetStore, 'read'>;
  readonly time: DatabaseTime;
  readonly clock: Clock;
  readonly logger: Logger;
  /** How often the other replicas' reports are read while somebody follows, in milliseconds. */
  readonly pollMs: number;
  /** What was read longer ago is no longer known, in milliseconds: the lease of a replica. */
  readonly leaseMs: number;
}

type History = FleetReading['history'];

/**
 * Every node of every replica, each once: this one's as they are, the others' as they were told last. The others are
 * read only while somebody follows, or asks.
 */
export class Fleet {
  readonly #options: FleetOptions;
  readonly #startedAtMs: number;
  readonly #others = new Map<string, RemoteReplica>();
  readonly #listeners = new Set<() => void>();
  /** How many follow each scope. */
  readonly #scopes = new Map<string, number>();
  #history: History = [];
  #followers = 0;
  #polling: Disposable | undefined;
  #reading: Promise<void> | undefined;
  /** In monotonic time. */
  #readAtMs: number | undefined;
  /** In the database's time. */
  #asOfMs = 0;
  /** Replicas that were alive when they were read last. */
  #alive = '';
  #failing = false;
  /** Until then replicas may be alive that have not been able to say so, in monotonic time. */
  #unsureUntilMs = 0;

  constructor(options: FleetOptions) {
    this.#options = options;
    this.#startedAtMs = options.time.now();
  }

  /** What time it is, in the database's milliseconds since the epoch. */
  now(): number {
    return this.#options.time.now();
  }

  /** All nodes, by id. Of two streams of a node the newer counts. */
  nodes(): readonly NodeStatus[] {
    const { registry } = this.#options;
    const own = registry.list();
    if (this.#others.size === 0) return own;
    const nowMs = this.now();
    const published = new Set(registry.offered.scopes());
    const others = [...this.#others.values()].flatMap((replica) => replica.nodes(nowMs, published));
    return withoutNamesakes(newestOfEach([...own, ...others])).sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  /** All replicas, those included that are gone and not forgotten yet; this one first. */
  replicas(): readonly ReplicaStatus[] {
    const { replica, registry, leaseMs } = this.#options;
    const nowMs = this.now();
    const own: ReplicaStatus = {
      ...{ ...replica, startedAtMs: this.#startedAtMs, leaseUntilMs: nowMs + leaseMs, isAlive: true, isSelf: true },
      ...{ isSilent: false, isPartial: false },
      offered: (scope) => registry.offered.revision(scope),
    };
    return [own, ...Array.from(this.#others.values(), (each) => each.status(nowMs))];
  }

  /** Why nodes of other replicas are not known; undefined if they are. */
  get incomplete(): string | undefined {
    const { clock, leaseMs } = this.#options;
    const now = clock.monotonic();
    const isRead = !this.#failing && this.#readAtMs !== undefined && now - this.#readAtMs < leaseMs;
    if (!isRead) return 'the database does not answer: only nodes of this replica are known, and there may be others';
    if (now < this.#unsureUntilMs)
      return 'the database has just come back: other replicas have not all said yet what they know';
    return undefined;
  }

  /** The database has not answered somebody: other replicas could say nothing either, and are not gone for that. */
  interrupted(): void {
    this.#failing = true;
  }

  state(): FleetState {
    const nowMs = this.now();
    return { nodes: this.nodes(), replicas: this.replicas(), nowMs, asOfMs: this.#asOfMs, incomplete: this.incomplete };
  }

  /** How long nodes took to run a revision that is followed, on all replicas. */
  latency({ scope, revision, committedAtMs }: WatchedRevision): LatencySketch {
    const sketch = new LatencySketch();
    const own = { revisions: this.#options.registry.offered.history(scope) };
    for (const { revisions } of [own, ...this.#history.filter((each) => each.scope === scope)]) {
      // Before the first that is remembered another may have been forgotten that was the one.
      const known = revisions.some((each) => BigInt(each.revision) <= revision);
      const carrier = known ? revisions.find((each) => BigInt(each.revision) >= revision) : undefined;
      if (carrier) sketch.merge(carrier.latency, carrier.committedAtMs - committedAtMs);
    }
    return sketch;
  }

  /** Keeps what is known of the other replicas fresh, until disposed of. @param scope whose latency is wanted. */
  follow(scope?: string): Disposable {
    const { clock, pollMs } = this.#options;
    this.#followers += 1;
    if (scope !== undefined) this.#scopes.set(scope, (this.#scopes.get(scope) ?? 0) + 1);
    this.#polling ??= clock.interval(pollMs, () => void this.refresh());
    return { [Symbol.dispose]: () => this.#unfollow(scope) };
  }

  /** Reads what the other replicas have told. Does not fail: see `incomplete`. */
  refresh(): Promise<void> {
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  /** Called after changes of nodes or replicas, coalesced; of other replicas only while somebody follows. */
  onChange(listener: () => void): Disposable {
    const own = this.#options.registry.onChange(listener);
    this.#listeners.add(listener);
    return {
      [Symbol.dispose]: () => {
        own[Symbol.dispose]();
        this.#listeners.delete(listener);
      },
    };
  }

  stop(): void {
    this.#polling?.[Symbol.dispose]();
  }

  #unfollow(scope: string | undefined): void {
    this.#followers -= 1;
    const left = scope === undefined ? 0 : (this.#scopes.get(scope) ?? 1) - 1;
    if (scope !== undefined && left === 0) this.#scopes.delete(scope);
    else if (scope !== undefined) this.#scopes.set(scope, left);
    if (this.#followers > 0) return;
    this.#polling?.[Symbol.dispose]();
    this.#polling = undefined;
  }

  async #read(): Promise<void> {
    const { store, clock, logger, time, leaseMs } = this.#options;
    const known = new Map(Array.from(this.#others, ([id, { report }]) => [id, report]));
    const askedAtMs = clock.monotonic();
    try {
      const reading = await store.read(known, [...this.#scopes.keys()]);
      if (reading.nowMs > 0) time.read(reading.nowMs, askedAtMs);
      this.#readAtMs = askedAtMs;
      if (this.#failing) this.#unsureUntilMs = clock.monotonic() + leaseMs;
      this.#failing = false;
      this.#take(reading);
    } catch (error) {
      if (!this.#failing) logger.warn('what other replicas know of nodes cannot be read', { error: String(error) });
      this.interrupted();
    }
  }

  #take({ replicas, history, asOfMs }: FleetReading): void {
    const { replica } = this.#options;
    this.#asOfMs = asOfMs;
    this.#history = history.filter((each) => each.replica !== replica.id);
    const others = replicas.filter(({ id }) => id !== replica.id);
    for (const said of others) {
      const known = this.#others.get(said.id);
      if (known) known.read(said);
      else this.#others.set(said.id, new RemoteReplica(said));
    }
    const ids = new Set(others.map(({ id }) => id));
    for (const id of this.#others.keys()) if (!ids.has(id)) this.#others.delete(id);
    const alive = this.replicas().flatMap(({ id, isAlive }) => (isAlive ? [id] : []));
    const isNews = others.some(({ nodes, scopes }) => nodes.length + scopes.length > 0) || alive.join() !== this.#alive;
    this.#alive = alive.join();
    if (isNews) for (const listener of this.#listeners) listener();
  }
}

/** Of several records of a node that of its newest stream. */
function newestOfEach(nodes: readonly NodeStatus[]): readonly NodeStatus[] {
  const newest = new Map<string, NodeStatus>();
  for (const node of nodes) {
    const other = newest.get(node.key);
    if (!other || isNewer(node, other)) newest.set(node.key, node);
  }
  return [...newest.values()];
}

function isNewer(node: NodeStatus, than: NodeStatus): boolean {
  const later = node.connectedSinceMs - than.connectedSinceMs;
  return later > 0 || (later === 0 && (node.leftAtMs ?? Infinity) > (than.leftAtMs ?? Infinity));
}

/** A node that has returned with another credential is not shown a second time as gone. */
function withoutNamesakes(nodes: readonly NodeStatus[]): NodeStatus[] {
  const since = new Map<string, number>();
  for (const { id, connectedSinceMs } of nodes) since.set(id, Math.max(since.get(id) ?? 0, connectedSinceMs));
  return nodes.filter(({ id, connected, connectedSinceMs }) => connected || since.get(id) === connectedSinceMs);
}
