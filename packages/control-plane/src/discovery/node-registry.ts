import type { Clock, Counter, Histogram, Metrics } from '@signalbox/runtime';
import type { CollectionRevision, CollectionSource, Refusal, StreamInfo, StreamObserver } from '@signalbox/xds';
import { claimedGateway } from './claimed-gateway.ts';
import type { NodeDirectory, NodeNack, NodeScopeStatus, NodeStatus } from './node-directory.ts';
import { refusalsByScope, type ResourceRefusal } from './refusals.ts';

export interface NodeRegistryOptions {
  /** What is published: the publisher. */
  readonly source: Pick<CollectionSource, 'get' | 'ids'> & {
    /** When the newest revision of a scope was committed, in milliseconds since the epoch. */
    committedAtMs(scope: string): number | undefined;
  };
  readonly clock: Clock;
  readonly metrics: Metrics;
  /** Nodes remembered after their stream ended; beyond it the one that left first is forgotten. */
  readonly maxDisconnectedNodes: number;
}

/** A revision that a node has refused, or resources of it. */
interface Nack {
  readonly atMs: number;
  readonly scope: string;
  readonly revision: bigint;
  readonly refusals: readonly ResourceRefusal[];
}

interface ScopeRecord {
  sent: bigint;
  applied: bigint;
  appliedAtMs: number | undefined;
  /** Resources refused so far of a revision that the node has not answered for yet. */
  faulty: Nack | undefined;
  /** The newest revision refused as a whole and not superseded by one applied. */
  refused: Nack | undefined;
}

interface NodeRecord {
  stream: StreamInfo;
  connected: boolean;
  connectedSinceMs: number;
  lastSeenMs: number;
  lastAckMs: number | undefined;
  lastNack: Nack | undefined;
  readonly scopes: Map<string, ScopeRecord>;
}

/**
 * Who runs what, exactly: told by the streams themselves.
 *
 * 1. A revision counts as applied only when the response that closes it was acknowledged on the node's present stream.
 *    A node that reconnects proves again what it runs.
 * 2. Of a response that closes several scopes, the scopes that the refusal names are refused, the others applied. A
 *    refusal that names no scope refuses them all.
 * 3. A node is its credential and its id: nobody takes another's place by claiming its id.
 * 4. When a node has two streams the newer one counts.
 */
export class NodeRegistry implements NodeDirectory, StreamObserver {
  readonly #options: NodeRegistryOptions;
  readonly #nodes = new Map<string, NodeRecord>();
  /** The records of connected nodes, by their newest stream. */
  readonly #byStream = new Map<number, NodeRecord>();
  readonly #listeners = new Set<() => void>();
  readonly #latency: Histogram;
  readonly #refusals: Counter;
  #notifying = false;

  constructor(options: NodeRegistryOptions) {
    const { metrics } = options;
    this.#options = options;
    this.#latency = metrics.histogram(
      'signalbox_discovery_propagation_seconds',
      'From commit to the moment at which a connected node runs the revision.',
    );
    this.#refusals = metrics.counter('signalbox_discovery_refusals_total', 'Responses that nodes refused.');
    const connected = metrics.gauge('signalbox_discovery_nodes', 'Nodes that are connected.');
    metrics.onCollect(() => connected.set([...this.#nodes.values()].filter((node) => node.connected).length));
  }

  list(): readonly NodeStatus[] {
    return Array.from(this.#nodes.values(), (record) => this.#status(record)).sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  onChange(listener: () => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  opened(stream: StreamInfo): void {
    const now = this.#options.clock.now();
    const key = keyOf(stream);
    const before = this.#nodes.get(key);
    if (before) this.#byStream.delete(before.stream.id);
    this.#forgetNamesakes(stream);
    const record: NodeRecord = {
      stream,
      connected: true,
      connectedSinceMs: now,
      lastSeenMs: now,
      lastAckMs: before?.lastAckMs,
      lastNack: before?.lastNack,
      scopes: new Map(),
    };
    this.#nodes.set(key, record);
    this.#byStream.set(stream.id, record);
    this.#changed();
  }

  heard(stream: StreamInfo): void {
    const record = this.#record(stream);
    if (record) record.lastSeenMs = this.#options.clock.now();
  }

  sent(stream: StreamInfo, collections: readonly CollectionRevision[]): void {
    const record = this.#record(stream);
    if (!record) return;
    for (const { id, revision } of collections) {
      if (revision !== undefined) scopeRecord(record, id).sent = revision;
    }
    this.#changed();
  }

  acked(stream: StreamInfo, collections: readonly CollectionRevision[]): void {
    const record = this.#record(stream);
    if (!record) return;
    record.lastAckMs = this.#options.clock.now();
    for (const collection of collections) this.#applied(record, collection);
    this.#changed();
  }

  nacked(stream: StreamInfo, refusal: Refusal): void {
    const record = this.#record(stream);
    if (!record) return;
    const atMs = this.#options.clock.now();
    const byScope = refusalsByScope(refusal);
    for (const collection of refusal.collections) {
      const refusals = byScope.get(collection.id);
      if (refusals && collection.revision !== undefined) {
        const nack = { atMs, scope: collection.id, revision: collection.revision, refusals };
        record.lastNack = refused(scopeRecord(record, collection.id), nack, refusal.closesRound);
      } else if (refusal.closesRound) this.#applied(record, collection);
    }
    this.#refusals.add();
    this.#changed();
  }

  closed(stream: StreamInfo): void {
    const record = this.#record(stream);
    if (!record) return;
    const key = keyOf(stream);
    this.#byStream.delete(stream.id);
    record.connected = false;
    record.lastSeenMs = this.#options.clock.now();
    // Last in the map: the nodes that left first are forgotten first.
    this.#nodes.delete(key);
    this.#nodes.set(key, record);
    this.#forgetOldest();
    this.#changed();
  }

  /** The record of a node, if this stream is its newest. */
  #record(stream: StreamInfo): NodeRecord | undefined {
    return this.#byStream.get(stream.id);
  }

  #applied(record: NodeRecord, { id, revision }: CollectionRevision): void {
    if (revision === undefined) return void record.scopes.delete(id);
    const { clock } = this.#options;
    const scope = scopeRecord(record, id);
    // What a node applies first on its stream it may have had before: that says nothing about speed.
    if (scope.applied !== 0n && scope.applied !== revision) this.#measure(id, revision);
    if (scope.applied !== revision) scope.appliedAtMs = clock.now();
    scope.applied = revision;
    scope.faulty = undefined;
    scope.refused = undefined;
  }

  #measure(id: string, revision: bigint): void {
    const { source, clock } = this.#options;
    const committedAtMs = source.committedAtMs(id);
    if (committedAtMs === undefined || source.get(id)?.revision !== revision) return;
    this.#latency.observe(Math.max(0, clock.now() - committedAtMs) / 1_000);
  }

  /** A node that has returned with another credential is not shown a second time as gone. */
  #forgetNamesakes(stream: StreamInfo): void {
    for (const [key, record] of this.#nodes) {
      if (!record.connected && record.stream.node.id === stream.node.id) this.#nodes.delete(key);
    }
  }

  #forgetOldest(): void {
    const gone = [...this.#nodes].filter(([, record]) => !record.connected);
    const excess = Math.max(0, gone.length - this.#options.maxDisconnectedNodes);
    for (const [key] of gone.slice(0, excess)) this.#nodes.delete(key);
  }

  #status(record: NodeRecord): NodeStatus {
    const { stream, connected, connectedSinceMs, lastSeenMs, lastAckMs, lastNack } = record;
    const { node, identity, remoteAddress } = stream;
    return {
      id: node.id,
      gateway: claimedGateway(node),
      identity: identity.name,
      userAgent: node.userAgentName,
      version: node.userAgentVersion,
      remoteAddress,
      connected,
      connectedSinceMs,
      lastSeenMs,
      lastAckMs,
      lastNack: lastNack && this.#nackStatus(record, lastNack),
      scopes: this.#scopes(record),
    };
  }

  #nackStatus(record: NodeRecord, nack: Nack): NodeNack {
    const exists = this.#options.source.get(nack.scope) !== undefined;
    return { ...nack, current: exists && (record.scopes.get(nack.scope)?.applied ?? 0n) < nack.revision };
  }

  #scopes(record: NodeRecord): ReadonlyMap<string, NodeScopeStatus> {
    const { source } = this.#options;
    const scopes = new Map<string, NodeScopeStatus>();
    for (const id of source.ids()) {
      const desired = source.get(id)?.revision;
      if (desired === undefined || !sees(record, id)) continue;
      const { sent, applied: runs, appliedAtMs, refused: nack } = record.scopes.get(id) ?? untouched;
      scopes.set(id, { desired, sent, applied: runs, appliedAtMs, refused: nack && { ...nack, current: true } });
    }
    return scopes;
  }

  /** Tells the listeners once for all that changes in this turn of the event loop. */
  #changed(): void {
    if (this.#notifying || this.#listeners.size === 0) return;
    this.#notifying = true;
    setImmediate(() => {
      this.#notifying = false;
      for (const listener of this.#listeners) listener();
    });
  }
}

const untouched: Readonly<ScopeRecord> = {
  sent: 0n,
  applied: 0n,
  appliedAtMs: undefined,
  faulty: undefined,
  refused: undefined,
};

function keyOf({ identity, node }: StreamInfo): string {
  return JSON.stringify([identity.credentialId, node.id]);
}

function sees({ stream }: NodeRecord, scope: string): boolean {
  const seen = stream.sources ?? stream.collections;
  return seen === 'all' || seen.has(scope);
}

function scopeRecord(record: NodeRecord, id: string): ScopeRecord {
  let scope = record.scopes.get(id);
  if (!scope) {
    scope = { ...untouched };
    record.scopes.set(id, scope);
  }
  return scope;
}

/** Takes down a refusal. What was refused of the same revision before, resource by resource, is part of the reason. */
function refused(scope: ScopeRecord, nack: Nack, closesRound: boolean): Nack {
  const earlier = scope.faulty?.revision === nack.revision ? scope.faulty.refusals : [];
  // What was refused in part may be named again with the whole.
  const repeats = ({ type, resource, message }: ResourceRefusal) =>
    earlier.some((one) => one.type === type && one.resource === resource && one.message === message);
  const whole = { ...nack, refusals: [...earlier, ...nack.refusals.filter((one) => !repeats(one))] };
  if (closesRound) {
    scope.refused = whole;
    scope.faulty = undefined;
  } else scope.faulty = whole;
  return whole;
}
