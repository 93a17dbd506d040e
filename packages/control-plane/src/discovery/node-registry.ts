import { isDeepStrictEqual } from 'node:util';
import type { Counter, Histogram, Metrics } from '@signalbox/runtime';
import type { CollectionRevision, Refusal, SeenIds, StreamInfo, StreamObserver } from '@signalbox/xds';

import { claimedGateway } from './claimed-gateway.ts';
import type { NodeMembers, NodeScopeStatus, NodeStatus } from './node-directory.ts';
import { nodeKey, NodeRecord } from './node-record.ts';
import { OfferedScopes, type OfferedScopesOptions } from './offered-scopes.ts';
import { refusalsByScope } from './refusals.ts';

export interface NodeRegistryOptions extends OfferedScopesOptions {
  /** Name of this replica. */
  readonly replica: string;
  /** The database's time, by which revisions are committed. */
  readonly time: { now(): number };
  readonly metrics: Metrics;
  /** Nodes remembered after their stream ended; beyond it the one that left first is forgotten. */
  readonly maxDisconnectedNodes: number;
}

/**
 * Who runs what on this replica, exactly: told by the streams themselves.
 *
 * 1. A revision counts as applied only when the response that closes it was acknowledged on the node's present stream.
 *    A node that reconnects proves again what it runs.
 * 2. Of a response that closes several scopes, the scopes that the refusal names are refused, the others applied. A
 *    refusal that names no scope refuses them all.
 * 3. A node is its credential and its id: nobody takes another's place by claiming its id.
 * 4. When a node has two streams the newer one counts.
 */
export class NodeRegistry implements StreamObserver {
  readonly #options: NodeRegistryOptions;
  readonly #offered: OfferedScopes;
  readonly #nodes = new Map<string, NodeRecord>();
  /** Records of nodes that have left, by id: those that left first come first. */
  readonly #left = new Map<string, Set<NodeRecord>>();
  /** The records of connected nodes, by their newest stream. */
  readonly #byStream = new Map<number, NodeRecord>();
  /** Nodes that ask for a scope by name. */
  readonly #following = new Map<string, Set<NodeRecord>>();
  /** Nodes that ask for all that they may see, by what that is: many have the same. */
  readonly #followingAll = new Map<SeenIds, Set<NodeRecord>>();
  readonly #listeners = new Set<() => void>();
  readonly #subscription: Disposable;
  readonly #latency: Histogram;
  readonly #refusals: Counter;
  #version = 0;
  #forgotten = 0;
  #notifying = false;

  constructor(options: NodeRegistryOptions) {
    const { metrics, source } = options;
    this.#options = options;
    this.#offered = new OfferedScopes(options);
    this.#subscription = source.onChange((scopes) => this.#published(scopes));
    this.#latency = metrics.histogram(
      'signalbox_discovery_propagation_seconds',
      'From commit to the moment at which a connected node runs the revision.',
    );
    this.#refusals = metrics.counter('signalbox_discovery_refusals_total', 'Responses that nodes refused.');
    const connected = metrics.gauge('signalbox_discovery_nodes', 'Nodes that are connected.');
    const behind = metrics.gauge(
      'signalbox_discovery_nodes_behind',
      'Connected nodes that do not run the newest revision of some scope.',
    );
    const refusing = metrics.gauge(
      'signalbox_discovery_nodes_refusing',
      'Connected nodes that run an older revision of some scope because they refused a newer one.',
    );
    metrics.onCollect(() => {
      const nodes = [...this.#byStream.values()];
      connected.set(nodes.length);
      behind.set(nodes.filter((node) => node.isFresh || node.behind.size > 0).length);
      refusing.set(nodes.filter(({ behind: lags }) => [...lags.values()].some(({ refused }) => refused)).length);
    });
  }

  /** What this replica offers to nodes. */
  get offered(): Pick<OfferedScopes, 'revision' | 'scopes' | 'history' | 'takeChanged'> {
    return this.#offered;
  }

  /** How many are connected. */
  get connected(): number {
    return this.#byStream.size;
  }

  /** How many nodes have been forgotten so far. */
  get forgotten(): number {
    return this.#forgotten;
  }

  /** Nodes that are connected, and those that left last. */
  records(): Iterable<NodeRecord> {
    return this.#nodes.values();
  }

  list(): readonly NodeStatus[] {
    return Array.from(this.#nodes.values(), (record) => this.#status(record)).sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  /** Called after any change of any node and after every new revision, coalesced. */
  onChange(listener: () => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  stop(): void {
    this.#subscription[Symbol.dispose]();
  }

  opened(stream: StreamInfo): void {
    const before = this.#nodes.get(nodeKey(stream));
    if (before) {
      this.#byStream.delete(before.stream.id);
      this.#forget(before);
    }
    this.#forgetNamesakes(stream);
    const record = new NodeRecord(stream, this.#now(), before);
    this.#nodes.set(record.key, record);
    this.#byStream.set(stream.id, record);
    this.#enlist(record);
    this.#changed(record);
  }

  following(stream: StreamInfo, collections: 'all' | ReadonlySet<string>): void {
    const record = this.#byStream.get(stream.id);
    // Sources of several collections are followed as a whole.
    if (!record || (stream.sources !== undefined && stream.collections !== 'all')) return;
    this.#unlist(record);
    record.follows(collections, this.#offered);
    this.#enlist(record);
    this.#changed(record);
  }

  heard(stream: StreamInfo): void {
    const record = this.#byStream.get(stream.id);
    if (record) record.lastSeenMs = this.#now();
  }

  sent(stream: StreamInfo, collections: readonly CollectionRevision[]): void {
    const record = this.#byStream.get(stream.id);
    if (!record) return;
    // Whoever serves the stream may have heard of a revision earlier than this registry.
    const news = collections.filter(({ id, revision = 0n }) => revision > (this.#offered.revision(id) ?? 0n));
    if (news.length > 0) this.#published(news.map(({ id }) => id));
    record.sent(collections);
    this.#changed(record);
  }

  acked(stream: StreamInfo, collections: readonly CollectionRevision[]): void {
    const record = this.#byStream.get(stream.id);
    if (!record) return;
    record.lastAckMs = this.#now();
    const wasFresh = record.isFresh;
    record.answered(this.#offered);
    for (const collection of collections) this.#applied(record, collection, !wasFresh);
    this.#changed(record);
  }

  nacked(stream: StreamInfo, refusal: Refusal): void {
    const record = this.#byStream.get(stream.id);
    if (!record) return;
    const atMs = this.#now();
    const byScope = refusalsByScope(refusal);
    const wasFresh = record.isFresh;
    if (refusal.closesRound) record.answered(this.#offered);
    for (const collection of refusal.collections) {
      const { id: scope, revision } = collection;
      const refusals = byScope.get(scope);
      if (refusals && revision !== undefined) {
        const nack = { atMs, scope, revision, refusals };
        record.refused(nack, refusal.closesRound, this.#offered.revision(scope) ?? 0n);
      } else if (refusal.closesRound) this.#applied(record, collection, !wasFresh);
    }
    this.#refusals.add();
    this.#changed(record);
  }

  /** What a node has told of itself beside its stream. Whoever has no stream here is not known. */
  reported(identity: StreamInfo['identity'], id: string, told: NodeMembers): void {
    const record = this.#nodes.get(nodeKey({ identity, node: { id } }));
    if (!record?.isConnected || isDeepStrictEqual(record.told, told)) return;
    record.told = told;
    this.#changed(record);
  }

  closed(stream: StreamInfo): void {
    const record = this.#byStream.get(stream.id);
    if (!record) return;
    this.#byStream.delete(stream.id);
    record.leftAtMs = this.#now();
    record.lastSeenMs = record.leftAtMs;
    const id = record.stream.node.id;
    const namesakes = this.#left.get(id) ?? new Set();
    // Last in the map: the nodes that left first are forgotten first.
    this.#left.delete(id);
    this.#left.set(id, namesakes.add(record));
    this.#forgetOldest();
    this.#changed(record);
  }

  #now(): number {
    return this.#options.time.now();
  }

  #published(scopes: readonly string[]): void {
    for (const scope of scopes) {
      const before = this.#offered.follow(scope);
      const offered = this.#offered.revision(scope);
      if (offered === before) continue;
      for (const record of this.#concernedBy(scope)) {
        if (offered === undefined) record.withdrawn(scope);
        else record.offered(scope, before);
        record.version = this.#version += 1;
      }
    }
    this.#changed();
  }

  *#concernedBy(scope: string): Iterable<NodeRecord> {
    for (const [visible, records] of this.#followingAll) if (visible === 'all' || visible.has(scope)) yield* records;
    for (const record of this.#following.get(scope) ?? []) if (record.sees(scope)) yield record;
  }

  #applied(record: NodeRecord, { id, revision }: CollectionRevision, isMeasured: boolean): void {
    const offered = this.#offered.revision(id);
    if (offered === undefined || !record.sees(id)) return record.withdrawn(id);
    // What it gave up has come back since: it has that still to get.
    if (revision === undefined) return record.gaveUp(id);
    const before = record.applied(id, revision, offered);
    // What a node applies first on its stream it may have had before: that says nothing about speed.
    if (isMeasured && before > 0n) this.#measure(record.key, { scope: id, from: before, to: revision });
  }

  #measure(node: string, step: { readonly scope: string; readonly from: bigint; readonly to: bigint }): void {
    const { source, time } = this.#options;
    const nowMs = time.now();
    this.#offered.reached(node, step, nowMs);
    const committedAtMs = source.committedAtMs(step.scope);
    if (committedAtMs === undefined || step.from === step.to || source.get(step.scope)?.revision !== step.to) return;
    this.#latency.observe(Math.max(0, nowMs - committedAtMs) / 1_000);
  }

  /** A node that has returned with another credential is not shown a second time as gone. */
  #forgetNamesakes(stream: StreamInfo): void {
    for (const record of this.#left.get(stream.node.id) ?? []) this.#forget(record);
  }

  #forgetOldest(): void {
    for (const oldest of this.#left.values()) {
      if (this.#nodes.size - this.#byStream.size <= this.#options.maxDisconnectedNodes) return;
      for (const record of oldest) this.#forget(record);
    }
  }

  #enlist(record: NodeRecord): void {
    const { following, visible } = record;
    if (following === 'all') return enter(this.#followingAll, visible, record);
    for (const scope of following) enter(this.#following, scope, record);
  }

  #unlist(record: NodeRecord): void {
    const { following, visible } = record;
    if (following === 'all') return leave(this.#followingAll, visible, record);
    for (const scope of following) leave(this.#following, scope, record);
  }

  #forget(record: NodeRecord): void {
    this.#forgotten += 1;
    this.#nodes.delete(record.key);
    const namesakes = this.#left.get(record.stream.node.id);
    namesakes?.delete(record);
    if (namesakes?.size === 0) this.#left.delete(record.stream.node.id);
    this.#unlist(record);
  }

  #status(record: NodeRecord): NodeStatus {
    const { key, stream, isConnected, connectedSinceMs, leftAtMs, lastSeenMs, lastAckMs, lastNack } = record;
    const { node, identity, remoteAddress, family } = stream;
    const { replica } = this.#options;
    return {
      ...{ key, id: node.id, gateway: claimedGateway(node), identity: identity.name, family, replica, remoteAddress },
      groups: identity.groups ?? [],
      ...{ userAgent: node.userAgentName, version: node.userAgentVersion },
      ...{ connected: isConnected, connectedSinceMs, leftAtMs, lastSeenMs, lastAckMs, lastNack },
      ...{ members: record.told.members, membersLeftOut: record.told.leftOut },
      scope: (scope) => this.#scopeStatus(record, scope),
      scopes: () => [...this.#offered.scopes()].filter((scope) => record.serves(scope)),
    };
  }

  #scopeStatus(record: NodeRecord, scope: string): NodeScopeStatus | undefined {
    const offered = this.#offered.revision(scope);
    if (offered === undefined || !record.serves(scope)) return undefined;
    const { sent, applied, refused } = record.lag(scope, offered);
    const appliedAfterMs = applied === offered ? this.#offered.appliedAfterMs(scope, record.key) : undefined;
    return { sent, applied, appliedAfterMs, refused };
  }

  /** Tells the listeners once for all that changes in this turn of the event loop. */
  #changed(record?: NodeRecord): void {
    this.#version += 1;
    if (record) record.version = this.#version;
    if (this.#notifying || this.#listeners.size === 0) return;
    this.#notifying = true;
    setImmediate(() => {
      this.#notifying = false;
      for (const listener of this.#listeners) listener();
    });
  }
}

function enter<Key>(records: Map<Key, Set<NodeRecord>>, key: Key, record: NodeRecord): void {
  const known = records.get(key);
  if (known) known.add(record);
  else records.set(key, new Set([record]));
}

function leave<Key>(records: Map<Key, Set<NodeRecord>>, key: Key, record: NodeRecord): void {
  const known = records.get(key);
  if (known?.delete(record) && known.size === 0) records.delete(key);
}
