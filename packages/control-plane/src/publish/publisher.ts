import {
  applyChanges,
  type Kind,
  makeSnapshot,
  operatorScope,
  type Snapshot,
  type SnapshotChange,
  typeUrlOf,
} from '@signalbox/config';
import type { Clock, Logger } from '@signalbox/runtime';
import type { Collection, CollectionSource } from '@signalbox/xds';
import { nativeName, projectManifest, projectResource, projectSnapshot } from '../projections/native.ts';
import type {
  ChangeFeed,
  ChangeListener,
  CommittedChange,
  CommittedRevision,
  CommittedScope,
} from '../store/change-feed.ts';
import { Debounce, type DebounceOptions } from './debounce.ts';
import { ScopeCollection, type TypeChange } from './scope-collection.ts';

export interface PublisherOptions {
  readonly feed: ChangeFeed;
  readonly clock: Clock;
  readonly logger: Logger;
  /** How commits of one scope that follow each other closely are folded into one. */
  readonly debounce: DebounceOptions;
  /** Changes of one type of one scope that are remembered, so that a stream that lags behind is cheap to serve. */
  readonly maxRememberedChanges: number;
}

/** A scope as it is published, and what has been committed since. */
interface PublishedScope {
  snapshot: Snapshot;
  collection: ScopeCollection;
  committedAtMs: number;
  /** Removals up to this revision are meant, as of the newest revision known. */
  removalsConfirmed: bigint;
  /** Newest revision that the feed has told of. */
  known: bigint;
  knownAtMs: number;
  /** Committed and not published yet, in order. */
  waiting: CommittedChange[];
  readonly debounce: Debounce;
}

/**
 * Turns what is committed into what is published: one immutable collection a scope, replaced by each newer revision.
 *
 * 1. Not ready, and so never empty by accident, until everything that was committed has been read.
 * 2. A revision is published whole; several in a row may be published as their last.
 * 3. A tenant's collection exists while the operator's published scope has a Tenant of its name: before its first
 *    revision is known as an empty one at revision 0. So a replica that lags behind says an older revision to a node that
 *    comes from another, instead of nothing, and the node keeps what it serves.
 * 4. The highest revision wins: hearing of one again changes nothing.
 */
export class Publisher implements CollectionSource {
  readonly #options: PublisherOptions;
  readonly #scopes = new Map<string, PublishedScope>();
  readonly #listeners = new Set<(ids: readonly string[]) => void>();
  #tenants: ReadonlySet<string> = new Set();
  #ready = false;

  constructor(options: PublisherOptions) {
    this.#options = options;
  }

  /** Reads everything, then follows. Resolves when it is ready. */
  async start(): Promise<void> {
    const listener: ChangeListener = {
      loaded: (scopes) => this.#load(scopes),
      committed: (revisions) => this.#commit(revisions),
    };
    await this.#options.feed.start(listener);
  }

  async stop(): Promise<void> {
    await this.#options.feed.stop();
    for (const scope of this.#scopes.values()) scope.debounce.cancel();
  }

  get ready(): boolean {
    return this.#ready;
  }

  get(id: string): Collection | undefined {
    return this.#published(id)?.collection;
  }

  *ids(): Iterable<string> {
    for (const id of this.#scopes.keys()) {
      if (this.#published(id)) yield id;
    }
  }

  onChange(listener: (ids: readonly string[]) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** When the newest published revision of a scope was committed, in milliseconds since the epoch. */
  committedAtMs(scope: string): number | undefined {
    return this.#published(scope)?.committedAtMs;
  }

  /** The newest published revision of a scope; undefined if it is not published. */
  newest(
    scope: string,
  ): { readonly scope: string; readonly revision: bigint; readonly committedAtMs: number } | undefined {
    const published = this.#published(scope);
    return published && { scope, revision: published.collection.revision, committedAtMs: published.committedAtMs };
  }

  /** The scope as it is published; undefined if it is not. */
  snapshot(scope: string): Snapshot | undefined {
    return this.#published(scope)?.snapshot;
  }

  /** Everything as it is published, tenants included that no longer are: to begin with it another time. */
  committed(): readonly CommittedScope[] {
    return Array.from(this.#scopes.values(), ({ snapshot, committedAtMs, removalsConfirmed }) => ({
      scope: snapshot.scope,
      revision: snapshot.revision,
      committedAtMs,
      removalsConfirmed: removalsConfirmed < snapshot.revision ? removalsConfirmed : snapshot.revision,
      resources: [...snapshot.resources.values()],
    }));
  }

  #published(id: string): PublishedScope | undefined {
    const scope = this.#scopes.get(id);
    if (id === operatorScope) return scope;
    return scope && this.#tenants.has(id) ? scope : undefined;
  }

  #load(scopes: readonly CommittedScope[]): void {
    for (const loaded of scopes) this.#add(makeSnapshot(loaded.scope, loaded.revision, loaded.resources), loaded);
    this.#tenants = this.#publishedTenants();
    this.#ready = true;
    this.#notify([...this.ids()]);
  }

  #add(
    snapshot: Snapshot,
    { committedAtMs, removalsConfirmed }: Pick<CommittedScope, 'committedAtMs' | 'removalsConfirmed'>,
  ): PublishedScope {
    const { scope, revision } = snapshot;
    const added: PublishedScope = {
      snapshot,
      collection: ScopeCollection.initial(scope, revision, projectSnapshot(snapshot, removalsConfirmed)),
      committedAtMs,
      removalsConfirmed,
      known: revision,
      knownAtMs: committedAtMs,
      waiting: [],
      debounce: new Debounce(this.#options.debounce, this.#options.clock, () => this.#publish(scope)),
    };
    this.#scopes.set(scope, added);
    return added;
  }

  #commit(revisions: readonly CommittedRevision[]): void {
    for (const committed of revisions) this.#note(committed);
    const changed = new Set(revisions.map(({ scope }) => scope));
    for (const scope of changed) {
      const state = this.#scopes.get(scope);
      if (state && state.known > state.collection.revision) state.debounce.call();
    }
  }

  /** Keeps a revision for publishing. A feed that fell behind may tell of several revisions as one. */
  #note(committed: CommittedRevision): void {
    const { scope, revision, committedAtMs, removalsConfirmed, changes } = committed;
    const state = this.#scopes.get(scope) ?? this.#add(makeSnapshot(scope, 0n, []), committed);
    if (revision <= state.known) return;
    if (revision !== state.known + 1n && state.known !== 0n) {
      this.#options.logger.info('several revisions were read as one', {
        scope,
        from: String(state.known),
        to: String(revision),
      });
    }
    state.known = revision;
    state.knownAtMs = committedAtMs;
    state.removalsConfirmed = removalsConfirmed;
    state.waiting.push(...changes);
  }

  #publish(scope: string): void {
    const state = this.#scopes.get(scope);
    if (!state) return;
    const { known, waiting, snapshot, collection } = state;
    const changed = [scope];
    state.waiting = [];
    state.committedAtMs = state.knownAtMs;
    state.snapshot = applyChanges(snapshot, known, waiting.map(toSnapshotChange));
    state.collection = collection.next(known, typeChanges(state, waiting), this.#options.maxRememberedChanges);
    if (scope === operatorScope) {
      const before = this.#tenants;
      this.#tenants = this.#publishedTenants();
      changed.push(...[...this.#tenants].filter((name) => !before.has(name)));
      changed.push(...[...before].filter((name) => !this.#tenants.has(name)));
    }
    this.#notify(changed);
  }

  #publishedTenants(): ReadonlySet<string> {
    const operator = this.#scopes.get(operatorScope);
    const resources = operator?.snapshot.resources.values() ?? [];
    const names = new Set([...resources].filter(({ kind }) => kind === 'Tenant').map(({ name }) => name));
    for (const name of names) {
      if (this.#scopes.has(name)) continue;
      this.#add(makeSnapshot(name, 0n, []), { committedAtMs: operator?.committedAtMs ?? 0, removalsConfirmed: 0n });
    }
    return names;
  }

  #notify(ids: readonly string[]): void {
    for (const listener of this.#listeners) listener(ids);
  }
}

function toSnapshotChange({ kind, name, resource }: CommittedChange): SnapshotChange {
  return resource ? { put: resource } : { delete: { kind, name } };
}

/** What a snapshot changes on the wire: of each touched resource the last state, and always the Manifest. */
export function typeChanges(
  { snapshot, removalsConfirmed }: Pick<PublishedScope, 'snapshot' | 'removalsConfirmed'>,
  changes: readonly CommittedChange[],
): ReadonlyMap<string, TypeChange> {
  const touched = new Map(changes.map((change) => [`${change.kind}/${change.name}`, change]));
  const byKind = Map.groupBy(touched.values(), ({ kind }) => kind);
  const { scope, revision } = snapshot;
  const projected = new Map<string, TypeChange>();
  for (const [kind, list] of byKind) {
    const put = list.flatMap(({ resource }) => (resource ? projectResource(scope, resource, revision) : []));
    const deleted = list.flatMap((change) => (change.resource ? [] : deletedName(scope, kind, change)));
    projected.set(typeUrlOf(kind), { put, deleted });
  }
  return projected.set(typeUrlOf('Manifest'), { put: [projectManifest(snapshot, removalsConfirmed)], deleted: [] });
}

function deletedName(scope: string, kind: Kind, { name }: CommittedChange): string {
  return nativeName(scope, kind, name);
}
